package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

func TestIntrospectionOfAnActiveToken(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	server := f.client("docs", introspects(docs))
	token := f.token("ci", secret)
	for name, r := range map[string]*request{
		"resource server by Basic": post("/introspect", "token", token).basic("docs", server),
		"resource server by form":  post("/introspect", "token", token, "client_id", "docs", "client_secret", server),
		"the token's own client":   post("/introspect", "token", token).basic("ci", secret),
		"with a wrong hint":        post("/introspect", "token", token, "token_type_hint", "refresh_token").basic("docs", server),
		"with an unknown hint":     post("/introspect", "token", token, "token_type_hint", "id_token").basic("docs", server),
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(r)
			if a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.text)
			}
			iat, _ := a.json["iat"].(float64)
			jti, _ := a.json["jti"].(string)
			if age := time.Since(time.Unix(int64(iat), 0)); age < 0 || age > time.Minute {
				t.Errorf("iat is %v ago", age)
			}
			if jti == "" || strings.Contains(token, jti) {
				t.Errorf("jti %q", jti)
			}
			want := map[string]any{
				"active": true, "scope": "mcp:search", "client_id": "ci", "client_name": "The ci", "token_type": "Bearer",
				"iat": iat, "nbf": iat, "exp": a.json["exp"], "sub": "ci", "aud": []any{docs}, "iss": issuer, "jti": jti,
				"mcp": map[string]any{"resource": docs, "tools": []any{"search", "get_page"}},
			}
			if diff := cmp.Diff(want, a.json); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if exp, _ := a.json["exp"].(float64); exp-iat < twoWeeks-1 || exp-iat > twoWeeks+1 {
				t.Errorf("exp - iat = %v, want %v", exp-iat, twoWeeks)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
		})
	}
}

