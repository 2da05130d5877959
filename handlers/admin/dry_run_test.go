package admin_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestADryRunChecksEverythingAndChangesNothing(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"ci","client_name":"ci"}`)
		events := len(w.get("/audit").items())
		made := w.post("/clients?dry_run=true", `{"client_id":"other","client_name":"other"}`).want(t, http.StatusOK)
		if made.str("scope") != "mcp:search" || strings.Contains(made.text, "mcp_cs_") || made.Header.Get("Location") != "" {
			t.Errorf("the answer is %s", made.text)
		}
		w.get("/clients/other").want(t, http.StatusNotFound)
		if got := w.patch("/clients/ci?dry_run=true", `"1"`, `{"owner":"me"}`).want(t, http.StatusOK).str("owner"); got != "me" {
			t.Errorf("owner %q", got)
		}
		after := w.get("/clients/ci")
		if after.str("owner") != "" || after.Header.Get("ETag") != `"1"` {
			t.Errorf("the client is changed: %s", after.text)
		}
		w.post("/clients?dry_run=true", `{"client_id":"ci","client_name":"ci"}`).want(t, http.StatusConflict)
		w.post("/clients?dry_run=true", `{"client_name":"ci","scope":"nonsense"}`).want(t, http.StatusBadRequest)
		w.post("/clients?dry_run=maybe", `{"client_name":"ci"}`).want(t, http.StatusBadRequest)
		w.patch("/clients/ci?dry_run=true", `"7"`, `{"owner":"me"}`).want(t, http.StatusPreconditionFailed)
		if n := len(w.get("/audit").items()); n != events {
			t.Errorf("%d audit events more", n-events)
		}
		// A key that a dry run has had is free.
		once := call{method: "POST", path: "/clients?dry_run=true", body: `{"client_name":"once"}`, header: map[string]string{"Idempotency-Key": "k"}}
		w.do(once).want(t, http.StatusOK)
		once.path = "/clients"
		if w.do(once).want(t, http.StatusCreated).str("client_secret") == "" {
			t.Error("there is no secret")
		}
	})
}
