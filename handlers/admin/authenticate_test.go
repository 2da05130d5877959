package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/failures"
	"fosite-mcp/storage/audit"
)

// withKey makes an admin key and returns the header that carries it.
func (w *world) withKey(k *audit.AdminKey) map[string]string {
	w.t.Helper()
	key := admin.NewKey()
	if err := w.store.AdminKeys().Create(w.t.Context(), k, key); err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{"Authorization": "Bearer " + key}
}

func TestOnlyAnAdminKeyOpensTheAPI(t *testing.T) {
	w := newWorld(t)
	expired := w.withKey(&audit.AdminKey{Name: "old", Role: audit.RoleAdmin, ExpiresAt: w.clock.Now().Add(time.Second)})
	revoked := w.withKey(&audit.AdminKey{Name: "lost", Role: audit.RoleAdmin})
	w.do(call{method: "GET", path: "/clients", header: expired}).want(t, http.StatusOK)
	w.do(call{method: "GET", path: "/clients", header: revoked}).want(t, http.StatusOK)
	w.clock.advance(time.Second)
	if err := w.store.AdminKeys().Revoke(t.Context(), "lost"); err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]string{
		"nothing": "", "scheme alone": "Bearer", "empty key": "Bearer ", "another scheme": "Basic " + w.key, "key alone": w.key,
		"wrong key": "Bearer " + admin.NewKey(), "key and more": "Bearer " + w.key + " x", "a tab": "Bearer\t" + w.key, "a space and a tab": "Bearer \t" + w.key,
		"long key": "Bearer " + strings.Repeat("x", 20000), "expired key": expired["Authorization"], "revoked key": revoked["Authorization"],
	} {
		for _, path := range []string{"/clients", "/clients/unknown", "/nothing"} {
			w.clock.advance(time.Minute) // what is slowed down has a test of its own
			answer := w.do(call{method: "GET", path: path, header: map[string]string{"Authorization": header}})
			if answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s opens %s: %d", name, path, answer.StatusCode)
			}
		}
	}
	for _, scheme := range []string{"bearer ", "BEARER ", "Bearer  ", "Bearer     "} {
		w.do(call{method: "GET", path: "/clients", header: map[string]string{"Authorization": scheme + w.key}}).want(t, http.StatusOK)
	}
	// Nothing but the header counts.
	w.do(call{method: "GET", path: "/clients?access_token=" + w.key, header: map[string]string{"Authorization": "", "Cookie": "key=" + w.key}}).want(t, http.StatusUnauthorized)
	if strings.Contains(w.log.String(), w.key) {
		t.Error("the log holds the admin key")
	}
}

func TestEachRoleMayDoWhatTheDocumentSays(t *testing.T) {
	w := newWorld(t)
	roles := []audit.Role{audit.RoleRead, audit.RoleClients, audit.RolePeople, audit.RoleAdmin}
	headers := map[audit.Role]map[string]string{}
	for _, role := range roles {
		headers[role] = w.withKey(&audit.AdminKey{Name: string(role) + "-key", Role: role})
	}
	d := theDocument(t)
	operations, _ := d.documented(t)
	for _, operation := range operations {
		method, template, _ := strings.Cut(operation, " ")
		_, op := d.operation(t, method, template)
		if op.Role == "" {
			continue
		}
		for _, role := range roles {
			path := strings.NewReplacer("{client_id}", "nobody", "{secret_id}", "nothing", "{id}", "nobody", "{name}", "nobody").Replace(template)
			answer := w.do(call{method: method, path: path, body: map[bool]string{true: "{}"}[op.RequestBody != nil], header: headers[role]})
			allowed := role.Allows(audit.Role(op.Role))
			if refused := answer.StatusCode == http.StatusForbidden; refused == allowed {
				t.Errorf("%s with role %s answers %d; the document asks for %s", operation, role, answer.StatusCode, op.Role)
			}
		}
	}
}

