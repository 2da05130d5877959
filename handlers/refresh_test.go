package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

func TestARefreshTokenIsRotatedAndKeepsWhoAndWhat(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	first := f.login("scope", "mcp:search", "resource", other)
	before := f.inspect(first.access)
	second := f.tokens(refresh(first.refresh)) // x/oauth2 sends neither resource nor scope
	if second.refresh == "" || second.refresh == first.refresh || second.access == first.access {
		t.Fatalf("not rotated: %v", second)
	}
	if f.alive(first.access) {
		t.Error("the access token beside the used refresh token is alive")
	}
	after := f.inspect(second.access)
	for _, name := range []string{"active", "sub", "username", "groups", "scope", "aud", "client_id", "auth_time"} {
		if diff := cmp.Diff(before.json[name], after.json[name]); diff != "" || after.json[name] == nil {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}

// Earlier versions made up when people had proven who they are. What they stored is told to nobody.
func TestATimeOfLoginThatMayBeMadeUpIsToldToNobody(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	got := f.login()
	for _, table := range []string{"access_tokens", "refresh_tokens"} {
		done := f.db.Exec(`UPDATE ` + table + ` SET session = json_set(json_remove(session, '$.proven_at'), '$.auth_time', '2026-11-01T08:00:00Z')`)
		if done.Error != nil || done.RowsAffected != 1 {
			t.Fatal(done.Error, done.RowsAffected)
		}
	}
	for range 2 {
		a := f.inspect(got.access)
		if _, told := a.json["auth_time"]; told || a.json["sub"] != "u1" {
			t.Errorf("told %s", a.text)
		}
		got = f.tokens(refresh(got.refresh))
	}
}

// RFC 6749 §5.2 and §6, RFC 8707 §2.2. No failed try uses the token up.
func TestRefreshesThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("thief")
	f.app("once", func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} })
	secret := f.webApp("web")
	machine := f.client("machine")
	got := f.login("scope", "mcp:search")
	token := got.refresh
	for name, c := range map[string]struct {
		r      *request
		status int
		code   string
	}{
		"no token":                      {refresh(token, "refresh_token", "-"), 400, "invalid_request"},
		"empty token":                   {refresh(""), 400, "invalid_request"},
		"garbage":                       {refresh("garbage"), 400, "invalid_grant"},
		"changed signature":             {refresh(token[:len(token)-2] + "xx"), 400, "invalid_grant"},
		"access token":                  {refresh(got.access), 400, "invalid_grant"},
		"access token, other prefix":    {refresh("mcp_rt_" + strings.TrimPrefix(got.access, "mcp_at_")), 400, "invalid_grant"},
		"more scope than granted":       {refresh(token, "scope", "mcp:search mcp:admin"), 400, "invalid_scope"},
		"another scope":                 {refresh(token, "scope", "mcp:admin"), 400, "invalid_scope"},
		"unknown scope":                 {refresh(token, "scope", "openid"), 400, "invalid_scope"},
		"resource that was not granted": {refresh(token, "resource", other), 400, "invalid_target"},
		"unknown resource":              {refresh(token, "resource", "https://evil.example.com/"), 400, "invalid_target"},
		"audience that was not granted": {refresh(token, "audience", other), 400, "invalid_target"},
		"another public client":         {refresh(token, "client_id", "thief"), 400, "invalid_grant"},
		"another confidential client":   {refresh(token, "client_id", "-").basic("web", secret), 400, "invalid_grant"},
		"another, with a wrong secret":  {refresh(token, "client_id", "-").basic("web", "guess"), 401, "invalid_client"},
		"nobody":                        {refresh(token, "client_id", "-"), 401, "invalid_client"},
		"unknown client":                {refresh(token, "client_id", "nobody"), 401, "invalid_client"},
		"client without the grant":      {refresh(token, "client_id", "once"), 400, "unauthorized_client"},
		"machine":                       {refresh(token, "client_id", "-").basic("machine", machine), 400, "unauthorized_client"},
		"token in the URL":              {&request{http.MethodPost, basePath + "/token?refresh_token=" + token, contentForm, refresh(token).body, http.Header{}}, 400, "invalid_request"},
		"token given twice":             {&request{http.MethodPost, basePath + "/token", contentForm, refresh(token).body + "&refresh_token=x", http.Header{}}, 400, "invalid_request"},
		"code grant with a refresh":     {refresh(token, "grant_type", "authorization_code", "code", token), 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(c.r)
			if a.status != c.status || a.json["error"] != c.code || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %s, want %d %s, not cached", a.status, a.text, c.status, c.code)
			}
			if (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("status %d with WWW-Authenticate %q", a.status, a.header.Get("WWW-Authenticate"))
			}
			if strings.Contains(a.text, token) {
				t.Errorf("the answer holds the token: %s", a.text)
			}
		})
	}
	if !f.alive(got.access) || !f.alive(f.tokens(refresh(token)).access) {
		t.Error("the right request no longer works")
	}
}

