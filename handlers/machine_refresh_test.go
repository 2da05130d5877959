package handlers_test

import (
	"net/http"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
)

func withMachineRefresh(f *fixture) {
	f.change = func(o *provider.Options) { o.ClientCredentialsRefresh = true }
}

// RFC 6749 §4.4.3 advises against refresh tokens for machines: they come only when switched on.
func TestRefreshTokensOfMachines(t *testing.T) {
	machine := func(secret string) *request {
		return post("/token", "grant_type", "client_credentials").basic("ci", secret)
	}
	again := func(token, secret string) *request {
		return post("/token", "grant_type", "refresh_token", "refresh_token", token).basic("ci", secret)
	}
	t.Run("off: none, even for a client with the grant type", func(t *testing.T) {
		f := newFixture(t)
		secret := f.client("ci", func(c *client.Client) { c.GrantTypes = []string{"client_credentials", "refresh_token"} })
		if got := f.tokens(machine(secret)); got.refresh != "" {
			t.Error("a refresh token came")
		}
	})
	t.Run("on: they work like any other", func(t *testing.T) {
		f := newFixture(t, withMachineRefresh)
		secret := f.client("ci")
		first := f.tokens(machine(secret))
		second := f.tokens(again(first.refresh, secret))
		if f.alive(first.access) || !f.alive(second.access) || second.refresh == "" {
			t.Errorf("first alive %v, second alive %v", f.alive(first.access), f.alive(second.access))
		}
		answer := f.inspect(second.access)
		if answer.json["sub"] != "ci" || answer.json["scope"] != "mcp:search" || answer.json["username"] != nil {
			t.Errorf("introspection %s", answer.text)
		}
		iat, _ := answer.json["iat"].(float64)
		exp, _ := answer.json["exp"].(float64)
		if exp-iat < twoWeeks-2 || exp-iat > twoWeeks+2 {
			t.Errorf("lives %v seconds, want those of a machine's token", exp-iat)
		}
		f.clock = f.clock.Add(2 * time.Minute)
		if a := f.do(again(first.refresh, secret)); a.json["error"] != "invalid_grant" || f.alive(second.access) {
			t.Errorf("reuse: %s, alive %v", a.text, f.alive(second.access))
		}
	})
	t.Run("on: revoking either token ends both", func(t *testing.T) {
		f := newFixture(t, withMachineRefresh)
		secret := f.client("ci")
		for _, pick := range []func(tokens) string{func(got tokens) string { return got.access }, func(got tokens) string { return got.refresh }} {
			got := f.tokens(machine(secret))
			f.do(post("/revoke", "token", pick(got)).basic("ci", secret))
			if a := f.do(again(got.refresh, secret)); a.json["error"] != "invalid_grant" || f.alive(got.access) {
				t.Errorf("after the revocation: %s, alive %v", a.text, f.alive(got.access))
			}
		}
	})
	t.Run("on: still none for a refused request", func(t *testing.T) {
		f := newFixture(t, withMachineRefresh)
		secret := f.client("ci")
		f.app("app")
		for name, r := range map[string]*request{
			"wrong secret":  post("/token", "grant_type", "client_credentials").basic("ci", "guess"),
			"public client": post("/token", "grant_type", "client_credentials", "client_id", "app"),
			"foreign scope": post("/token", "grant_type", "client_credentials", "scope", "root").basic("ci", secret),
		} {
			if a := f.do(r); a.status == http.StatusOK || a.json["refresh_token"] != nil {
				t.Errorf("%s: %s", name, a.text)
			}
		}
	})
	t.Run("switched off again: refused", func(t *testing.T) {
		f := newFixture(t, withMachineRefresh)
		secret := f.client("ci")
		got := f.tokens(machine(secret))
		f.change = nil
		f.serve(f.store)
		if a := f.do(again(got.refresh, secret)); a.json["error"] != "unauthorized_client" {
			t.Errorf("got %s, want unauthorized_client", a.text)
		}
	})
}
