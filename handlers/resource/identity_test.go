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
		h := http.Header{"X_auth_subject": {"admin"}, "X-Auth_subject": {"admin"}, "X-Auth-Groups": {"staff"}, "X-Auth-Subject-Issuer": {"https://evil.example.com"}}
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

// The same subject of two enterprises is two people. One of the authorization server has no issuer, whatever the client sends.
func TestIdentityNamesWhoHasNamedTheSubject(t *testing.T) {
	for issuer, want := range map[string]string{"": "", "https://idp.example.com": "https://idp.example.com", "https://idp.example.com/%20": "https:%2F%2Fidp.example.com%2F%2520"} {
		h := http.Header{"X-Auth-Subject-Issuer": {"https://evil.example.com"}, "X_auth_subject_issuer": {"https://evil.example.com"}}
		SetIdentity(h, &Token{Subject: "joe", SubjectIssuer: issuer})
		if _, there := h["X_auth_subject_issuer"]; there || h.Get("X-Auth-Subject-Issuer") != want || len(h["X-Auth-Subject-Issuer"]) > 1 {
			t.Errorf("%q: %v", issuer, h)
		}
	}
}

// PHP and others read every character that is no letter and no digit as the same one.
func TestHeadersThatLookLikeAnIdentityAreTakenOut(t *testing.T) {
	for _, c := range "!#$%&'*+-.^_`|~" { // and letters and digits: RFC 9110 §5.6.2
		for _, name := range []string{"X" + string(c) + "Auth-Subject", "x-auth" + string(c) + "subject", "X" + string(c) + "AUTH" + string(c) + "Groups"} {
			h := http.Header{name: {"admin"}}
			if SetIdentity(h, nil); len(h) != 0 {
				t.Errorf("%v is left", h)
			}
		}
	}
	for _, name := range []string{"Authorization", "X-Author", "X-Auth", "X-Forwarded-For", "Mcp-X-Auth-Subject", "XAuth-Subject"} {
		h := http.Header{name: {"x"}}
		if SetIdentity(h, nil); len(h) != 1 {
			t.Errorf("%s is gone", name)
		}
	}
}