// RFC 6749 §6: the new access token may be narrower; the refresh token keeps what the person allowed.
func TestARefreshMayAskForLess(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	got := f.tokens(refresh(f.login().refresh, "scope", "mcp:search"))
	if scope := f.inspect(got.access).json["scope"]; scope != "mcp:search" {
		t.Errorf("narrowed scope %v", scope)
	}
	got = f.tokens(refresh(got.refresh))
	if scope := f.inspect(got.access).json["scope"]; scope != "mcp:search mcp:admin" {
		t.Errorf("scope of the next refresh %v, want all that was granted", scope)
	}
}

// Concurrent refreshes and lost answers are everyday life; a stolen token that comes later is not.
func TestTheSecondUseOfARefreshToken(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	t.Run("within the grace stays in the family", func(t *testing.T) {
		first := f.login()
		second := f.tokens(refresh(first.refresh))
		f.clock = f.clock.Add(59 * time.Second)
		third := f.tokens(refresh(first.refresh))
		if !f.alive(second.access) || !f.alive(third.access) || third.refresh == second.refresh {
			t.Error("the second use ended the first one's tokens")
		}
		f.tokens(refresh(second.refresh))
		f.tokens(refresh(third.refresh))
	})
	t.Run("after the grace ends the grant", func(t *testing.T) {
		first := f.login()
		second := f.tokens(refresh(first.refresh))
		f.clock = f.clock.Add(61 * time.Second)
		if a := f.do(refresh(first.refresh)); a.status != 400 || a.json["error"] != "invalid_grant" {
			t.Errorf("got %d %s, want 400 invalid_grant", a.status, a.text)
		}
		if f.alive(second.access) {
			t.Error("the access token outlived the reuse")
		}
		if a := f.do(refresh(second.refresh)); a.json["error"] != "invalid_grant" {
			t.Errorf("the successor outlived the reuse: %s", a.text)
		}
	})
	t.Run("by somebody else harms nobody", func(t *testing.T) {
		f.app("thief")
		secret := f.webApp("web")
		first := f.login()
		second := f.tokens(refresh(first.refresh))
		f.clock = f.clock.Add(61 * time.Second)
		for name, r := range map[string]*request{
			"another client":              refresh(first.refresh, "client_id", "thief"),
			"another, confidential one":   refresh(first.refresh, "client_id", "-").basic("web", secret),
			"somebody who fails to prove": refresh(first.refresh, "client_id", "-").basic("web", "guess"),
			"one who has a signature":     refresh("mcp_rt_" + strings.Repeat("A", 43) + first.refresh[strings.Index(first.refresh, "."):]),
		} {
			if a := f.do(r); a.status == http.StatusOK || !f.alive(second.access) {
				t.Errorf("%s: %s, alive %v", name, a.text, f.alive(second.access))
			}
		}
	})
	t.Run("without a grace ends the grant at once", func(t *testing.T) {
		strict := newFixture(t, func(f *fixture) { f.grace = 0 })
		strict.app("app")
		first := strict.login()
		second := strict.tokens(refresh(first.refresh))
		if a := strict.do(refresh(first.refresh)); a.json["error"] != "invalid_grant" || strict.alive(second.access) {
			t.Errorf("got %s, alive %v", a.text, strict.alive(second.access))
		}
	})
}

