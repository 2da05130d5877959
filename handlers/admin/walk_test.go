package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

// requestFor is a good request for an operation of the document, on a client of its own.
func (w *world) requestFor(method, template string) call {
	w.t.Helper()
	id, secret := w.client(`{"client_name":"walk"}`)
	secretID := w.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
	rule := w.issuer(`{"name":"walk","preset":"github-actions","subject":"repo:org/app:*"}`)
	if strings.HasPrefix(template, "/users") || strings.HasPrefix(template, "/consents") {
		return w.requestForPeople(method, template)
	}
	c := call{method: method, path: strings.NewReplacer("{client_id}", id, "{secret_id}", secretID, "{id}", rule, "{name}", w.adminKey()).Replace(template), header: map[string]string{}}
	switch {
	case method == http.MethodPatch:
		c.body, c.header["If-Match"] = `{"owner":"walker"}`, "*"
	case method != http.MethodPost:
	case template == "/clients":
		c.body = `{"client_name":"walk"}`
	case template == "/issuers":
		c.body = `{"name":"walk","preset":"github-actions","subject":"repo:org/app:*"}`
	case template == "/keys":
		c.body = fmt.Sprintf(`{"name":"walk-%d","role":"read"}`, w.count())
	case template == "/tokens/revoke":
		c.body = `{"token":"` + w.mustToken(id, secret) + `"}`
	case strings.HasSuffix(template, "/tokens/revoke"):
		c.body = `{"all":true}`
	case strings.HasSuffix(template, "/secrets"):
		c.body = `{}`
	}
	return c
}

// requestForPeople is requestFor an operation on people.
func (w *world) requestForPeople(method, template string) call {
	w.t.Helper()
	id := w.account(fmt.Sprintf("walk-%d", w.count()))
	w.consents(id, "walk", "app")
	c := call{method: method, path: strings.NewReplacer("{client_id}", "app", "{id}", id).Replace(template), header: map[string]string{}}
	switch {
	case method == http.MethodPatch:
		c.body, c.header["If-Match"] = `{"groups":["walkers"]}`, "*"
	case method == http.MethodPost && template == "/users":
		c.body = fmt.Sprintf(`{"username":"walk-%d","password":"%s"}`, w.count(), aPassword)
	case template == "/consents/revoke":
		c.body = `{"subject":"` + id + `"}`
	}
	return c
}

// with changes a copy of a call.
func (c call) with(change func(*call)) call {
	header := map[string]string{}
	for name, value := range c.header {
		header[name] = value
	}
	c.header = header
	change(&c)
	return c
}

// spoil makes an operation give each answer that the document lists for it.
func (w *world) spoil(good call, template string, answers []string) {
	w.t.Helper()
	reader := w.withKey(&audit.AdminKey{Name: fmt.Sprintf("reader-%d", w.count()), Role: audit.RoleRead})
	if good.method == http.MethodGet { // which every role may do, though not for all clients
		reader = w.withKey(&audit.AdminKey{Name: fmt.Sprintf("bound-%d", w.count()), Role: audit.RoleRead, Clients: []string{"nobody"}})
	}
	gone := good
	if strings.Contains(template, "{") {
		parts := strings.SplitN(good.path, "/", 4)
		parts[2] = map[bool]string{true: "user_nobody", false: "nobody"}[parts[1] == "users"]
		gone.path = strings.Join(parts, "/")
	}
	if template == "/tokens/revoke" {
		gone.body = `{"token":"mcp_at_unknown"}`
	}
	for status, c := range map[int]call{
		http.StatusBadRequest:            good.with(func(c *call) { c.path += "?unknown=1" }),
		http.StatusUnauthorized:          good.with(func(c *call) { c.header["Authorization"] = "" }),
		http.StatusForbidden:             good.with(func(c *call) { c.header["Authorization"] = reader["Authorization"] }),
		http.StatusNotFound:              gone,
		http.StatusNotAcceptable:         good.with(func(c *call) { c.header["Accept"] = "image/png" }),
		http.StatusNotModified:           good.with(func(c *call) { c.header["If-None-Match"] = "*" }),
		http.StatusPreconditionFailed:    good.with(func(c *call) { c.header["If-Match"] = `"77"` }),
		http.StatusRequestEntityTooLarge: good.with(func(c *call) { c.body = strings.Repeat(" ", 65<<10) }),
		http.StatusUnsupportedMediaType:  good.with(func(c *call) { c.header["Content-Type"] = "text/plain"; c.body = "{}" }),
		http.StatusPreconditionRequired:  good.with(func(c *call) { c.header["If-Match"] = "" }),
	} {
		if slices.Contains(answers, fmt.Sprint(status)) {
			w.do(c).want(w.t, status)
		}
	}
	if slices.Contains(answers, "422") {
		once := good.with(func(c *call) { c.header["Idempotency-Key"] = "walk" + fmt.Sprint(w.count()) })
		w.do(once).want(w.t, http.StatusCreated)
		w.do(once.with(func(c *call) { c.body += " " })).want(w.t, http.StatusUnprocessableEntity)
	}
}

