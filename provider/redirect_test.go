package provider

import (
	"errors"
	"testing"

	"github.com/ory/fosite"
)

// RFC 9700 §4.1.3, RFC 8252 §7, RFC 6749 §3.1.2.
func TestWhereAnAnswerMayGo(t *testing.T) {
	const web = "https://app.example.com/callback"
	for _, c := range []struct {
		rule, registered, requested string
		allowed                     bool
	}{
		{"exactly what is registered", web, web, true},
		{"a query that is registered", web + "?a=b", web + "?a=b", true},
		{"left out, there is only one", web, "", true},
		{"an IP literal with another port", "http://127.0.0.1/callback", "http://127.0.0.1:33418/callback", true},
		{"a port is registered, another asked for", "http://127.0.0.1:1234/callback", "http://127.0.0.1:33418/callback", true},
		{"a port is registered, none asked for", "http://127.0.0.1:1234/callback", "http://127.0.0.1/callback", true},
		{"IPv6 with another port", "http://[::1]:3000/callback", "http://[::1]:33418/callback", true},
		{"localhost with another port", "http://localhost/callback", "http://localhost:65535/callback", true},
		{"a loopback root", "http://127.0.0.1:33418/", "http://127.0.0.1:4000/", true},
		{"a loopback query", "http://localhost/cb?x=1", "http://localhost:1/cb?x=1", true},
		{"a scheme of its own", "cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback", true},
		{"a scheme with a path only", "com.example.app:/callback", "com.example.app:/callback", true},
		{"a scheme in capitals, as registered", "com.Example.App:/callback", "com.Example.App:/callback", true},

		{"another host", web, "https://evil.example.com/callback", false},
		{"a longer host", web, "https://app.example.com.evil.example.com/callback", false},
		{"another scheme", web, "http://app.example.com/callback", false},
		{"another port on a host that is not loopback", web, "https://app.example.com:8443/callback", false},
		{"the default port, written out", web, "https://app.example.com:443/callback", false},
		{"user info", web, "https://app.example.com@evil.example.com/callback", false},
		{"user info before the right host", web, "https://evil@app.example.com/callback", false},
		{"a fragment", web, web + "#x", false},
		{"an empty fragment", web, web + "#", false},
		{"a query more", web, web + "?x=1", false},
		{"an empty query", web, web + "?", false},
		{"a query less", web + "?a=b", web, false},
		{"a path below", web, web + "/x", false},
		{"a slash more", web, web + "/", false},
		{"dot segments", web, "https://app.example.com/x/../callback", false},
		{"dot segments that lead out", web, web + "/../evil", false},
		{"encoded dot segments", web, "https://app.example.com/%2e%2e/callback", false},
		{"an encoded slash", web, "https://app.example.com%2Fcallback", false},
		{"an encoded letter", web, "https://app.example.com/%63allback", false},
		{"a backslash", web, `https://app.example.com\@evil.example.com/callback`, false},
		{"host in capitals", web, "https://APP.example.com/callback", false},
		{"path in capitals", web, "https://app.example.com/Callback", false},
		{"scheme in capitals", web, "HTTPS://app.example.com/callback", false},
		{"a dot behind the host", web, "https://app.example.com./callback", false},
		{"a space before it", web, " " + web, false},
		{"a line break behind it", web, web + "\r\n", false},
		{"NUL", web, web + "\x00", false},
		{"a letter that looks alike", web, "https://аpp.example.com/callback", false},
		{"no scheme", web, "//app.example.com/callback", false},
		{"a relative one", web, "/callback", false},
		{"two in one", web, web + " https://evil.example.com/", false},
		{"https on loopback does not stand for http", "https://127.0.0.1/callback", "http://127.0.0.1:1234/callback", false},
		{"https on loopback has a fixed port", "https://127.0.0.1/callback", "https://127.0.0.1:1234/callback", false},
		{"http on loopback does not stand for https", "http://127.0.0.1/callback", "https://127.0.0.1/callback", false},
		{"one loopback host for another", "http://127.0.0.1/callback", "http://localhost:1234/callback", false},
		{"IPv4 for IPv6", "http://127.0.0.1/callback", "http://[::1]:1234/callback", false},
		{"another spelling of 127.0.0.1", "http://127.0.0.1/callback", "http://127.1/callback", false},
		{"another loopback address", "http://127.0.0.1/callback", "http://127.0.0.2/callback", false},
		{"a number for an address", "http://127.0.0.1/callback", "http://2130706433/callback", false},
		{"a host that begins like loopback", "http://127.0.0.1/callback", "http://127.0.0.1.evil.example.com/callback", false},
		{"a host that begins like localhost", "http://localhost/callback", "http://localhost.evil.example.com/callback", false},
		{"a port that is a user", "http://127.0.0.1/callback", "http://127.0.0.1:80@evil.example.com/callback", false},
		{"a host that is a user", "http://localhost/callback", "http://localhost@evil.example.com/callback", false},
		{"localhost in capitals", "http://localhost/callback", "http://LOCALHOST:1/callback", false},
		{"an empty port", "http://127.0.0.1/callback", "http://127.0.0.1:/callback", false},
		{"port 0", "http://127.0.0.1/callback", "http://127.0.0.1:0/callback", false},
		{"port 080", "http://127.0.0.1/callback", "http://127.0.0.1:080/callback", false},
		{"port 65536", "http://127.0.0.1/callback", "http://127.0.0.1:65536/callback", false},
		{"a port of many digits", "http://127.0.0.1/callback", "http://127.0.0.1:99999999999999999999/callback", false},
		{"another path on loopback", "http://127.0.0.1/callback", "http://127.0.0.1:1/evil", false},
		{"dot segments on loopback", "http://127.0.0.1/callback", "http://127.0.0.1:1/callback/../evil", false},
		{"a query on loopback", "http://127.0.0.1/callback", "http://127.0.0.1:1/callback?x", false},
		{"a fragment on loopback", "http://127.0.0.1/callback", "http://127.0.0.1:1/callback#x", false},
		{"a slash more on loopback", "http://127.0.0.1", "http://127.0.0.1:1/", false},
		{"another host in a scheme of its own", "cursor://anysphere.cursor-mcp/cb", "cursor://evil/cb", false},
		{"a port in a scheme of its own", "cursor://localhost/cb", "cursor://localhost:1/cb", false},

		{"registered, but http elsewhere", "http://app.example.com/callback", "http://app.example.com/callback", false},
		{"registered, but user info", "https://u:p@app.example.com/callback", "https://u:p@app.example.com/callback", false},
		{"registered, but a fragment", web + "#x", web + "#x", false},
		{"registered, but dot segments", "https://app.example.com/a/../b", "https://app.example.com/a/../b", false},
		{"registered, but javascript", "javascript:alert(1)", "javascript:alert(1)", false},
		{"registered, but javascript with slashes", "javascript://x/%0aalert(1)", "javascript://x/%0aalert(1)", false},
		{"registered, but javascript in capitals", "JavaScript://x/%0aalert(1)", "JavaScript://x/%0aalert(1)", false},
		{"registered, but data", "data:text/html,x", "data:text/html,x", false},
		{"registered, but file", "file:///etc/passwd", "file:///etc/passwd", false},
		{"registered, but a mail address", "mailto:a@example.com", "mailto:a@example.com", false},
		{"registered, but no host", "https:///callback", "https:///callback", false},
		{"registered, but relative", "/callback", "/callback", false},
		{"registered, but empty, and left out", "", "", false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			client := &fosite.DefaultClient{Public: true, RedirectURIs: []string{c.registered}}
			u, exact, err := matchRedirectURI(c.requested, client)
			if (err == nil) != c.allowed {
				t.Fatalf("%q for the registered %q: error %v, allowed must be %v", c.requested, c.registered, err, c.allowed)
			}
			if err != nil && !errors.Is(err, fosite.ErrInvalidRequest) {
				t.Errorf("error %v, want invalid_request", err)
			}
			if err == nil && c.requested != "" && (exact != c.requested || len(u.String()) != len(c.requested)) {
				t.Errorf("%q became %q and %q", c.requested, exact, u)
			}
		})
	}
}

func TestOnlyPublicClientsHaveSchemesOfTheirOwn(t *testing.T) {
	for uri, confidential := range map[string]bool{
		"https://app.example.com/callback": true,
		"http://127.0.0.1:1234/callback":   true,
		"cursor://anysphere/callback":      false,
		"com.example.app:/callback":        false,
	} {
		if err := ValidateRedirectURI(uri, true); err != nil {
			t.Errorf("public client, %s: %v", uri, err)
		}
		if err := ValidateRedirectURI(uri, false); (err == nil) != confidential {
			t.Errorf("confidential client, %s: %v", uri, err)
		}
	}
}

func TestAClientWithSeveralRedirectURIsMustNameOne(t *testing.T) {
	for name, registered := range map[string][]string{"two": {"https://a.example.com/", "https://b.example.com/"}, "none": nil} {
		if _, _, err := matchRedirectURI("", &fosite.DefaultClient{Public: true, RedirectURIs: registered}); err == nil {
			t.Errorf("%s: a redirect URI was chosen for the client", name)
		}
	}
}
