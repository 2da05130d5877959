package resource

import (
	"net/http"
	"net/url"
	"strings"
)

// The headers that tell a server behind a proxy whose request it is.
const (
	identityPrefix = "X-Auth-"
	authSubject    = identityPrefix + "Subject"
	authIssuer     = identityPrefix + "Subject-Issuer"
	authClientID   = identityPrefix + "Client-Id"
	authScope      = identityPrefix + "Scope"
	authTokenID    = identityPrefix + "Token-Id"
)

// SetIdentity is for proxies: it puts X-Auth-Subject, X-Auth-Client-Id,
// X-Auth-Scope and X-Auth-Token-Id into h, and X-Auth-Subject-Issuer where
// another issuer than the authorization server has named the subject. It takes
// out everything else that a reader could take for such a header: X-Auth-… with
// any other characters in place of the hyphens, since PHP reads X.Auth.Subject as
// X-Auth-Subject. A nil token leaves none. A value with bytes beyond ASCII, a
// percent sign, or a space at either end is percent-encoded, so that no two are
// the same header.
func SetIdentity(h http.Header, token *Token) {
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
	if token == nil {
		return
	}
	for name, value := range map[string]string{
		authSubject: token.Subject, authIssuer: token.SubjectIssuer, authClientID: token.ClientID, authScope: strings.Join(token.Scope, " "), authTokenID: token.ID,
	} {
		if name == authIssuer && value == "" {
			continue
		}
		if value != strings.TrimSpace(value) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' || c == '%' }) {
			value = url.PathEscape(value)
		}
		h.Set(name, value)
	}
}

// isIdentity reports whether a reader that tells letters and digits alone apart
// could take a header for one of X-Auth-….
func isIdentity(name string) bool {
	folded := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, name)
	return len(folded) >= len(identityPrefix) && strings.EqualFold(folded[:len(identityPrefix)], identityPrefix)
}
