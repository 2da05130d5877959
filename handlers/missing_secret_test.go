package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// withSecrets is the same server on another replica, which has these system secrets: the first makes tokens.
func (f *fixture) withSecrets(store fosite.Storage, secrets ...string) {
	f.change = func(o *provider.Options) {
		o.SystemSecret, o.PreviousSystemSecrets = nil, nil
		for i, secret := range secrets {
			long := []byte(strings.Repeat(secret, 32))
			if i == 0 {
				o.SystemSecret = long
			} else {
				o.PreviousSystemSecrets = append(o.PreviousSystemSecrets, long)
			}
		}
		o.OnMissingSecret = func(_ context.Context, kind fosite.TokenType) { f.missing = append(f.missing, kind) }
	}
	f.serve(store)
}

// A replica that has not learned of the secret yet must not call the tokens of the others inactive, used or revoked:
// clients throw away what is called so. It says that it cannot tell, and everything is as before where the secret is known.
func TestATokenMadeWithASecretThatIsMissingHereIsAnOutage(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		machine := f.client("machine")
		f.withSecrets(f.store, "n")
		ofMachine, ofPerson, code := f.token("machine", machine), f.login(), f.code()
		requests := map[string]*request{
			"introspection of a machine's token": post("/introspect", "token", ofMachine).basic("machine", machine),
			"introspection of a person's token":  post("/introspect", "token", ofPerson.access).basic("machine", machine),
			"refresh":                            refresh(ofPerson.refresh),
			"code":                               redeem(code),
			"revocation of a machine's token":    post("/revoke", "token", ofMachine).basic("machine", machine),
			"revocation of a person's token":     post("/revoke", "client_id", "app", "token", ofPerson.access),
			"revocation of a refresh token":      post("/revoke", "client_id", "app", "token", ofPerson.refresh),
			"revocation with the wrong hint":     post("/revoke", "client_id", "app", "token", ofPerson.refresh, "token_type_hint", "access_token"),
		}
		f.withSecrets(f.store, "o")
		for what, r := range requests {
			f.missing = nil
			a := f.do(r)
			if a.status != http.StatusServiceUnavailable || a.json["error"] != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s, Retry-After %q", what, a.status, a.text, a.header.Get("Retry-After"))
			}
			if len(f.missing) != 1 {
				t.Errorf("%s: noted as %v, want once", what, f.missing)
			}
		}
		f.withSecrets(f.store, "o", "n") // the replica learns of the secret; nothing was lost
		if a := f.do(post("/introspect", "token", ofMachine).basic("machine", machine)); a.json["active"] != true {
			t.Errorf("the machine's token: %s", a.text)
		}
		if !f.alive(ofPerson.access) {
			t.Error("the person's token is dead")
		}
		f.tokens(redeem(code))
		refreshed := f.tokens(refresh(ofPerson.refresh))
		f.do(requests["revocation of a machine's token"])
		f.do(post("/revoke", "client_id", "app", "token", refreshed.refresh))
		if f.alive(ofMachine) || f.alive(refreshed.access) {
			t.Error("a token outlived its revocation")
		}
	})
}

