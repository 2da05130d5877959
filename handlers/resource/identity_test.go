package resource

import (
	"net/http"
	"strings"
	"testing"
)

// Two people are never one header, whatever a transport trims.
func TestIdentitiesAreToldApart(t *testing.T) {
	seen := map[string]string{}
	for _, subject := range []string{"zoë", "zo%C3%AB", "zo%25C3%25AB", "alice", " alice", "alice ", "alice%20", "%20alice", "a\tb", "a%09b"} {
		h := http.Header{"X_auth_subject": {"admin"}, "X-Auth_subject": {"admin"}, "X-Auth-Groups": {"staff"}}
		SetIdentity(h, &Token{Subject: subject})
		value := strings.TrimSpace(h.Get("X-Auth-Subject"))
		if other, taken := seen[value]; taken {
			t.Errorf("%q and %q are both %q", subject, other, value)
		}
		seen[value] = subject
		if len(h) != 4 {
			t.Errorf("%v is left", h)
		}
	}
}
