package client

import (
	"strings"
	"testing"
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
			u, exact, err := MatchRedirectURI(c.requested, []string{c.registered}, true)
			if (err == nil) != c.allowed {
				t.Fatalf("%q for the registered %q: error %v, allowed must be %v", c.requested, c.registered, err, c.allowed)
			}
			if err == nil && c.requested != "" && (exact != c.requested || len(u.String()) != len(c.requested)) {
				t.Errorf("%q became %q and %q", c.requested, exact, u)
			}
		})
	}
}

func TestAClientWithSeveralRedirectURIsMustNameOne(t *testing.T) {
	for name, registered := range map[string][]string{"two": {"https://a.example.com/", "https://b.example.com/"}, "none": nil} {
		if _, _, err := MatchRedirectURI("", registered, true); err == nil {
			t.Errorf("%s: a redirect URI was chosen for the client", name)
		}
	}
}

// What registers works at the authorization endpoint, and the reverse.
func TestRegistrationAndAuthorizationHaveOneRule(t *testing.T) {
	const anyone, public, never = "anyone", "public clients", "nobody"
	uris := map[string]string{
		"https://app.example.com/cb":                     anyone,
		"https://app.example.com":                        anyone,
		"https://app.example.com:8443/cb?a=1&b=2":        anyone,
		"https://claude.ai/api/mcp/auth_callback":        anyone,
		"https://vscode.dev/redirect":                    anyone,
		"https://192.0.2.1/cb":                           anyone,
		"https://[2001:db8::1]:8443/cb":                  anyone,
		"https://localhost:8443/cb":                      anyone,
		"https://xn--pp-fka.example.com/cb":              anyone,
		"http://127.0.0.1:33418/":                        anyone,
		"http://127.0.0.1":                               anyone,
		"http://127.0.0.1:6276/oauth/callback":           anyone,
		"http://127.0.0.1:8080/cb?a=b":                   anyone,
		"http://[::1]/cb":                                anyone,
		"http://[::1]:3000/cb":                           anyone,
		"http://localhost:3334/oauth/callback":           anyone,
		"cursor://anysphere.cursor-mcp/oauth/callback":   public,
		"vscode://vscode.github-authentication/callback": public,
		"vscode-insiders://vscode.github/callback":       public,
		"windsurf://codeium.windsurf/oauth/callback":     public,
		"claude://oauth/callback":                        public,
		"zed://auth/callback":                            public,
		"vscodium://publisher.extension/callback":        public,
		"code-oss://publisher.extension/callback":        public,
		"goose://oauth/callback":                         public,
		"warp://mcp/oauth2callback":                      public,
		"raycast://oauth/callback":                       public,
		"jetbrains://idea/oauth/callback":                public,
		"kiro://kiro.oauth/callback":                     public,
		"trae://oauth/callback":                          public,
		"lmstudio://oauth/callback":                      public,
		"librechat://oauth/callback":                     public,
		"cline://oauth/callback":                         public,
		"com.example.app:/callback":                      public,
		"com.example.app://callback":                     public,
		"com.example.app:callback":                       public,
		"com.example.app:callback?a=b":                   public,
		"com.example.app:///callback":                    public,
		"com.Example.App:/callback":                      public,
		"io.github.user-name.app2:/callback":             public,

		"":                                                     never,
		"/cb":                                                  never,
		"//app.example.com/cb":                                 never,
		"app.example.com/cb":                                   never,
		"https:":                                               never,
		"https://":                                             never,
		"https:///cb":                                          never,
		"https:/app.example.com/cb":                            never,
		"https:app.example.com/cb":                             never,
		"https://:443/cb":                                      never,
		"https://user@app.example.com/cb":                      never,
		"https://a:b@app.example.com/cb":                       never,
		"https://app.example.com/cb#":                          never,
		"https://app.example.com/cb#x":                         never,
		"https://*.example.com/cb":                             never,
		"https://app.example.com/*":                            never,
		"https://app.example.com\\@evil/cb":                    never,
		"https://app.example.com/c b":                          never,
		"https://app.example.com/\ncb":                         never,
		"https://app.éxample.com/cb":                           never,
		"https://app.%C3%A9xample.com/cb":                      never,
		"https://app.example.com/x/../cb":                      never,
		"https://app.example.com/./cb":                         never,
		"https://app.example.com/cb/..":                        never,
		"https://app.example.com/%2e%2E/cb":                    never,
		"https://app.example.com/.%2e/cb":                      never,
		"https://app.example.com:0/cb":                         never,
		"https://app.example.com:/cb":                          never,
		"https://app.example.com:08443/cb":                     never,
		"https://app.example.com:65536/cb":                     never,
		"https://app.example.com,evil/cb":                      never,
		"https://app..example.com/cb":                          never,
		"https://127.1/cb":                                     never,
		"https://0x7f.1/cb":                                    never,
		"https://2130706433/cb":                                never,
		"https://127.0.0.1./cb":                                never,
		"https://127.0.0.01/cb":                                never,
		"https://[::ffff:127.0.0.1]/cb":                        never,
		"https://[0:0:0:0:0:0:0:1]/cb":                         never,
		"https://[2001:DB8::1]/cb":                             never,
		"https://[fe80::1%25eth0]/cb":                          never,
		"http://app.example.com/cb":                            never,
		"http://127.0.0.1.evil.example/cb":                     never,
		"http://localhost.evil.example/cb":                     never,
		"http://app.localhost/cb":                              never,
		"http://localhost./cb":                                 never,
		"http://LOCALHOST/cb":                                  never,
		"http://localhost@evil.example/cb":                     never,
		"http://0.0.0.0/cb":                                    never,
		"http://127.0.0.2/cb":                                  never,
		"http://127.1/cb":                                      never,
		"http://2130706433/cb":                                 never,
		"http://127.0.0.1:0/cb":                                never,
		"http://127.0.0.1:08080/cb":                            never,
		"http://127.0.0.1:/cb":                                 never,
		"http://127.0.0.1:65536/cb":                            never,
		"http://127.0.0.1:8080/x/../cb":                        never,
		"http://127.0.0.1/%2e./cb":                             never,
		"http://[::1]:0/cb":                                    never,
		"http://[0::1]/cb":                                     never,
		"http://[::ffff:127.0.0.1]/cb":                         never,
		"http://[::1%25lo]/cb":                                 never,
		"http://192.168.1.1/cb":                                never,
		"http:127.0.0.1/cb":                                    never,
		"HTTP://127.0.0.1/cb":                                  never,
		"javascript:alert(1)":                                  never,
		"JavaScript://x/%0aalert(1)":                           never,
		"data:text/html,hi":                                    never,
		"file:///etc/passwd":                                   never,
		"FILE://host/x":                                        never,
		"cursor://host/../cb":                                  never,
		"cursor://user@host/cb":                                never,
		"cursor:///cb":                                         never,
		"cursor://":                                            never,
		"com.example.app:":                                     never,
		"com.example.app://":                                   never,
		"com.example.app:?a":                                   never,
		"com.example.app:/x/../cb":                             never,
		"com.example.app:x/../cb":                              never,
		"com.example.app:cb#x":                                 never,
		"com.example..app:/cb":                                 never,
		"com.example+app:/cb":                                  never,
		"web+app://host/cb":                                    never,
		"urn:ietf:wg:oauth:2.0:oob":                            never,
		"myapp:/callback":                                      never,
		"myapp:callback":                                       never,
		"https://app.example.com/" + strings.Repeat("x", 2048): never,
	}
	for _, scheme := range []string{
		"javascript", "data", "file", "vbscript", "blob", "about", "filesystem", "view-source", "intent", "ws", "wss", "ftp", "ftps", "sftp", "ssh",
		"telnet", "ldap", "ldaps", "gopher", "smb", "mailto", "tel", "sms", "facetime", "facetime-audio", "urn", "cid", "mid", "magnet", "content", "resource", "res", "jar",
		"chrome", "chrome-extension", "chrome-untrusted", "moz-extension", "safari-web-extension", "edge", "ms-msdt", "ms-settings", "ms-word", "ms-appinstaller",
		"ms-officecmd", "search-ms", "search", "shell", "local", "microsoft-edge", "microsoft.windows.camera", "windowsdefender", "hcp", "jnlp", "android-app",
		"android.resource", "market", "itms", "itms-apps", "itms-services", "macappstore", "x-apple.systempreferences", "x-man-page", "prefs", "app-prefs", "geo", "maps",
		"rdp", "vnc", "git", "svn+ssh", "git+ssh", "nfs", "irc", "xmpp", "sip", "callto", "otpauth", "webcal", "bitcoin", "web+app", "ext+app", "z39.50r", "soap.beep", "http", "https",
		"googlechrome", "x-safari-https",
		"apturl", "snap", "appstream", "flatpak", "admin", "afc", "afp", "burn", "computer", "dav", "davs", "network", "recent", "trash", "google-drive", "mtp",
		"gphoto2", "zip", "tar", "archive", "putty", "winbox", "spice", "virt-viewer", "teamviewer", "anydesk", "iterm2", "skype", "whatsapp", "tg", "steam",
		"safari", "chromium", "firefox", "google-chrome", "opera", "brave", "vivaldi", "arc", "cros", "wsl", "systemsettings", "acrobat",
	} {
		uris[scheme+":x"], uris[scheme+":/x"], uris[strings.ToUpper(scheme)+":x"] = never, never, never
		if scheme != "https" {
			uris[scheme+"://x/cb"] = never
		}
	}
	for uri, who := range uris {
		for _, isPublic := range []bool{false, true} {
			want := who == anyone || who == public && isPublic
			if err := CheckRedirectURI(uri, isPublic); (err == nil) != want {
				t.Errorf("register %q, public %v: %v; it is for %s", uri, isPublic, err, who)
			}
			target, exact, err := MatchRedirectURI(uri, []string{uri}, isPublic)
			if (err == nil) != want {
				t.Errorf("authorize %q, public %v: %v; it is for %s", uri, isPublic, err, who)
			}
			if err == nil && (exact != uri || !strings.EqualFold(target.String(), uri)) {
				t.Errorf("%q became %q and %q", uri, exact, target)
			}
		}
	}
}

