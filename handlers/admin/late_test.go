package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fosite-mcp/storage/audit"
)

// lateBody is a body of which nothing comes before something has happened.
type lateBody struct {
	before func()
	rest   io.Reader
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
		b.before = nil
	}
	return b.rest.Read(p)
}

// Whoever holds a stolen key can keep requests waiting for their bodies. They come to nothing once the key is revoked: it would
// live on in the keys and secrets that they make.
func TestARequestThatIsUnderWayEndsWithItsKey(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, _ := w.client(`{"client_name":"ci"}`)
		for name, c := range map[string]call{
			"keys":    {method: "POST", path: "/keys", body: `{"name":"more","role":"admin"}`},
			"secrets": {method: "POST", path: "/clients/" + id + "/secrets", body: `{}`, header: map[string]string{"Idempotency-Key": "1"}},
			"changes": {method: "PATCH", path: "/clients/" + id, body: `{"owner":"me"}`, header: map[string]string{"If-Match": "*"}},
			"users":   {method: "POST", path: "/users", body: `{"username":"eve","password":"correct horse battery"}`},
		} {
			header := w.withKey(&audit.AdminKey{Name: "stolen-" + name, Role: audit.RoleAdmin})
			r := httptest.NewRequest(c.method, "/admin/v1"+c.path, &lateBody{
				before: func() { w.delete("/keys/stolen-"+name).want(t, http.StatusNoContent) }, rest: strings.NewReader(c.body),
			})
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", header["Authorization"])
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, r)
			if recorder.Code != http.StatusUnauthorized || recorder.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: answered %d %s", name, recorder.Code, recorder.Body)
			}
		}
		w.get("/keys/more").want(t, http.StatusNotFound)
		if users := w.get("/users").items(); len(users) != 0 {
			t.Errorf("accounts were made: %v", users)
		}
		if after := w.get("/clients/" + id); after.str("owner") == "me" {
			t.Error("the client was changed")
		}
		if secrets := w.get("/clients/" + id + "/secrets").items(); len(secrets) != 1 {
			t.Errorf("%d secrets, want the first alone", len(secrets))
		}
	})
}
