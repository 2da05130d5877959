package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

var shownSecret = regexp.MustCompile(`mcp_cs_[A-Za-z0-9_-]+`)

// token gets a token for a client at the token endpoint; "": it gets none.
func (w *world) token(id, secret string) string {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	request, err := w.oauth.NewAccessRequest(r.Context(), r, provider.NewSession())
	if err != nil {
		return ""
	}
	response, err := w.oauth.NewAccessResponse(r.Context(), request)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.GetAccessToken()
}

func (w *world) active(token string) bool {
	_, _, err := w.oauth.IntrospectToken(w.t.Context(), token, "access_token", provider.NewSession())
	return err == nil
}

// member is a member of what the API says of something.
func (w *world) member(path, name string) string {
	w.t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(w.api(http.MethodGet, path, "").Body.Bytes(), &object); err != nil {
		w.t.Fatal(err)
	}
	return string(object[name])
}

// made is a client that was registered with the console, and its secret.
func (b *browser) made(fields ...string) (id, secret string) {
	b.t.Helper()
	b.get("/console/new-client")
	page := b.submit("/console/new-client", fields...).want(b.t, http.StatusOK, "shown this once")
	found := regexp.MustCompile(`/console/clients/([A-Za-z0-9_]+)"`).FindStringSubmatch(page.text)
	if found == nil {
		b.t.Fatalf("no link to the client:\n%s", page.text)
	}
	return found[1], shownSecret.FindString(page.text)
}

// The page after a registration shows the secret. The same form sent again registers nobody, and shows it no more.
func TestASecretIsShownOnce(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	b.get("/console/new-client")
	form := b.form("/console/new-client", "client_name", "Indexer", "owner", "Team A")
	first := b.send(post("/console/new-client", form)).want(t, http.StatusOK, "shown this once")
	secret := shownSecret.FindString(first.text)
	id := strings.Trim(regexp.MustCompile(`/console/clients/[A-Za-z0-9_]+"`).FindString(first.text)[len("/console/clients/"):], `"`)
	if w.token(id, secret) == "" {
		t.Fatalf("the secret %q of %q gets no token", secret, id)
	}
	again := b.send(post("/console/new-client", form)).want(t, http.StatusOK, "is not shown again")
	if strings.Contains(again.text, "mcp_cs_") {
		t.Error("the secret is shown again")
	}
	if events := w.events("client.registered"); len(events) != 1 || events[0].Actor != "admin" || events[0].IP == "" {
		t.Errorf("on record: %+v", events)
	}
	for _, path := range []string{"/console/clients", "/console/clients/" + id} {
		if page := b.get(path).want(t, http.StatusOK, "Indexer"); strings.Contains(page.text, secret) {
			t.Errorf("%s shows the secret", path)
		}
	}
	if strings.Contains(w.log.String(), secret) {
		t.Error("the log holds the secret")
	}

	form.Set("client_name", "Another") // by the browser's way back
	b.send(post("/console/new-client", form)).want(t, http.StatusBadRequest, "has registered a client before", "Another")
	b.submit("/console/new-client").want(t, http.StatusOK, "shown this once")

	b.get("/console/clients/" + id + "/rotate")
	form = b.form("/console/clients/" + id + "/rotate")
	rotated := b.send(post("/console/clients/"+id+"/rotate", form)).want(t, http.StatusOK, "shown this once")
	if secret := shownSecret.FindString(rotated.text); w.token(id, secret) == "" {
		t.Error("the new secret gets no token")
	}
	if page := b.send(post("/console/clients/"+id+"/rotate", form)).want(t, http.StatusOK, "is not shown again"); strings.Contains(page.text, "mcp_cs_") {
		t.Error("the new secret is shown again")
	}
	if events := w.events("secret.created"); len(events) != 1 {
		t.Errorf("on record: %+v", events)
	}
}