// adminKey makes a key and returns its name.
func (w *world) adminKey() string {
	w.t.Helper()
	return w.post("/keys", fmt.Sprintf(`{"name":"walk-%d","role":"read"}`, w.count())).want(w.t, http.StatusCreated).str("name")
}

// count is a number that was not there before.
func (w *world) count() int {
	w.counter++
	return w.counter
}

func TestEveryDocumentedAnswerOccurs(t *testing.T) {
	w := newWorld(t)
	d := theDocument(t)
	operations, answers := d.documented(t)
	good := map[string]call{}
	for _, operation := range operations {
		method, template, _ := strings.Cut(operation, " ")
		c := w.requestFor(method, template)
		good[operation] = c
		var statuses []string
		for _, answer := range answers {
			if status, ok := strings.CutPrefix(answer, operation+" "); ok {
				statuses = append(statuses, status)
			}
		}
		w.spoil(c, template, statuses)
		w.do(c)
		if method == http.MethodGet {
			c.method = http.MethodHead
			w.do(c).want(t, http.StatusOK)
		}
	}
	w.post("/clients?dry_run=true", `{"client_name":"walk"}`).want(t, http.StatusOK)
	w.client(`{"client_id":"taken","client_name":"walk"}`)
	w.post("/clients", `{"client_id":"taken","client_name":"walk"}`).want(t, http.StatusConflict)
	w.post("/issuers", `{"id":"taken","name":"walk","preset":"github-actions","subject":"repo:org/app:*"}`).want(t, http.StatusConflict)
	w.client(`{"client_id":"public","client_name":"walk","token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"]}`)
	w.post("/clients/public/secrets", `{}`).want(t, http.StatusConflict)
	w.post("/keys", `{"name":"admin","role":"read"}`).want(t, http.StatusConflict)
	w.delete("/keys/admin").want(t, http.StatusConflict)
	w.account("taken")
	w.post("/users", `{"username":"taken","password":"`+aPassword+`"}`).want(t, http.StatusConflict)
	w.post("/users/stranger/revoke", "").want(t, http.StatusOK)
	w.post("/users/stranger/enable", "").want(t, http.StatusNoContent)

	w.everyOperationFails(operations, good)
	for _, answer := range answers {
		if _, seen := w.seen.Load(answer); !seen {
			t.Errorf("the document lists %s, which did not occur", answer)
		}
	}
}

// everyOperationFails slows down the caller, and then takes the database away.
func (w *world) everyOperationFails(operations []string, good map[string]call) {
	wrong := "Bearer " + admin.NewKey()
	for range 20 {
		w.do(call{method: "GET", path: "/clients", header: map[string]string{"Authorization": wrong}})
	}
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		if status == http.StatusServiceUnavailable {
			closeDB(w.t, w.db)
		}
		for _, operation := range operations {
			if strings.HasSuffix(operation, "/openapi.json") {
				continue
			}
			w.do(good[operation].with(func(c *call) {
				if status == http.StatusTooManyRequests {
					c.header["Authorization"] = wrong
				}
			})).want(w.t, status)
		}
	}
}

