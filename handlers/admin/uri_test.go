package admin

import "testing"

func TestRedirectURIs(t *testing.T) {
	const anyone, public, never = "anyone", "public clients", "nobody"
	for uri, who := range map[string]string{
		"https://app.example.com/cb":                     anyone,
		"https://app.example.com":                        anyone,
		"https://app.example.com:8443/cb?a=1&b=2":        anyone,
		"https://claude.ai/api/mcp/auth_callback":        anyone,
		"https://vscode.dev/redirect":                    anyone,
		"http://127.0.0.1:33418/":                        anyone,
		"http://127.0.0.1:6276/oauth/callback":           anyone,
		"http://[::1]/cb":                                anyone,
		"http://localhost:3334/oauth/callback":           anyone,
		"cursor://anysphere.cursor-mcp/oauth/callback":   public,
		"vscode://vscode.github-authentication/callback": public,
		"vscode-insiders://vscode.github/callback":       public,
		"com.example.app:/oauth":                         public,
		"com.example.app://oauth":                        public,
		"com.example.app:callback":                       public,

		"":                                  never,
		"/cb":                               never,
		"//app.example.com/cb":              never,
		"app.example.com/cb":                never,
		"https:":                            never,
		"https://":                          never,
		"https:///cb":                       never,
		"https:app.example.com/cb":          never,
		"https://:443/cb":                   never,
		"https://user@app.example.com/cb":   never,
		"https://a:b@app.example.com/cb":    never,
		"https://app.example.com/cb#":       never,
		"https://app.example.com/cb#x":      never,
		"https://*.example.com/cb":          never,
		"https://app.example.com/*":         never,
		"https://app.example.com\\@evil/cb": never,
		"https://app.example.com/c b":       never,
		"https://app.example.com/\ncb":      never,
		"https://app.éxample.com/cb":        never,
		"http://app.example.com/cb":         never,
		"http://127.0.0.1.evil.example/cb":  never,
		"http://localhost.evil.example/cb":  never,
		"http://localhost@evil.example/cb":  never,
		"http://0.0.0.0/cb":                 never,
		"http://2130706433/cb":              never,
		"http://[::1%25lo]/cb":              never,
		"http:127.0.0.1/cb":                 never,
		"javascript:alert(1)":               never,
		"JavaScript://x/%0aalert(1)":        never,
		"data:text/html,hi":                 never,
		"file:///etc/passwd":                never,
		"FILE://host/x":                     never,
		"vbscript:x":                        never,
		"blob:https://a.example/x":          never,
		"about:blank":                       never,
		"intent://scan/#Intent;end":         never,
		"mailto:a@b.example":                never,
		"ws://a.example/":                   never,
		"urn:ietf:wg:oauth:2.0:oob":         never,
		"myapp:/callback":                   never,
		"myapp:callback":                    never,
	} {
		for _, isPublic := range []bool{false, true} {
			want := who == anyone || who == public && isPublic
			if reason := redirectMistake(uri, isPublic); (reason == "") != want {
				t.Errorf("%q, public %v: %q; it is for %s", uri, isPublic, reason, who)
			}
		}
	}
}