func TestRefreshTokensEnd(t *testing.T) {
	const day = 24 * time.Hour
	short := func(f *fixture) {
		f.change = func(o *provider.Options) {
			o.PersonTokenLifespan, o.RefreshTokenLifespan, o.RefreshAbsoluteLifespan = 2*day, 10*day, 25*day
		}
	}
	t.Run("when they are not used in time", func(t *testing.T) {
		f := newFixture(t, short)
		f.app("app")
		got := f.login()
		f.clock = f.clock.Add(10*day + time.Minute)
		if a := f.do(refresh(got.refresh)); a.status != 400 || a.json["error"] != "invalid_grant" {
			t.Errorf("got %d %s, want 400 invalid_grant", a.status, a.text)
		}
	})
	t.Run("with their grant, however often they are used", func(t *testing.T) {
		f := newFixture(t, short)
		f.app("app")
		end := f.clock.Add(25 * day)
		got := f.login()
		for range 3 {
			f.clock = f.clock.Add(8 * day)
			got = f.tokens(refresh(got.refresh))
		}
		// Day 24: the access token would live until day 26.
		if exp, _ := f.inspect(got.access).json["exp"].(float64); int64(exp) != end.Unix() {
			t.Errorf("the last access token ends at %v, want the end of the grant, %v", time.Unix(int64(exp), 0), end)
		}
		f.clock = end.Add(time.Second)
		if a := f.do(refresh(got.refresh)); a.status != 400 || a.json["error"] != "invalid_grant" || f.alive(got.access) {
			t.Errorf("after the end of the grant: %d %s, access token alive: %v", a.status, a.text, f.alive(got.access))
		}
	})
	for name, c := range map[string]struct {
		end    func(f *fixture, got tokens)
		status int
		code   string
	}{
		"when they are revoked": {func(f *fixture, got tokens) {
			f.do(post("/revoke", "client_id", "app", "token", got.refresh))
		}, 400, "invalid_grant"},
		"when their access token is revoked": {func(f *fixture, got tokens) {
			f.do(post("/revoke", "client_id", "app", "token", got.access))
		}, 400, "invalid_grant"},
		"when all of the client's are revoked": {func(f *fixture, _ tokens) {
			if err := f.store.RevokeClient(f.t.Context(), "app"); err != nil {
				f.t.Error(err)
			}
		}, 400, "invalid_grant"},
		"when the client is disabled": {func(f *fixture, _ tokens) {
			f.edit("app", func(c *client.Client) { c.Status = client.Disabled })
		}, 401, "invalid_client"},
		"when the client loses the grant type": {func(f *fixture, _ tokens) {
			f.edit("app", func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} })
		}, 400, "unauthorized_client"},
		"when the client loses every scope": {func(f *fixture, _ tokens) {
			f.edit("app", func(c *client.Client) { c.Scope = []string{"mcp:new"} })
		}, 400, "invalid_grant"},
		"when the client loses the resource": {func(f *fixture, _ tokens) {
			f.edit("app", func(c *client.Client) { c.Audience = []string{other} })
		}, 400, "invalid_grant"},
		"when the server forgets the resource": {func(f *fixture, _ tokens) {
			f.change = func(o *provider.Options) { o.Resources = provider.Resources{Known: []string{other}} }
			f.serve(f.store)
		}, 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.app("app")
			got := f.login()
			c.end(f, got)
			if a := f.do(refresh(got.refresh)); a.status != c.status || a.json["error"] != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
		})
	}
}

func TestARefreshLeavesOutWhatTheClientHasLost(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	got := f.login()
	f.edit("app", func(c *client.Client) { c.Scope = []string{"mcp:search"} })
	if a := f.do(refresh(got.refresh, "scope", "mcp:admin")); a.json["error"] != "invalid_scope" {
		t.Errorf("asked for what was lost: %s, want invalid_scope", a.text)
	}
	got = f.tokens(refresh(got.refresh))
	if scope := f.inspect(got.access).json["scope"]; scope != "mcp:search" {
		t.Errorf("scope %v, want what is left", scope)
	}
	f.edit("app", func(c *client.Client) { c.Scope = []string{"mcp:search", "mcp:admin"} })
	got = f.tokens(refresh(got.refresh))
	if scope := f.inspect(got.access).json["scope"]; scope != "mcp:search mcp:admin" {
		t.Errorf("scope %v, want what the person allowed", scope)
	}
}

