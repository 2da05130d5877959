package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/storage/audit"
)

func TestAnAdminKeyIsMadeShownOnceAndRevoked(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, _ := w.client(`{"client_name":"ci"}`)
		once := call{method: "POST", path: "/keys", body: `{"name":"team","role":"read","client_ids":["` + id + `"]}`, header: map[string]string{"Idempotency-Key": "k1"}}
		made := w.do(once).want(t, http.StatusCreated)
		if again := w.do(once).want(t, http.StatusCreated); again.text != made.text || again.Header.Get("Idempotency-Replayed") == "" {
			t.Errorf("a repetition answers %s, and the first was %s", again.text, made.text)
		}
		key := made.str("admin_key")
		with := func(method, path string) *reply {
			return w.do(call{method: method, path: path, header: map[string]string{"Authorization": "Bearer " + key}})
		}
		with("GET", "/clients/"+id).want(t, http.StatusOK)
		with("DELETE", "/clients/"+id).want(t, http.StatusForbidden)
		if got := w.get(strings.TrimPrefix(made.Header.Get("Location"), "/admin/v1")); got.str("hint") != key[len(key)-4:] || got.str("status") != "active" {
			t.Errorf("the key is shown as %s", got.text)
		}
		w.delete("/keys/team").want(t, http.StatusNoContent)
		with("GET", "/clients/"+id).want(t, http.StatusUnauthorized)
		w.delete("/keys/team").want(t, http.StatusNotFound)
		for _, path := range []string{"/keys", "/keys/team", "/audit"} {
			if got := w.get(path); strings.Contains(got.text, key) {
				t.Errorf("GET %s shows the key", path)
			}
		}
		first := w.get("/keys?limit=1")
		if rest := w.get("/keys?cursor=" + first.str("next_cursor")); len(first.items()) != 1 || len(rest.items()) != 1 || rest.str("next_cursor") != "" {
			t.Errorf("the pages are %s and %s", first.text, rest.text)
		}
		for _, action := range []string{"admin_key.created", "admin_key.revoked"} {
			events := w.get("/audit?action=" + action).items()
			if last := events[len(events)-1]; last["actor"] != "admin" || last["request_id"] == nil {
				t.Errorf("%s is on record as %v", action, last)
			}
		}
	})
}

func TestAdminKeysThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for body, pointer := range map[string]string{
		`{"role":"read"}`: "/name", `{"name":"x"}`: "/role", `{"name":"x","role":"king"}`: "/role", `{"name":"-x","role":"read"}`: "/name",
		`{"name":"x","role":"read","client_ids":[]}`: "/client_ids", `{"name":"x","role":"read","client_ids":["nobody"]}`: "/client_ids/0",
		`{"name":"x","role":"admin","client_ids":["nobody"]}`: "/client_ids", `{"name":"x","role":"people","client_ids":["nobody"]}`: "/client_ids",
		`{"name":"x","role":"read","expires_at":"2020-01-01T00:00:00Z"}`: "/expires_at", `{"name":"x","role":"read","key":"mine"}`: "/key",
	} {
		if refused := w.post("/keys", body).want(t, http.StatusBadRequest); refused.problems()[pointer] == "" {
			t.Errorf("%s: %s, want a mistake at %s", body, refused.text, pointer)
		}
	}
	w.get("/keys?cursor=x").want(t, http.StatusBadRequest)
	w.get("/keys?cursor=eyJuYW1lIjoibm9ib2R5In0").want(t, http.StatusBadRequest)
}

// Who has a key gets no more by it: no key makes one that may do more or that outlives it.
func TestNoKeyMakesAStrongerOne(t *testing.T) {
	w := newWorld(t)
	for _, role := range []audit.Role{audit.RoleRead, audit.RoleClients, audit.RolePeople} {
		header := w.withKey(&audit.AdminKey{Name: "of-" + string(role), Role: role})
		w.do(call{method: "POST", path: "/keys", body: `{"name":"more","role":"read"}`, header: header}).want(t, http.StatusForbidden)
		w.do(call{method: "DELETE", path: "/keys/admin", header: header}).want(t, http.StatusForbidden)
	}
	end := w.clock.Now().Add(time.Hour)
	header := w.withKey(&audit.AdminKey{Name: "for-an-hour", Role: audit.RoleAdmin, ExpiresAt: end})
	for body, status := range map[string]int{
		`{"name":"a","role":"read"}`: http.StatusBadRequest,
		`{"name":"b","role":"read","expires_at":"` + end.Add(time.Minute).Format(time.RFC3339) + `"}`:  http.StatusBadRequest,
		`{"name":"c","role":"read","expires_at":"` + end.Add(-time.Minute).Format(time.RFC3339) + `"}`: http.StatusCreated,
	} {
		w.do(call{method: "POST", path: "/keys", body: body, header: header}).want(t, status)
	}
	// The last one is not ended by anybody who may leave nobody in.
	w.do(call{method: "DELETE", path: "/keys/admin", header: header}).want(t, http.StatusNoContent)
	if refused := w.do(call{method: "DELETE", path: "/keys/for-an-hour", header: header}).want(t, http.StatusConflict); !strings.Contains(refused.str("detail"), "admin-key revoke") {
		t.Errorf("no way back in is told: %s", refused.text)
	}
}
