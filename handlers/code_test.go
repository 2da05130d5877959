package handlers_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

func TestACodeIsRedeemedForTokensOfThePerson(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("once", func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} })
	secret := f.webApp("web")
	web := []string{"client_id", "web", "redirect_uri", webCallback}
	for name, c := range map[string]struct {
		r       *request
		members []string
		scope   string
	}{
		"public client": {redeem(f.code()), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search mcp:admin"},
		"with one scope": {redeem(f.code("scope", "mcp:search")), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"},
			"mcp:search"},
		"without redirect_uri (OAuth 2.1)": {redeem(f.code(), "redirect_uri", "-"), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search mcp:admin"},
		"scope is not a parameter here":    {redeem(f.code(), "scope", "root"), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search mcp:admin"},
		"client without the refresh grant": {redeem(f.code("client_id", "once"), "client_id", "once"), []string{"access_token", "expires_in", "scope", "token_type"}, "mcp:search mcp:admin"},
		"confidential client by Basic":     {redeem(f.code(web...), append(web, "client_id", "-")...).basic("web", secret), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search"},
		"confidential client by form":      {redeem(f.code(web...), append(web, "client_secret", secret)...), []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search"},
		"public client, Basic and no secret": {redeem(f.code(), "client_id", "-").basic("app", ""),
			[]string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}, "mcp:search mcp:admin"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(c.r)
			if diff := cmp.Diff(c.members, slices.Sorted(maps.Keys(a.json))); a.status != http.StatusOK || diff != "" {
				t.Fatalf("%d %s (-want +got):\n%s", a.status, a.text, diff)
			}
			if a.json["token_type"] != "Bearer" || a.json["scope"] != c.scope || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("answer %s, want the scope %q", a.text, c.scope)
			}
			if refresh, ok := a.json["refresh_token"].(string); ok && !strings.HasPrefix(refresh, "mcp_rt_") {
				t.Errorf("refresh_token %q", refresh)
			}
		})
	}
}

func TestIntrospectionTellsWhoThePersonIs(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	answer := f.inspect(f.login("scope", "mcp:search", "resource", docs).access)
	for name, want := range map[string]any{
		"active": true, "sub": "u1", "username": "alice", "groups": []any{"staff"}, "client_id": "app", "scope": "mcp:search",
		"aud": []any{docs}, "auth_time": float64(loggedInAt.Unix()), "token_type": "Bearer", "iss": issuer,
	} {
		if diff := cmp.Diff(want, answer.json[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, has := f.inspect(f.token("machine", f.client("machine"))).json["auth_time"]; has {
		t.Error("a machine has an auth_time")
	}
}

// RFC 6749 §5.2, RFC 7636 §4.6, RFC 8707 §2.2. No failed try uses the code up: the right request works afterwards.
func TestRedemptionsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("thief")
	f.app("machine", func(c *client.Client) { c.GrantTypes = []string{"client_credentials"} })
	secret := f.webApp("web")
	otherVerifier := strings.Repeat("v", 43)
	code := f.code()
	for name, c := range map[string]struct {
		r      *request
		status int
		code   string
	}{
		"no code":                        {redeem(code, "code", "-"), 400, "invalid_request"},
		"empty code":                     {redeem(""), 400, "invalid_request"},
		"garbage":                        {redeem("garbage"), 400, "invalid_grant"},
		"changed signature":              {redeem(code[:len(code)-2] + "xx"), 400, "invalid_grant"},
		"signature half alone":           {redeem("mcp_ac_." + code[strings.Index(code, ".")+1:]), 400, "invalid_grant"},
		"other prefix":                   {redeem("mcp_rt_" + strings.TrimPrefix(code, "mcp_ac_")), 400, "invalid_grant"},
		"no verifier":                    {redeem(code, "code_verifier", "-"), 400, "invalid_grant"},
		"empty verifier":                 {redeem(code, "code_verifier", ""), 400, "invalid_grant"},
		"wrong verifier":                 {redeem(code, "code_verifier", otherVerifier), 400, "invalid_grant"},
		"the challenge as verifier":      {redeem(code, "code_verifier", challenge), 400, "invalid_grant"},
		"short verifier":                 {redeem(code, "code_verifier", verifier[1:]), 400, "invalid_grant"},
		"long verifier":                  {redeem(code, "code_verifier", strings.Repeat("v", 129)), 400, "invalid_grant"},
		"verifier of other characters":   {redeem(code, "code_verifier", strings.Repeat("ü", 43)), 400, "invalid_grant"},
		"no verifier, after wrong ones":  {redeem(code, "code_verifier", "-"), 400, "invalid_grant"},
		"another redirect_uri":           {redeem(code, "redirect_uri", "https://evil.example.com/"), 400, "invalid_grant"},
		"another port":                   {redeem(code, "redirect_uri", "http://127.0.0.1:1/callback"), 400, "invalid_grant"},
		"the registered URI, not asked":  {redeem(code, "redirect_uri", "http://127.0.0.1/callback"), 400, "invalid_grant"},
		"another public client":          {redeem(code, "client_id", "thief"), 400, "invalid_grant"},
		"another confidential client":    {redeem(code, "client_id", "-").basic("web", secret), 400, "invalid_grant"},
		"another, with a wrong secret":   {redeem(code, "client_id", "-").basic("web", "guess"), 401, "invalid_client"},
		"nobody":                         {redeem(code, "client_id", "-"), 401, "invalid_client"},
		"unknown client":                 {redeem(code, "client_id", "nobody"), 401, "invalid_client"},
		"public client with a secret":    {redeem(code, "client_secret", "x"), 401, "invalid_client"},
		"client without the grant":       {redeem(code, "client_id", "machine"), 400, "unauthorized_client"},
		"resource that was not granted":  {redeem(code, "resource", other), 400, "invalid_target"},
		"unknown resource":               {redeem(code, "resource", "https://evil.example.com/"), 400, "invalid_target"},
		"resource of nobody's":           {redeem(code, "resource", origin), 400, "invalid_target"},
		"audience that was not granted":  {redeem(code, "audience", other), 400, "invalid_target"},
		"grant type in capitals":         {redeem(code, "grant_type", "AUTHORIZATION_CODE"), 400, "unsupported_grant_type"},
		"two grant types":                {redeem(code, "grant_type", "authorization_code refresh_token"), 400, "unsupported_grant_type"},
		"refresh grant with a code":      {redeem(code, "grant_type", "refresh_token"), 400, "invalid_request"},
		"refresh grant, code as token":   {redeem(code, "grant_type", "refresh_token", "refresh_token", code), 400, "invalid_grant"},
		"code given twice":               {&request{http.MethodPost, basePath + "/token", contentForm, redeem(code).body + "&code=x", http.Header{}}, 400, "invalid_request"},
		"verifier in the URL":            {&request{http.MethodPost, basePath + "/token?code_verifier=" + verifier, contentForm, redeem(code).body, http.Header{}}, 400, "invalid_request"},
		"GET":                            {&request{http.MethodGet, basePath + "/token?" + redeem(code).body, "", "", http.Header{}}, 405, "invalid_request"},
		"plain, declared at redemption":  {redeem(code, "code_verifier", challenge, "code_challenge_method", "plain"), 400, "invalid_grant"},
		"challenge sent at redemption":   {redeem(code, "code_verifier", otherVerifier, "code_challenge", pkce(otherVerifier)), 400, "invalid_grant"},
		"verifier with a line feed more": {redeem(code, "code_verifier", verifier+"\n"), 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(c.r)
			if a.status != c.status || a.json["error"] != c.code || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %s, want %d %s, not cached", a.status, a.text, c.status, c.code)
			}
			if (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("status %d with WWW-Authenticate %q", a.status, a.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(a.text, code) || strings.Contains(a.text, verifier) {
				t.Errorf("the answer holds a secret: %s", a.text)
			}
		})
	}
	if got := f.tokens(redeem(code)); !f.alive(got.access) {
		t.Error("the right request no longer works")
	}
}

// RFC 6749 §4.1.2: a second redemption by the client itself means that the code was stolen, before or after.
func TestACodeThatIsUsedTwiceEndsTheGrant(t *testing.T) {
	for name, second := range map[string]func(code string) *request{
		"as the first time":      func(code string) *request { return redeem(code) },
		"with a wrong verifier":  func(code string) *request { return redeem(code, "code_verifier", strings.Repeat("v", 43)) },
		"with another resource":  func(code string) *request { return redeem(code, "resource", other) },
		"without a redirect_uri": func(code string) *request { return redeem(code, "redirect_uri", "-") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.app("app")
			code := f.code()
			first := f.tokens(redeem(code))
			refreshed := f.tokens(refresh(first.refresh))
			if a := f.do(second(code)); a.status != 400 || a.json["error"] != "invalid_grant" {
				t.Errorf("second use: %d %s, want 400 invalid_grant", a.status, a.text)
			}
			if f.alive(first.access) || f.alive(refreshed.access) {
				t.Error("an access token outlived the reuse")
			}
			if a := f.do(refresh(refreshed.refresh)); a.json["error"] != "invalid_grant" {
				t.Errorf("the refresh token outlived the reuse: %s", a.text)
			}
		})
	}
}

func TestNobodyElseCanEndAGrantWithAUsedCode(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("thief")
	secret := f.webApp("web")
	code := f.code()
	got := f.tokens(redeem(code))
	for name, r := range map[string]*request{
		"another client":              redeem(code, "client_id", "thief"),
		"another, confidential one":   redeem(code, "client_id", "-").basic("web", secret),
		"somebody who fails to prove": redeem(code, "client_id", "-").basic("web", "guess"),
		"nobody":                      redeem(code, "client_id", "-"),
		"one who has a signature":     redeem("mcp_ac_" + strings.Repeat("A", 43) + code[strings.Index(code, "."):]),
	} {
		if a := f.do(r); a.status == http.StatusOK {
			t.Errorf("%s: %s", name, a.text)
		}
		if !f.alive(got.access) {
			t.Fatalf("%s has ended the grant", name)
		}
	}
}

func TestACodeLivesAMinute(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	early, late := f.code(), f.code()
	f.clock = f.clock.Add(58 * time.Second)
	f.tokens(redeem(early))
	f.clock = f.clock.Add(10 * time.Second)
	if a := f.do(redeem(late)); a.status != 400 || a.json["error"] != "invalid_grant" {
		t.Errorf("got %d %s, want 400 invalid_grant", a.status, a.text)
	}
}

func TestACodeDiesWithWhatItStandsFor(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*client.Client)
		status int
		code   string
	}{
		"client disabled":          {func(c *client.Client) { c.Status = client.Disabled }, 401, "invalid_client"},
		"client lost the grant":    {func(c *client.Client) { c.GrantTypes = []string{"refresh_token"} }, 400, "unauthorized_client"},
		"client lost all scopes":   {func(c *client.Client) { c.Scope = []string{"mcp:other"} }, 400, "invalid_grant"},
		"client lost the resource": {func(c *client.Client) { c.Audience = []string{other} }, 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.app("app")
			code := f.code()
			f.edit("app", c.edit)
			if a := f.do(redeem(code)); a.status != c.status || a.json["error"] != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
		})
	}
	t.Run("all of the client's tokens revoked", func(t *testing.T) {
		f := newFixture(t)
		f.app("app")
		code := f.code()
		if err := f.store.RevokeClient(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		if a := f.do(redeem(code)); a.status != 400 || a.json["error"] != "invalid_grant" {
			t.Errorf("got %d %s, want 400 invalid_grant", a.status, a.text)
		}
	})
}