func TestTheActorIsTheNameOfTheKey(t *testing.T) {
	w := newWorld(t)
	header := w.withKey(&audit.AdminKey{Name: "alice@laptop", Role: audit.RoleClients})
	header["X-Request-Id"] = "req-1"
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: header}).want(t, http.StatusCreated)
	event := w.get("/audit?action=client.registered").items()[0]
	if event["actor"] != "alice@laptop" || event["request_id"] != "req-1" || event["ip"] != "192.0.2.1" {
		t.Errorf("event %v", event)
	}
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	for sent, kept := range map[string]bool{"abc-DEF_123": true, "": false, "a b": false, "x\ny": false, strings.Repeat("x", 65): false, "<script>": false} {
		answer := w.do(call{method: "GET", path: "/clients/unknown", header: map[string]string{"X-Request-Id": sent}}).want(t, http.StatusNotFound)
		id := answer.Header.Get("X-Request-Id")
		if id == "" || (id == sent) != kept || answer.str("request_id") != id {
			t.Errorf("sent %q: header %q, problem %q", sent, id, answer.str("request_id"))
		}
	}
}

func TestFailedLoginsAreSlowedDownAndNobodyIsLockedOut(t *testing.T) {
	w := newWorld(t)
	wrong := map[string]string{"Authorization": "Bearer " + admin.NewKey()}
	for range 10 {
		w.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusUnauthorized)
	}
	slowed := w.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusTooManyRequests)
	if got := slowed.Header.Get("Retry-After"); got != "7" && got != "6" {
		t.Errorf("Retry-After %q, want about 6 seconds", got)
	}
	w.get("/clients").want(t, http.StatusOK) // the same address, a good key
	w.clock.advance(7 * time.Second)
	w.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusUnauthorized)
	w.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusTooManyRequests)

	events := w.get("/audit?action=admin.login_failed").items()
	if len(events) != 11 || events[0]["actor"] != "unknown" || events[0]["outcome"] != "failure" || events[0]["ip"] != "192.0.2.1" {
		t.Errorf("%d events: %v", len(events), events)
	}
	if n := strings.Count(w.log.String(), "admin login failed"); n != 11 {
		t.Errorf("%d lines in the log, want 11: attempts that were slowed down must not fill it", n)
	}
}

func TestAnAttackFromManyAddressesDoesNotFillTheAuditLog(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		r := httptest.NewRequest(http.MethodGet, "/admin/v1/clients", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8:0:%x::1]:1234", i)
		r.Header.Set("Authorization", "Bearer wrong")
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := len(w.get("/audit?action=admin.login_failed&limit=200").items()); n != 50 {
		t.Errorf("%d events, want the sample of 50", n)
	}
}

func TestFailedClientAuthenticationsAreOnRecord(t *testing.T) {
	w := newWorld(t)
	id, secret := w.client(`{"client_name":"ci"}`)
	watch := failures.NewRecorder(w.store, nil, w.clock.Now).Watch(w.provider.Authenticator.Authenticate)
	try := func(id, secret string) error {
		form := url.Values{"client_id": {id}, "client_secret": {secret}}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
		_, err := watch(t.Context(), r, form)
		return err
	}
	if err := try(id, secret); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if try(id, "wrong") == nil {
			t.Fatal("a wrong secret is good enough")
		}
	}
	events := w.get("/audit?action=client.login_failed&limit=200").items()
	if len(events) != 50 || events[0]["client_id"] != id || events[0]["outcome"] != "failure" {
		t.Errorf("%d events, the first %v; want the sample of 50", len(events), events[0])
	}
	w.clock.advance(time.Minute)
	w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
	if err := try(id, secret); err == nil || strings.Contains(err.Error(), "disabled") {
		t.Errorf("a disabled client hears %v", err)
	}
	if text, _ := json.Marshal(w.get("/audit?action=client.login_failed&limit=200").items()); !strings.Contains(string(text), "the client is disabled") {
		t.Errorf("a disabled client is on record as %s", text)
	}
	if try(secret, id) == nil { // swapped by mistake
		t.Fatal("a secret is an id")
	}
	if text, _ := json.Marshal(w.get("/audit?action=client.login_failed&limit=200").items()); strings.Contains(string(text), secret) {
		t.Error("the audit log holds a secret that was sent as an id")
	}
}
