package authserver

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// Since when each issued token is on record is told from the first start with audit.issued_tokens on, and no more after one without.
func TestAStartNotesWhetherIssuedTokensAreOnRecord(t *testing.T) {
	database, key := "sqlite:"+filepath.Join(t.TempDir(), "test.db"), "mcp_ak_"+rand.Text()+rand.Text()
	secret := "FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text()
	completeSince := func(recorded string) *time.Time {
		r := startReplica(t, database, "FOSITE_MCP_AUDIT_ISSUED_TOKENS="+recorded, "FOSITE_MCP_ADMIN_KEY="+key, secret)
		defer r.stop()
		status, answer := r.admin(key, http.MethodGet, "/access", "")
		var page struct {
			CompleteSince *time.Time `json:"complete_since"`
		}
		if err := json.Unmarshal(answer, &page); err != nil || status != http.StatusOK {
			t.Fatalf("%d: %s", status, answer)
		}
		return page.CompleteSince
	}
	if since := completeSince("false"); since != nil {
		t.Errorf("complete since %v without events", since)
	}
	first, again := completeSince("true"), completeSince("true")
	if first == nil || again == nil || !first.Equal(*again) {
		t.Errorf("complete since %v, and after another start since %v", first, again)
	}
	if since := completeSince("false"); since != nil {
		t.Errorf("complete since %v, though issued tokens are on record no more", since)
	}
}