func TestADatabaseThatIsGoneIs503AndNothingElse(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	for _, table := range []string{"clients", "client_secrets", "access_tokens"} {
		if err := w.db.Exec("ALTER TABLE " + table + " RENAME TO " + table + "_gone").Error; err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []call{
		{method: "GET", path: "/clients"}, {method: "GET", path: "/clients/" + id}, {method: "GET", path: "/clients/" + id + "/tokens"},
		{method: "POST", path: "/clients", body: `{"client_name":"x"}`}, {method: "POST", path: "/clients/" + id + "/disable"},
		{method: "DELETE", path: "/clients/" + id}, {method: "POST", path: "/clients/" + id + "/tokens/revoke", body: `{"all":true}`},
	} {
		refused := w.do(c).want(t, http.StatusServiceUnavailable)
		if strings.Contains(refused.text, "table") || !strings.Contains(w.log.String(), "no such table") {
			t.Errorf("%s %s: the cause belongs into the log, not into the answer: %s", c.method, c.path, refused.text)
		}
	}
}

func TestPathsAndMethodsThatAreNotThere(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	for path, status := range map[string]int{
		"/": http.StatusNotFound, "/nothing": http.StatusNotFound, "/clients/": http.StatusNotFound, "/clients/" + id + "/": http.StatusNotFound,
		"/clients/" + id + "/nothing": http.StatusNotFound, "/clients/a%00b": http.StatusNotFound, "/clients/%ff": http.StatusNotFound,
		"/clients/" + strings.Repeat("x", 2000): http.StatusNotFound, "/tokens/revoke": http.StatusMethodNotAllowed,
	} {
		w.get(path).want(t, status)
	}
	for path, allow := range map[string]string{"/clients": "GET, POST, HEAD", "/clients/" + id: "DELETE, GET, PATCH, HEAD", "/tokens/revoke": "POST", "/audit": "GET, HEAD"} {
		for _, method := range []string{"PUT", "OPTIONS", "TRACE", "FOO"} {
			refused := w.do(call{method: method, path: path}).want(t, http.StatusMethodNotAllowed)
			if got := refused.Header.Get("Allow"); got != allow {
				t.Errorf("%s: Allow %q, want %q", path, got, allow)
			}
		}
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	w.client(`{"client_name":"cd"}`)
	cursor := w.get("/clients?limit=1").str("next_cursor")
	for path, parameter := range map[string]string{
		"/clients?limit=0": "?limit", "/clients?limit=201": "?limit", "/clients?limit=x": "?limit", "/clients?limit=": "?limit", "/clients?limit=1&limit=2": "?limit",
		"/clients?cursor=": "?cursor", "/clients?cursor=x": "?cursor", "/clients?cursor=e30": "?cursor", "/clients?cursor=" + cursor + "A": "?cursor",
		"/clients?status=deleted": "?status", "/clients?state=active": "?state", "/clients?q=%00": "?q", "/clients?q=%ff": "?q", "/clients/" + id + "?x=1": "?x",
		"/clients/" + id + "/tokens?active=1": "?active", "/clients/" + id + "/tokens?cursor=" + cursor: "?cursor", "/audit?since=yesterday": "?since",
		"/audit?after=-1": "?after", "/audit?cursor=" + cursor: "?cursor", "/openapi.json?x=1": "?x",
	} {
		refused := w.get(path).want(t, http.StatusBadRequest)
		if _, named := refused.problems()[parameter]; !named {
			t.Errorf("%s: %v, want %s", path, refused.problems(), parameter)
		}
	}
	w.delete("/clients/"+id+"?force=true").want(t, http.StatusBadRequest)
	w.get("/clients/"+id).want(t, http.StatusOK)
	w.get("/clients?q=%zz").want(t, http.StatusBadRequest)
	w.get("/clients?limit=1;q=x").want(t, http.StatusBadRequest)
}

// A client's id is one segment of a path, whatever is in it.
func TestAnEncodedSlashIsACharacterOfAnID(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	secretID := w.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
	for _, c := range []call{
		{method: "DELETE", path: "/clients/" + id + "%2Fsecrets%2F" + secretID},
		{method: "DELETE", path: "/clients/" + id + "%2fsecrets%2f" + secretID},
		{method: "DELETE", path: "/clients/" + id + "%2Fsecrets/" + secretID},
		{method: "DELETE", path: "/clients/" + id + "/secrets%2F" + secretID},
		{method: "DELETE", path: "/clients/" + id + "%252Fsecrets%252F" + secretID},
		{method: "DELETE", path: "/clients/" + id + "%2F"},
		{method: "DELETE", path: "/clients/" + id + ";x"},
		{method: "DELETE", path: "/clients/" + id + "%3Fx"},
		{method: "POST", path: "/clients/" + id + "%2Fdisable"},
		{method: "POST", path: "/clients/x%2F..%2F" + id + "/disable"},
		{method: "POST", path: "/clients%2F" + id + "/disable"},
		{method: "POST", path: "/clients/" + id + "%2Ftokens%2Frevoke", body: `{"all":true}`},
		{method: "GET", path: "/clients/" + id + "%2Fsecrets"},
	} {
		if refused := w.do(c); refused.StatusCode != http.StatusNotFound && refused.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d\n%s", c.method, c.path, refused.StatusCode, refused.text)
		}
	}
	if got := w.get("/clients/" + id).str("status"); got != "active" {
		t.Errorf("the client is %s", got)
	}
	if secrets := w.get("/clients/" + id + "/secrets").items(); len(secrets) != 1 {
		t.Errorf("%d secrets are left, want 1", len(secrets))
	}

	// Ids from elsewhere may hold anything.
	const odd = "https://app.example/id%2F?a=b#c;d"
	if err := w.store.Clients().Create(t.Context(), &client.Client{ID: odd, Name: "odd", GrantTypes: []string{"client_credentials"}}); err != nil {
		t.Fatal(err)
	}
	path := "/clients/" + url.PathEscape(odd)
	if found := w.get(path).want(t, http.StatusOK); found.str("client_id") != odd {
		t.Errorf("%s leads to %s", path, found.str("client_id"))
	}
	w.post(path+"/disable", "").want(t, http.StatusOK)
	w.delete(path).want(t, http.StatusNoContent)
}