// edit changes a registered client.
func (f *fixture) edit(id string, edit func(*client.Client)) {
	f.t.Helper()
	c, err := f.store.Clients().Find(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	edit(c)
	if err := f.store.Clients().Update(f.t.Context(), c); err != nil {
		f.t.Fatal(err)
	}
}

// RFC 8707 §2.2: the token request may narrow the access token; the refresh token keeps the whole grant.
func TestAResourceAtRedemptionNarrowsTheAccessTokenOnly(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	query := authorizeQuery().Encode() + "&resource=" + url.QueryEscape(docs) + "&resource=" + url.QueryEscape(other)
	code := f.visit(query).sentBack(t, callback).Get("code")
	got := f.tokens(redeem(code, "resource", other))
	if diff := cmp.Diff([]any{other}, f.inspect(got.access).json["aud"]); diff != "" {
		t.Errorf("narrowed (-want +got):\n%s", diff)
	}
	got = f.tokens(refresh(got.refresh))
	if diff := cmp.Diff([]any{docs, other}, f.inspect(got.access).json["aud"]); diff != "" {
		t.Errorf("refreshed (-want +got):\n%s", diff)
	}
}

func TestLifespansOfPeoplesTokens(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.change = func(o *provider.Options) { o.PersonTokenLifespan = time.Hour }
	})
	f.app("app")
	person := f.inspect(f.login().access)
	machine := f.inspect(f.token("machine", f.client("machine")))
	for name, c := range map[string]struct {
		answer answer
		want   time.Duration
	}{"person": {person, time.Hour}, "machine": {machine, provider.TokenLifespan}} {
		iat, _ := c.answer.json["iat"].(float64)
		exp, _ := c.answer.json["exp"].(float64)
		if got := time.Duration(exp-iat) * time.Second; got < c.want-2*time.Second || got > c.want+2*time.Second {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