// The longest URI that registers has room for a port.
func TestAPortDoesNotMakeARegisteredURITooLong(t *testing.T) {
	registered := "http://127.0.0.1/" + strings.Repeat("x", maxURI-len("http://127.0.0.1/"))
	requested := strings.Replace(registered, "127.0.0.1", "127.0.0.1:65535", 1)
	if err := CheckRedirectURI(registered, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := MatchRedirectURI(requested, []string{registered}, true); err != nil {
		t.Error(err)
	}
}

func TestWhereKeysMayBe(t *testing.T) {
	for uri, allowed := range map[string]bool{
		"https://a.example/jwks": true, "https://a.example:8443/jwks?x=1": true,
		"": false, "http://a.example/jwks": false, "http://127.0.0.1/jwks": false, "https:///jwks": false, "https://u:p@a.example/jwks": false,
		"https://a.example/jwks#x": false, "https://a.example/x/../jwks": false, "https://a.example:0/jwks": false, "com.example.app:/jwks": false,
		"data:application/json,{}": false,
	} {
		if err := CheckJWKSURI(uri); (err == nil) != allowed {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestLoopbackHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost.": true, "127.0.0.1": true, "127.0.0.2": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "example.com": false, "localhost.example.com": false, "127.0.0.1.example.com": false, "10.0.0.1": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
