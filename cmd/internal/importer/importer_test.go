package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

func TestClientFilesComeInSeveralShapes(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []string
		partial    bool
	}{
		{"an array", `[{"a":1},{"a":2}]`, []string{`{"a":1}`, `{"a":2}`}, false},
		{"an empty array", ` [] `, nil, false},
		{"our list", `{"items":[{"a":1}]}`, []string{`{"a":1}`}, false},
		{"our list with more to come", `{"items":[{"a":1}],"next_cursor":"x"}`, []string{`{"a":1}`}, true},
		{"Hydra's list", `{"items":[{"a":1}],"next_page_token":"","is_last_page":true}`, []string{`{"a":1}`}, false},
		{"Hydra's list with more to come", `{"next_page_token":"x","items":[{"a":1}]}`, []string{`{"a":1}`}, true},
		{"all pages in a row", `{"items":[{"a":1}],"next_cursor":"x"}{"items":[{"a":2}]}`, []string{`{"a":1}`, `{"a":2}`}, false},
		{"one client", `{"client_id":"a","x":{"y":[1]}}`, []string{`{"client_id":"a","x":{"y":[1]}}`}, false},
		{"one client on each line", "{\"a\":1}\n{\"a\":2}\n", []string{`{"a":1}`, `{"a":2}`}, false},
		{"entries of the wrong type", `[1,null,[],"x"]`, []string{"1", "null", "[]", `"x"`}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			partial, err := readClients(strings.NewReader(tt.file), func(index int, raw json.RawMessage) error {
				if index != len(got)+1 {
					t.Errorf("index %d for entry %d", index, len(got)+1)
				}
				got = append(got, string(raw))
				return nil
			})
			if err != nil || partial != tt.partial {
				t.Errorf("partial %v, error %v", partial, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileThatIsNotJSONIsRefusedAfterWhatCameBefore(t *testing.T) {
	for file, before := range map[string]int{
		"": 0, "  ": 0, "x": 0, "5": 0, `"x"`: 0, "null": 0, `[{"a":1},`: 1, `[{"a":1}`: 1, `[{"a":1} {"b":2}]`: 1, `{"items":5}`: 0, `{"items":[{}]`: 1,
		`{"client_id":"a"`: 0, `[{"a":1}]]`: 1, `[{"a":}]`: 0,
	} {
		n := 0
		_, err := readClients(strings.NewReader(file), func(int, json.RawMessage) error { n++; return nil })
		if err == nil || n != before {
			t.Errorf("%s: error %v after %d entries, want %d", file, err, n, before)
		}
	}
	stop := errors.New("stop")
	if _, err := readClients(strings.NewReader("[1,2]"), func(int, json.RawMessage) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

// generated is a list of clients that nobody holds in memory.
type generated struct {
	n, size int
	rest    string
}

func (g *generated) Read(p []byte) (int, error) {
	if g.rest == "" {
		switch g.n++; {
		case g.n == 1:
			g.rest = `[{"client_id":"first"}`
		case g.n <= g.size:
			g.rest = fmt.Sprintf(`,{"client_id":"c%d"}`, g.n)
		case g.n == g.size+1:
			g.rest = "]"
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func TestAFileIsReadEntryByEntry(t *testing.T) {
	source := &generated{size: 100_000}
	seen, furthest := 0, 0
	_, err := readClients(source, func(int, json.RawMessage) error {
		seen++
		furthest = max(furthest, source.n-seen)
		return nil
	})
	if err != nil || seen != 100_000 || furthest > 5_000 {
		t.Errorf("%d entries, up to %d read ahead, error %v", seen, furthest, err)
	}
}

func TestMembersOfAForeignClient(t *testing.T) {
	rules := Rules{Rules: client.Rules{Scopes: []string{"mcp:search"}, Resources: []string{"https://docs.example.com/mcp"}}}
	drop := rules
	drop.DropUnknown = true
	for _, tt := range []struct {
		name   string
		rules  Rules
		client string
		patch  string
		notes  []string
	}{
		{"plain members are taken over", rules, `{"client_id":"a","client_name":"A","owner":"o","redirect_uris":["https://a.example.com/"],"metadata":{"x":1},"status":"disabled"}`,
			`{"client_name":"A","owner":"o","redirect_uris":["https://a.example.com/"],"metadata":{"x":1},"status":"disabled"}`, nil},
		{"empty members are not set", rules, `{"client_id":"a","client_name":"","redirect_uris":[],"grant_types":[],"audience":[],"jwks":{},"jwks_uri":"","metadata":{},"owner":null}`, `{}`, nil},
		{"an emptied owner and scope count", rules, `{"client_id":"a","owner":"","scope":""}`, `{"owner":"","scope":""}`, nil},
		{"doubles are merged", rules, `{"client_id":"a","scope":" mcp:search  mcp:search ","grant_types":["client_credentials","client_credentials"]}`,
			`{"scope":"mcp:search","grant_types":["client_credentials"]}`, nil},
		{"what the server does not know is left to its rules", rules, `{"client_id":"a","scope":"openid","grant_types":["implicit"]}`, `{"scope":"openid","grant_types":["implicit"]}`, nil},
		{"or left out", drop, `{"client_id":"a","scope":"openid mcp:search","grant_types":["implicit","client_credentials"],"audience":["x"]}`,
			`{"scope":"mcp:search","grant_types":["client_credentials"]}`,
			[]string{`scope "openid" is left out`, `audience "x" is left out`, `grant type "implicit" is left out`}},
		{"members without a counterpart are named", rules, `{"client_id":"a","contacts":["x"],"logo_uri":"https://x","skip_consent":false,"created_at":"2023-01-01T00:00:00Z","registration_access_token":"s"}`,
			`{}`, []string{"not carried over: contacts, logo_uri"}},
		{"response types follow from the grants", rules, `{"client_id":"a","response_types":["code","id_token"]}`, `{}`, []string{`response type "id_token" is left out`}},
		{"one lifespan", rules, `{"client_id":"a","grant_types":["client_credentials"],"client_credentials_grant_access_token_lifespan":"336h0m0s"}`,
			`{"grant_types":["client_credentials"],"access_token_lifespan":1209600}`, nil},
		{"the shortest of several lifespans", rules, `{"client_id":"a","grant_types":["authorization_code","refresh_token"],"authorization_code_grant_access_token_lifespan":"2h","refresh_token_grant_access_token_lifespan":"1h"}`,
			`{"grant_types":["authorization_code","refresh_token"],"access_token_lifespan":3600}`, []string{"its access tokens live 1h, whatever the grant"}},
		{"lifespans of other grants do not count", rules, `{"client_id":"a","grant_types":["client_credentials"],"refresh_token_grant_access_token_lifespan":"1h"}`,
			`{"grant_types":["client_credentials"]}`, nil},
		{"a public client has no secret", rules, `{"client_id":"a","token_endpoint_auth_method":"none","client_secret":"$2a$10$x"}`,
			`{"token_endpoint_auth_method":"none"}`, []string{"its secret is left out: auth method none has no use for one"}},
		{"keys are taken over whole", rules, `{"client_id":"a","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","jwks":{"keys":[{"kty":"EC"}]}}`,
			`{"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","jwks":{"keys":[{"kty":"EC"}]}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, err := tt.rules.parseClient(json.RawMessage(tt.client))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(client.patch)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decoded(t, tt.patch), decoded(t, string(got))); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.notes, client.notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func decoded(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSecretHashesAreTakenOverAndNeverQuoted(t *testing.T) {
	const salt, key = "c2FsdHNhbHRzYWx0c2FsdA", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
	for _, tt := range []struct {
		hash, kind string // kind empty: refused
	}{
		{"$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "bcrypt"},
		{"$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "bcrypt"},
		{"$pbkdf2-sha256$i=25000,l=32$" + salt + "$" + key, "pbkdf2-sha256"},
		{"$pbkdf2-sha512$i=25000,l=32$" + salt + "$" + key, "pbkdf2-sha512"},
		{"$argon2id$v=19$m=65536,t=1,p=4$" + salt + "$" + key, "argon2id"},
		{"hunter2hunter2hunter2", ""},
		{"$pbkdf2-sha256$i=900000000,l=32$" + salt + "$" + key, ""},
		{"$argon2id$v=19$m=99999999,t=1,p=4$" + salt + "$" + key, ""},
		{"$2a$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", ""},
		{"$1$abc$hunter2", ""},
	} {
		raw, err := json.Marshal(map[string]any{"client_id": "a", "client_secret": tt.hash})
		if err != nil {
			t.Fatal(err)
		}
		client, err := Rules{}.parseClient(raw)
		switch {
		case tt.kind == "" && err == nil:
			t.Errorf("%s is accepted", tt.hash)
		case tt.kind == "" && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), salt)):
			t.Errorf("the error quotes the secret: %v", err)
		case tt.kind != "" && (err != nil || hashKind(client.secret.Hash) != tt.kind):
			t.Errorf("%s: %v, want %s", tt.hash, err, tt.kind)
		}
	}
}

func TestEntriesThatCannotBeAClient(t *testing.T) {
	for entry, want := range map[string]string{
		`5`:                                    "it is not a JSON object",
		`{}`:                                   "client_id is missing",
		`{"client_id":5}`:                      "client_id must not be a JSON number",
		`{"client_id":"a","client_secret":77}`: "client_secret must not be a JSON number",
		`{"client_id":"a","scope":["x"]}`:      "scope must not be a JSON array",
		`{"client_id":"a b"}`:                  "client_id must be 1 to 128 letters",
		`{"client_id":"a/b"}`:                  "client_id must be 1 to 128 letters",
		`{"client_id":".."}`:                   "client_id must be 1 to 128 letters",
		`{"client_id":"` + strings.Repeat("a", 129) + `"}`:                                                                               "client_id must be 1 to 128 letters",
		`{"client_id":"user_` + strings.Repeat("a7", 13) + `"}`:                                                                          "must not be like the id of an account",
		`{"client_id":"a","grant_types":["client_credentials"],"client_credentials_grant_access_token_lifespan":"long"}`:                 "lifespan of client_credentials",
		`{"client_id":"a","client_secret":"$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234","client_secret_expires_at":-1}`: "client_secret_expires_at is not a time",
	} {
		_, err := Rules{}.parseClient(json.RawMessage(entry))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}

func FuzzClientFile(f *testing.F) {
	f.Add(`[{"client_id":"a","client_secret":"$2a$10$x","scope":"x y","jwks":{"keys":[{}]}}]`)
	f.Add(`{"items":[{"client_id":"a"},5],"next_page_token":"x"}{"items":[]}`)
	f.Add(`{"client_id":"a","grant_types":["client_credentials"],"client_credentials_grant_access_token_lifespan":"1h"}`)
	rules := Rules{Rules: client.Rules{Scopes: []string{"x"}}, DropUnknown: true}
	f.Fuzz(func(t *testing.T, file string) {
		_, _ = readClients(strings.NewReader(file), func(_ int, raw json.RawMessage) error {
			client, err := rules.parseClient(raw)
			if err != nil {
				return nil
			}
			if !validID.MatchString(client.id) {
				t.Errorf("the id %q got through", client.id)
			}
			if _, err := json.Marshal(client.patch); err != nil {
				t.Errorf("the patch cannot be sent: %v", err)
			}
			return nil
		})
	})
}
