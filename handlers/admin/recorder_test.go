package admin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"fosite-mcp/handlers/failures"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// A flood of one kind is sampled, and hides no other. All of it is counted.
func TestAFloodOfOneKindHidesNoOther(t *testing.T) {
	w := newWorld(t)
	counted := map[string]int{}
	recorder := failures.NewRecorder(w.store, nil, w.clock.Now)
	recorder.Counted = func(e audit.Event) { counted[e.Action+" "+e.Outcome]++ }
	grant := fosite.NewRequest()
	grant.Client = &fosite.DefaultClient{ID: "app"}
	ctx := audit.WithOrigin(t.Context(), audit.Origin{IP: "192.0.2.7", RequestID: "r1"})
	for range 300 {
		recorder.Reused(ctx, provider.RefreshReused, grant, "signature", false)
	}
	recorder.Reused(ctx, provider.RefreshReused, grant, "signature", true) // the store has recorded that
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", nil)
	recorder.LoginFailed(r, "local", "alice")
	recorder.LoginFailed(r, "oidc", "")

	reused := w.get("/audit?limit=200&action=" + provider.RefreshReused).items()
	if len(reused) != 50 || reused[0]["actor"] != "client:app" || reused[0]["client_id"] != "app" || reused[0]["token_id"] != storage.TokenID("signature") ||
		reused[0]["outcome"] != "failure" || reused[0]["ip"] != "192.0.2.7" {
		t.Errorf("%d events, the first %v", len(reused), reused[0])
	}
	if n := counted[provider.RefreshReused+" failure"]; n != 250 {
		t.Errorf("%d uses were only counted, want 250", n)
	}
	failed := w.get("/audit?action=user.login_failed").items()
	if len(failed) != 2 || failed[0]["actor"] != "unknown" || failed[0]["outcome"] != "failure" || failed[0]["ip"] != "192.0.2.7" {
		t.Fatalf("events: %v", failed)
	}
	if name, known := failed[0]["changes"].(map[string]any)["username"]; !known {
		t.Errorf("the account is not named: %v", name)
	}
	if name, known := failed[1]["changes"].(map[string]any)["username"]; known {
		t.Errorf("an account that nobody has named: %v", name)
	}
}

// Whoever hangs up is put on record all the same.
func TestHangingUpKeepsNobodyOffTheRecord(t *testing.T) {
	w := newWorld(t)
	ctx, hangUp := context.WithTimeout(t.Context(), time.Hour)
	hangUp()
	recorder := failures.NewRecorder(w.store, nil, w.clock.Now)
	recorder.LoginFailed(httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", nil), "local", "alice")
	if n := len(w.get("/audit?action=user.login_failed").items()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}