// Only what the database knows, alive, is an outage: nobody makes one by inventing tokens, and what is dead is called so.
func TestATokenThatTheDatabaseDoesNotKnowIsNoOutage(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		f.app("thief")
		machine := f.client("machine")
		gone := f.client("gone")
		f.withSecrets(f.store, "x")
		invented := []string{f.token("machine", machine), f.token("machine", machine)}
		f.withSecrets(f.store, "n")
		real, revoked, ofGone := f.token("machine", machine), f.token("machine", machine), f.token("gone", gone)
		f.do(post("/revoke", "token", revoked).basic("machine", machine))
		if _, err := f.store.Clients().SetStatus(t.Context(), "gone", client.Disabled, 0); err != nil {
			t.Fatal(err)
		}
		person, rotated, used := f.login(), f.login(), f.code()
		f.tokens(refresh(rotated.refresh))
		f.tokens(redeem(used))
		f.withSecrets(f.store, "o")
		f.clock = f.clock.Add(2 * time.Minute) // over the refresh grace, and over the life of a code

		dot := strings.IndexByte(real, '.')
		for what, token := range map[string]string{
			"revoked":            revoked,
			"of a disabled one":  ofGone,
			"another signature":  real[:dot] + invented[0][dot:],
			"another first half": invented[1][:dot] + real[dot:],
			"a changed time":     flip(real, len("mcp_at_")+7),
			"a changed secret":   flip(real, len("mcp_at_")+9),
			"a time to come":     "mcp_at_" + "AgAAAAAA" + real[len("mcp_at_")+8:],
			"another kind":       "mcp_rt_" + real[len("mcp_at_"):],
		} {
			if a := f.introspect("machine", machine, token); a.status != http.StatusOK || strings.TrimSpace(a.text) != inactive {
				t.Errorf("introspection of a token that is %s: %d %s", what, a.status, a.text)
			}
		}
		for what, r := range map[string]*request{
			"a rotated refresh token":          refresh(rotated.refresh),
			"another client's refresh token":   refresh(person.refresh, "client_id", "thief"),
			"an access token as refresh token": refresh(person.access),
			"a used code":                      redeem(used),
		} {
			if a := f.do(r); a.status != http.StatusBadRequest || a.json["error"] != "invalid_grant" {
				t.Errorf("%s: %d %s", what, a.status, a.text)
			}
		}
		f.clock = f.clock.Add(15 * 24 * time.Hour)
		if a := f.introspect("machine", machine, real); a.status != http.StatusOK || strings.TrimSpace(a.text) != inactive {
			t.Errorf("introspection of an expired token: %d %s", a.status, a.text)
		}
		if len(f.missing) != 0 {
			t.Errorf("noted as made with a missing secret: %v", f.missing)
		}
	})
}

// flip changes the base64 character at i to another one.
func flip(token string, i int) string {
	changed := byte('A')
	if token[i] == changed {
		changed = 'B'
	}
	return token[:i] + string(changed) + token[i+1:]
}

// lookups counts how often a token is looked for.
type lookups struct {
	*storage.Store
	n int
}

func (s *lookups) GetAccessTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if signature != "" {
		s.n++
	}
	return s.Store.GetAccessTokenSession(ctx, signature, session)
}

func (s *lookups) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if signature != "" {
		s.n++
	}
	return s.Store.GetRefreshTokenSession(ctx, signature, session)
}

func (s *lookups) TokenGrant(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error) {
	if signature != "" {
		s.n++
	}
	return s.Store.TokenGrant(ctx, kind, signature)
}

// A token that was altered anywhere is no token, and costs no look at the database, unless it names another secret.
func TestAnAlteredTokenIsNeverAnOutage(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	machine := f.client("machine")
	store := &lookups{Store: f.store}
	f.withSecrets(store, "n", "o")
	token, person := f.token("machine", machine), f.login()
	store.n = 0
	// The name of the secret is bytes 6 to 9 of the first half: eight characters behind the time's.
	names := func(i int) bool { return i >= len("mcp_at_")+8 && i < len("mcp_at_")+14 }
	for i := range token {
		if token[i] == '.' {
			continue
		}
		for what, r := range map[string]*request{
			"introspection": post("/introspect", "token", flip(token, i)).basic("machine", machine),
			"revocation":    post("/revoke", "token", flip(token, i)).basic("machine", machine),
			"refresh":       refresh(flip(person.refresh, i)),
		} {
			before := store.n
			a := f.do(r)
			ok := a.status == http.StatusOK && (what == "revocation" || strings.TrimSpace(a.text) == inactive) || a.json["error"] == "invalid_grant"
			if !ok {
				t.Errorf("%s of a token that is changed at %d: %d %s", what, i, a.status, a.text)
			}
			if store.n != before && !names(i) {
				t.Errorf("%s of a token that is changed at %d: looked for %d times", what, i, store.n-before)
			}
		}
	}
	if len(f.missing) != 0 || !f.alive(token) {
		t.Errorf("noted %v; the token itself must be alive", f.missing)
	}
}
