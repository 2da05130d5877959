package cmd

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// --action refuses what it does not know, so it has to know everything that the program writes down.
func TestEveryActionOnRecordCanBeAskedFor(t *testing.T) {
	action := regexp.MustCompile(`"((?:admin|admin_key|audit|authorization_code|client|consent|database|grant|login|refresh_token|secret|session|token|tokens|user)\.[a-z]+(?:_[a-z]+)*)"`)
	files := map[string]bool{"admin.key": true, "admin.listen": true, "database.url": true, "database.max_connections": true} // names of a file and a setting, not actions
	for _, folder := range []string{"storage", "handlers", "provider", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || entry.Name() == "audit_view.go" {
				return err
			}
			source, err := os.ReadFile(path)
			for _, found := range action.FindAllStringSubmatch(string(source), -1) {
				if name := found[1]; !files[name] && !slices.Contains(auditActions, name) && !strings.HasSuffix(name, ".md") && !strings.HasSuffix(name, ".html") {
					t.Errorf("%s: %s is missing in auditActions", path, name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(auditActions) {
		t.Error("auditActions is not in order")
	}
}

// A failure says why without --json; a change says what was changed.
func TestAFailureIsShownWithItsReason(t *testing.T) {
	for _, test := range []struct{ event, want string }{
		{`{"action":"assertion.refused","outcome":"failure","changes":{"issuer":{"after":"https://ci.example"},"reason":{"after":"it was used before"},"subject":{"after":"` + strings.Repeat("ä", 81) + `"}}}`,
			"reason: it was used before, issuer: https://ci.example, subject: " + strings.Repeat("ä", 80) + "…"},
		{`{"action":"client.login_failed","outcome":"failure","changes":null}`, ""},
		{`{"action":"client.changed","outcome":"success","changes":{"owner":{"before":"","after":"me"},"scope":{"before":"a","after":"b"}}}`, "owner scope"},
	} {
		var event auditView
		if err := json.Unmarshal([]byte(test.event), &event); err != nil {
			t.Fatal(err)
		}
		if got := event.changed(); got != test.want {
			t.Errorf("%s: %q, want %q", test.event, got, test.want)
		}
	}
}