// Anything that is not an active token that concerns the caller is exactly {"active":false}.
func TestEverythingElseIsInactive(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	server := f.client("docs", introspects(docs))
	stranger := f.client("stranger", introspects(other))
	token := f.token("ci", secret)
	random, signature, _ := strings.Cut(strings.TrimPrefix(token, "mcp_at_"), ".")
	flip := func(s string) string {
		if s[0] == 'A' {
			return "B" + s[1:]
		}
		return "A" + s[1:]
	}
	refresh, _, err := f.oauth.Strategy.GenerateRefreshToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, garbage := range map[string]string{
		"garbage":                             "garbage",
		"10 kB":                               strings.Repeat("a", 10_000),
		"another prefix":                      "mcp_rt_" + random + "." + signature,
		"no prefix":                           random + "." + signature,
		"good random part, bad signature":     "mcp_at_" + random + "." + flip(signature),
		"bad random part, good signature":     "mcp_at_" + flip(random) + "." + signature,
		"signature alone":                     "mcp_at_." + signature,
		"cut off":                             token[:len(token)-1],
		"one character more":                  token + "A",
		"trailing bits in the last character": token[:len(token)-1] + "_",
		"refresh token":                       refresh,
		"SQL":                                 "' OR 1=1 --",
		"NUL":                                 "mcp_at_\x00",
	} {
		t.Run(name, func(t *testing.T) {
			if a := f.introspect("docs", server, garbage); a.status != http.StatusOK || a.text != inactive {
				t.Errorf("got %d %s, want 200 %s", a.status, a.text, inactive)
			}
		})
	}
	t.Run("asked by the resource server of another resource", func(t *testing.T) {
		if a := f.introspect("stranger", stranger, token); a.status != http.StatusOK || a.text != inactive {
			t.Errorf("got %d %s, want 200 %s", a.status, a.text, inactive)
		}
	})
	t.Run("asked by a client that serves no resource and has other tokens", func(t *testing.T) {
		if a := f.introspect("nosy", f.client("nosy"), token); a.status != http.StatusOK || a.text != inactive {
			t.Errorf("got %d %s, want 200 %s", a.status, a.text, inactive)
		}
	})
	for name, kill := range map[string]func(id, token string) error{
		"revoked by its client": func(id, token string) error {
			if a := f.do(post("/revoke", "token", token).basic(id, secret)); a.status != http.StatusOK {
				t.Errorf("revocation: %d %s", a.status, a.text)
			}
			return nil
		},
		"all tokens of its client revoked": func(id, _ string) error { return f.store.RevokeClient(t.Context(), id) },
		"client deleted":                   func(id, _ string) error { return f.store.Clients().Delete(t.Context(), id) },
		"client disabled": func(id, _ string) error {
			c, err := f.store.Clients().Find(t.Context(), id)
			if err != nil {
				return err
			}
			c.Status = client.Disabled
			return f.store.Clients().Update(t.Context(), c)
		},
		"secret revoked": func(id, _ string) error {
			c, err := f.store.Clients().Find(t.Context(), id)
			if err != nil {
				return err
			}
			return f.store.Clients().RevokeSecret(t.Context(), id, c.Secrets[0].ID)
		},
		"issued before a given time": func(id, _ string) error {
			return f.store.RevokeClientBefore(t.Context(), id, time.Now().Add(time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := "victim_" + strings.ReplaceAll(name, " ", "_")
			secret = f.client(id)
			token := f.token(id, secret)
			if a := f.introspect("docs", server, token); a.json["active"] != true {
				t.Fatalf("before: %d %s", a.status, a.text)
			}
			if err := kill(id, token); err != nil {
				t.Fatal(err)
			}
			if a := f.introspect("docs", server, token); a.status != http.StatusOK || a.text != inactive {
				t.Errorf("after: %d %s, want 200 %s", a.status, a.text, inactive)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		f.clock = f.clock.Add((twoWeeks + 60) * time.Second)
		if a := f.introspect("docs", server, token); a.status != http.StatusOK || a.text != inactive {
			t.Errorf("got %d %s, want 200 %s", a.status, a.text, inactive)
		}
	})
}

// A resource server that sends its own token to another resource must not get it back from there.
func TestAResourceServerAcceptsItsOwnClientsTokensForItsResourceAlone(t *testing.T) {
	f := newFixture(t)
	wide := func(c *client.Client) { c.Audience = []string{docs, other} }
	server, machine := f.client("server", wide, introspects(docs)), f.client("machine", wide)
	for name, c := range map[string]struct {
		caller, secret, resource string
		active                   bool
	}{
		"a resource server, for its resource":   {"server", server, docs, true},
		"a resource server, for another":        {"server", server, other, false},
		"a client that serves none, for docs":   {"machine", machine, docs, true},
		"a client that serves none, for others": {"machine", machine, other, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.introspect(c.caller, c.secret, f.token(c.caller, c.secret, "resource", c.resource))
			if active := a.json["active"] == true; active != c.active || !active && a.text != inactive {
				t.Errorf("%s, want active %v", a.text, c.active)
			}
		})
	}
}

// A composition may find refresh tokens valid as well. Resource servers must not take one for an access token.
func TestARefreshTokenIsInactiveInEveryComposition(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	got := f.login()
	f.oauth.Config.DisableRefreshTokenValidation = false
	if use, _, err := f.oauth.IntrospectToken(t.Context(), got.refresh, fosite.AccessToken, provider.NewSession()); use != fosite.RefreshToken || err != nil {
		t.Fatalf("the composition knows it as %q, %v; want that it is valid there", use, err)
	}
	if a := f.inspect(got.refresh); a.status != http.StatusOK || a.text != inactive {
		t.Errorf("refresh token: %d %s, want 200 %s", a.status, a.text, inactive)
	}
	if !f.alive(got.access) {
		t.Error("the access token is inactive")
	}
}

// What never says what a token is used for says nothing about an access token.
func TestATokenOfNoKnownUseIsInactive(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	for _, use := range []fosite.TokenUse{"", fosite.RefreshToken, fosite.AuthorizeCode, fosite.IDToken} {
		router := mux.NewRouter()
		(&handlers.Server{
			Provider: &providerOfUse{f.oauth, use}, AuthenticateIntrospection: f.oauth.Authenticator.Authenticate,
			NewSession: func() fosite.Session { return provider.NewSession() },
		}).Mount(router.PathPrefix(basePath).Subrouter())
		f.router = router
		if a := f.introspect("ci", secret, token); a.status != http.StatusOK || a.text != inactive {
			t.Errorf("a token of use %q: %d %s, want 200 %s", use, a.status, a.text, inactive)
		}
	}
}

// providerOfUse finds valid tokens to be of one use.
type providerOfUse struct {
	fosite.OAuth2Provider
	use fosite.TokenUse
}

func (p *providerOfUse) IntrospectToken(ctx context.Context, token string, use fosite.TokenUse, session fosite.Session, scopes ...string) (fosite.TokenUse, fosite.AccessRequester, error) {
	_, request, err := p.OAuth2Provider.IntrospectToken(ctx, token, use, session, scopes...)
	return p.use, request, err
}

func TestATokenLivesTwoWeeksAndNoLonger(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	start := f.clock
	f.clock = start.Add((twoWeeks - 1) * time.Second)
	if a := f.introspect("ci", secret, token); a.json["active"] != true {
		t.Errorf("a second before its end: %s", a.text)
	}
	f.clock = start.Add((twoWeeks + 1) * time.Second)
	if a := f.introspect("ci", secret, token); a.text != inactive {
		t.Errorf("a second after its end: %s", a.text)
	}
}

func TestWhoMayNotIntrospect(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	f.client("public", func(c *client.Client) { c.TokenEndpointAuthMethod = "none"; c.Secrets = nil }, introspects(docs))
	token := f.token("ci", secret)
	bearer := post("/introspect", "token", token)
	bearer.header.Set("Authorization", "Bearer "+f.token("ci", secret))
	inURL := post("/introspect", "token", token)
	inURL.path += "?access_token=" + f.token("ci", secret)
	for name, c := range map[string]struct {
		r      *request
		status int
		code   string
	}{
		"nobody":                     {post("/introspect", "token", token), 401, "invalid_client"},
		"a wrong secret":             {post("/introspect", "token", token).basic("ci", "guess"), 401, "invalid_client"},
		"a bearer token":             {bearer, 401, "invalid_client"},
		"a bearer token in the URL":  {inURL, 400, "invalid_request"},
		"a public client":            {post("/introspect", "token", token, "client_id", "public"), 401, "invalid_client"},
		"a client without a token":   {post("/introspect", "x", "y").basic("ci", secret), 400, "invalid_request"},
		"a client with an empty one": {post("/introspect", "token", "").basic("ci", secret), 400, "invalid_request"},
		"a client with two":          {post("/introspect", "token", token, "token", token).basic("ci", secret), 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := f.do(c.r); a.status != c.status || a.json["error"] != c.code || strings.Contains(a.text, "active") {
				t.Errorf("got %d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
		})
	}
}

// JSON readers differ in whether they tell Scope from scope, so a claim may not come close to a reserved one.
func TestNoExtraClaimTouchesAReservedMember(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	f.hooks = []provider.IntrospectionHook{func(_ context.Context, token fosite.AccessRequester) error {
		claims := token.GetSession().(fosite.ExtraClaimsSession).GetExtraClaims()
		claims["active"], claims["Scope"], claims["SUB"], claims["team"] = false, "admin", "root", "docs"
		return nil
	}}
	f.serve(f.store)
	a := f.introspect("ci", secret, token)
	for _, name := range []string{"Scope", "SUB"} {
		if _, ok := a.json[name]; ok {
			t.Errorf("the answer has a member %s: %s", name, a.text)
		}
	}
	if a.json["active"] != true || a.json["scope"] != "mcp:search" || a.json["team"] != "docs" {
		t.Errorf("answer %s", a.text)
	}
}

// A hook that cannot tell is an outage, not an inactive token.
func TestAHookThatFailsIsAnOutage(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"a foreign error": {errDisk, http.StatusServiceUnavailable},
		"a server error":  {fosite.ErrServerError, http.StatusInternalServerError},
		"a veto":          {fosite.ErrInactiveToken, http.StatusOK},
	} {
		f.hooks = []provider.IntrospectionHook{func(context.Context, fosite.AccessRequester) error { return c.err }}
		f.serve(f.store)
		if a := f.introspect("ci", secret, token); a.status != c.status || a.status == http.StatusOK && a.text != inactive {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.text, c.status)
		}
	}
}