// A client that names the resource of its grant has nothing else to name: invalid_target would keep it there for good, while
// invalid_grant sends the person to a new login.
func TestARefreshThatNamesAResourceOfOldNeedsANewGrant(t *testing.T) {
	forget := func(f *fixture) {
		f.change = func(o *provider.Options) { o.Resources = provider.Resources{Known: []string{other}, Default: other} }
		f.serve(f.store)
	}
	for name, c := range map[string]struct {
		granted, named []string
		lose           func(f *fixture)
		want           string
	}{
		"which is gone":                       {[]string{docs}, []string{docs}, forget, "invalid_grant"},
		"which is gone, one of two granted":   {[]string{docs, other}, []string{docs}, forget, "invalid_grant"},
		"which is gone, one of two named":     {[]string{docs, other}, []string{other, docs}, forget, "invalid_grant"},
		"which is gone, with a slash more":    {[]string{origin}, []string{origin + "/"}, forget, "invalid_grant"},
		"which is gone, granted by default":   {nil, []string{docs}, forget, "invalid_grant"},
		"which its client has lost":           {[]string{docs, other}, []string{docs}, func(f *fixture) { f.edit("app", func(c *client.Client) { c.Audience = []string{other} }) }, "invalid_grant"},
		"and another one that is still there": {[]string{docs, other}, []string{other}, forget, ""},
		"that was never granted":              {[]string{docs, other}, []string{origin}, forget, "invalid_target"},
		"that never was one":                  {[]string{docs, other}, []string{"https://evil.example.com/"}, forget, "invalid_target"},
		// The client has read in the metadata what to name now.
		"that was never granted, of a grant that is gone": {[]string{docs}, []string{other}, forget, "invalid_grant"},
		"that never was one, of a grant that is gone":     {[]string{docs}, []string{"https://evil.example.com/"}, forget, "invalid_grant"},
		"that was never granted, by a client without scopes": {[]string{docs}, []string{other}, func(f *fixture) {
			f.edit("app", func(c *client.Client) { c.Scope = nil })
		}, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.app("app", func(c *client.Client) { c.Audience = []string{docs, other, origin} })
			query := authorizeQuery()
			query["resource"] = c.granted
			got := f.tokens(redeem(f.visit(query.Encode()).sentBack(t, callback).Get("code")))
			c.lose(f)
			r := refresh(got.refresh)
			for _, parameter := range []string{"resource", "audience"} {
				for _, resource := range c.named {
					r.body += "&" + parameter + "=" + url.QueryEscape(resource)
				}
				a := f.do(r)
				if code, _ := a.json["error"].(string); code != c.want {
					t.Errorf("by %s: %d %s, want %q", parameter, a.status, a.text, c.want)
				}
				if c.want == "" {
					return // used up
				}
				r = refresh(got.refresh)
			}
		})
	}
}

// RFC 7009 §2.1: a client that has lost the answer to a refresh revokes what it still holds.
func TestRevokingTheAccessTokenOfBeforeEndsTheGrant(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("thief")
	first := f.login("scope", "mcp:search")
	second := f.tokens(refresh(first.refresh))
	if a := f.do(post("/revoke", "token", first.access, "client_id", "thief")); a.status != http.StatusBadRequest || !f.alive(second.access) {
		t.Fatalf("another client: %d %s", a.status, a.text)
	}
	if a := f.do(post("/revoke", "token", first.access, "client_id", "app")); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if f.alive(second.access) {
		t.Error("the new access token is alive")
	}
	if a := f.do(refresh(second.refresh)); a.json["error"] != "invalid_grant" {
		t.Errorf("the new refresh token: %d %s, want invalid_grant", a.status, a.text)
	}
}