func TestAMistakeStandsBesideItsField(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	b.get("/console/new-client")
	page := b.submit("/console/new-client", "client_name", "Website", "owner", "Team A", "grant_types", "authorization_code", "redirect_uris", "http://example.com/a\r\nhttps://example.com/b", "access_token_lifespan", "soon").
		want(t, http.StatusBadRequest, `value="Team A"`, "http://example.com/a\nhttps://example.com/b", `id="redirect_uris-problem"`, `id="access_token_lifespan-problem"`, "<details open>")
	for name, describedBy := range map[string]string{"redirect_uris": "redirect_uris-hint redirect_uris-problem", "owner": "owner-hint"} {
		if !strings.Contains(page.text, `aria-describedby="`+describedBy+`"`) {
			t.Errorf("%s is not described by %s", name, describedBy)
		}
	}
	if len(w.events("client.registered")) > 0 {
		t.Error("a client is registered")
	}
	b.submit("/console/new-client", "redirect_uris", "https://example.com/b", "access_token_lifespan", "600", "expires_at", "2036-01-02T03:04").want(t, http.StatusOK)
	id := w.events("client.registered")[0].ClientID
	for name, want := range map[string]string{"expires_at": `"2036-01-02T03:04:00.000Z"`, "access_token_lifespan": "600", "redirect_uris": `["https://example.com/b"]`, "grant_types": `["authorization_code"]`} {
		if got := w.member("/clients/"+id, name); got != want && got != strings.Replace(want, ".000", "", 1) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	b.get("/console/clients?unused_for=long&q=web").want(t, http.StatusBadRequest, `id="unused_for-problem"`, `value="long"`, `value="web"`)
}

// A change says what is different, and is refused where somebody else has made one meanwhile.
func TestAClientIsChanged(t *testing.T) {
	w := newWorld(t)
	id := w.client(`{"client_name":"Indexer","owner":"Team A","scope":"mcp:search mcp:write","expires_at":"2036-01-02T03:04:05Z","metadata":{"a":1}}`)
	b := w.loggedIn(w.key)
	edit := "/console/clients/" + id + "/edit"
	b.get(edit).want(t, http.StatusOK)
	if to := b.submit(edit).Header.Get("Location"); to != "/console/clients/"+id || len(w.events("client.changed")) > 0 {
		t.Errorf("a form without a change leads to %q", to)
	}
	b.get(edit)
	stale := b.form(edit, "owner", "Team C")
	changed := b.form(edit, "owner", "Team B", "expires_at", "")
	changed.Del("scope")
	b.send(post(edit, changed)).want(t, http.StatusSeeOther)
	for name, want := range map[string]string{"owner": `"Team B"`, "expires_at": "null", "scope": `""`, "client_name": `"Indexer"`, "metadata": `{"a":1}`} {
		if got := w.member("/clients/"+id, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	b.send(post(edit, stale)).want(t, http.StatusBadRequest, "Somebody has changed the client", `value="Team C"`)
	if events := w.events("client.changed"); len(events) != 1 || strings.Contains(string(events[0].Changes), "metadata") {
		t.Errorf("on record: %+v", events)
	}
	b.get("/console/clients/"+id+"?done=changed").want(t, http.StatusOK, "The client is changed.")
}

// What ends something is shown first: looking at the page changes nothing.
func TestWhatEndsSomethingIsConfirmed(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	id, secret := b.made("client_name", "Indexer")
	path := "/console/clients/" + id
	do := func(act, done string) {
		t.Helper()
		before := w.member("/clients/"+id, "status")
		b.get(path+act).want(t, http.StatusOK, "Cancel")
		if after := w.member("/clients/"+id, "status"); after != before {
			t.Errorf("looking at %s makes the client %s", act, after)
		}
		to := b.submit(path+act).want(t, http.StatusSeeOther).Header.Get("Location")
		b.get(to).want(t, http.StatusOK, done)
	}
	token := w.token(id, secret)
	do("/revoke", "All tokens issued so far are revoked.")
	if w.active(token) {
		t.Error("a token lives on")
	}
	kept, ended := w.token(id, secret), w.token(id, secret)
	w.clock.advance(time.Second)
	tokens := regexp.MustCompile(path+`(/tokens/[A-Za-z0-9_-]{43}/revoke)"`).FindAllStringSubmatch(b.get(path).text, -1)
	if len(tokens) != 2 {
		t.Fatalf("%d tokens can be revoked", len(tokens))
	}
	do(tokens[0][1], "The token is revoked.")
	if w.active(kept) == w.active(ended) {
		t.Error("one of two tokens should have ended")
	}
	do("/disable", "The client is disabled.")
	if w.token(id, secret) != "" {
		t.Error("a disabled client gets tokens")
	}
	b.get(path).want(t, http.StatusOK, "None of them works while the client is disabled.")
	do("/enable", "The client is enabled.")

	b.get(path + "/disable")
	stale := b.form(path + "/disable")
	if answer := w.api(http.MethodPatch, "/clients/"+id, `{"owner":"x"}`); answer.Code != http.StatusPreconditionRequired {
		t.Fatal(answer.Code)
	}
	do("/disable", "The client is disabled.")
	do("/enable", "The client is enabled.")
	b.send(post(path+"/disable", stale)).want(t, http.StatusPreconditionFailed, "It has changed meanwhile")

	to := b.get(path+"/delete").want(t, http.StatusOK, "cannot be undone")
	b.page = to
	b.get(b.submit(path+"/delete").Header.Get("Location")).want(t, http.StatusOK, "The client is deleted.")
	b.get(path).want(t, http.StatusNotFound)
	for _, action := range []string{"tokens.revoked", "token.revoked", "client.disabled", "client.enabled", "client.deleted"} {
		if events := w.events(action); len(events) == 0 || events[0].Actor != "admin" || events[0].IP == "" || events[0].ClientID != id {
			t.Errorf("%s on record: %+v", action, events)
		}
	}
}

func TestWhatBecomesOfTheOtherSecrets(t *testing.T) {
	for choice, want := range map[string]struct {
		works, token bool   // the other secret and its token, just after
		end          string // of the other secret
	}{
		"later": {true, true, "168h"}, "now": {false, true, "0s"}, "leaked": {false, false, ""}, "keep": {true, true, ""}, "first": {true, true, ""},
	} {
		t.Run(choice, func(t *testing.T) {
			w := newWorld(t)
			b := w.loggedIn(w.key)
			id, secret := b.made("client_name", "Indexer")
			token := w.token(id, secret)
			rotate := "/console/clients/" + id + "/rotate"
			b.get(rotate)
			fresh := shownSecret.FindString(b.submit(rotate, "previous", choice).want(t, http.StatusOK).text)
			if got := w.token(id, secret) != ""; got != want.works {
				t.Errorf("the other secret works: %v", got)
			}
			if got := w.active(token); got != want.token {
				t.Errorf("its token works: %v", got)
			}
			if w.token(id, fresh) == "" {
				t.Error("the new secret does not work")
			}
			if choice == "first" && w.token(id, secret) != "" {
				t.Error("the other secret works after the new one was used")
			}
			if want.end != "" {
				life, _ := time.ParseDuration(want.end)
				w.clock.advance(life)
				if w.token(id, secret) != "" {
					t.Error("the other secret does not end")
				}
			}
		})
	}
	w := newWorld(t)
	b := w.loggedIn(w.key)
	id, secret := b.made("client_name", "Indexer")
	rotate := "/console/clients/" + id + "/rotate"
	b.get(rotate)
	b.submit(rotate, "expires_previous_in", "1.5").want(t, http.StatusBadRequest, `id="expires_previous_in-problem"`, `value="1.5"`)
	b.submit(rotate, "expires_previous_in", "2", "expires_at", "2001-01-01T00:00").want(t, http.StatusBadRequest, `id="expires_at-problem"`)
	if len(w.events("secret.created")) > 0 {
		t.Error("a secret was made")
	}
	remove := regexp.MustCompile(`/console/clients/[^/"]+/secrets/[^/"]+/delete`).FindString(b.get("/console/clients/" + id).text)
	token := w.token(id, secret)
	b.get(remove).want(t, http.StatusOK, "only secret")
	b.submit(remove, "revoke_tokens", "true").want(t, http.StatusSeeOther)
	if w.token(id, secret) != "" || w.active(token) {
		t.Error("the secret or its token lives on")
	}
}

// A key that may only read is offered no change, and makes none.
func TestAKeyThatReadsChangesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.client(`{"client_name":"Indexer"}`)
	b := w.loggedIn(w.newKey(audit.AdminKey{Name: "auditor", Role: audit.RoleRead}))
	for _, path := range []string{"/console/clients", "/console/clients/" + id} {
		page := b.get(path).want(t, http.StatusOK)
		for _, offer := range []string{"/new-client", "/edit", "/rotate", "/disable", "/delete", "/revoke"} {
			if strings.Contains(page.text, offer) {
				t.Errorf("%s offers %s", path, offer)
			}
		}
	}
	csrf := b.form("/console/logout").Get("csrf")
	for _, path := range []string{"/console/new-client", "/console/clients/" + id + "/edit", "/console/clients/" + id + "/rotate", "/console/clients/" + id + "/disable", "/console/clients/" + id + "/delete", "/console/clients/" + id + "/revoke"} {
		b.get(path).want(t, http.StatusForbidden, "Not allowed")
		form := url.Values{"csrf": {csrf}, "client_name": {"x"}, "previous": {"now"}, "once": {"x"}, "version": {`"1"`}}
		if status := b.send(post(path, form)).StatusCode; status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s is answered with %d", path, status)
		}
	}
	if events, _, err := w.store.Audit().List(t.Context(), audit.Filter{Actor: "auditor"}); err != nil || len(events) != 1 {
		t.Errorf("on record: %+v, error %v", events, err)
	}
}

// The id of a client that describes itself is the address of its document.
func TestAClientMayBeNamedByAnAddress(t *testing.T) {
	w := newWorld(t)
	id := "https://app.example.com/oauth/client.json"
	described := &client.Client{ID: id, Name: "Described", Status: client.Active, TokenEndpointAuthMethod: "none", RegisteredBy: client.MetadataDocument,
		GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, RedirectURIs: []string{"http://127.0.0.1/callback"}}
	if err := w.store.Clients().Create(t.Context(), described); err != nil {
		t.Fatal(err)
	}
	b := w.loggedIn(w.key)
	b.get("/console/clients")
	path := b.page.link("Described")
	b.get(path).want(t, http.StatusOK, id)
	b.get(b.page.link("Disable")).want(t, http.StatusOK, "Disable Described?")
	b.get(b.submit(path+"/disable").want(t, http.StatusSeeOther).Header.Get("Location")).want(t, http.StatusOK, "The client is disabled.")
	b.get(path + "/edit")
	b.submit(path+"/edit", "redirect_uris", "http://127.0.0.1/other").want(t, http.StatusBadRequest, "metadata document")
}

func TestClientsAreListedPageByPage(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	b.get("/console/clients").want(t, http.StatusOK, "There are no clients yet.")
	for range 51 {
		w.client(`{"client_name":"Machine","owner":"Team A"}`)
	}
	w.client(`{"client_name":"<b>Odd</b>","owner":"Team B","expires_at":"` + w.clock.Now().Add(time.Hour).Format(time.RFC3339) + `"}`)
	first := b.get("/console/clients?owner=Team+A").want(t, http.StatusOK)
	next := regexp.MustCompile(`href="(/console/clients\?[^"]+)"`).FindStringSubmatch(first.text)
	if strings.Count(first.text, "<bdi>Machine</bdi>") != 50 || next == nil {
		t.Fatalf("next %q\n%s", next, first.text)
	}
	if last := b.get(html.UnescapeString(next[1])).want(t, http.StatusOK); strings.Count(last.text, "<bdi>Machine</bdi>") != 1 {
		t.Errorf("the last page:\n%s", last.text)
	}
	b.get("/console/clients?q=nobody").want(t, http.StatusOK, "No client is like that.")
	b.get("/console/").want(t, http.StatusOK, "&lt;b&gt;Odd&lt;/b&gt;", "The client")
	b.get("/console/clients/a%2Fb").want(t, http.StatusNotFound)
	b.get("/console/clients/..").want(t, http.StatusNotFound)
}
