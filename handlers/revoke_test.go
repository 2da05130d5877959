package handlers_test

import (
	"net/http"
	"testing"

	"fosite-mcp/provider/client"
)

// RFC 7009 §2.2.
func TestRevocationAnswers(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	foreign := f.client("foreign")
	f.client("public", func(c *client.Client) { c.TokenEndpointAuthMethod = "none"; c.Secrets = nil })
	token := f.token("ci", secret)
	get := post("/revoke", "token", token).basic("ci", secret)
	get.method = http.MethodGet
	for _, c := range []struct {
		name   string
		r      *request
		status int
		code   any
		alive  bool
	}{
		{"without credentials", post("/revoke", "token", token), 401, "invalid_client", true},
		{"with a wrong secret", post("/revoke", "token", token).basic("ci", "guess"), 401, "invalid_client", true},
		{"by another client", post("/revoke", "token", token).basic("foreign", foreign), 400, "unauthorized_client", true},
		{"by a public client", post("/revoke", "token", token, "client_id", "public"), 400, "unauthorized_client", true},
		{"without a token", post("/revoke", "x", "y").basic("ci", secret), 400, "invalid_request", true},
		{"with GET", get, 405, "invalid_request", true},
		{"of garbage", post("/revoke", "token", "garbage").basic("ci", secret), 200, nil, true},
		{"of a token never issued", post("/revoke", "token", "mcp_at_x.y").basic("ci", secret), 200, nil, true},
		{"by its client, with a wrong hint", post("/revoke", "token", token, "token_type_hint", "refresh_token").basic("ci", secret), 200, nil, false},
		{"again", post("/revoke", "token", token).basic("ci", secret), 200, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.do(c.r)
			if a.status != c.status || a.json["error"] != c.code {
				t.Errorf("got %d %s, want %d %v", a.status, a.text, c.status, c.code)
			}
			if alive := f.introspect("ci", secret, token).json["active"] == true; alive != c.alive {
				t.Errorf("token alive: %v, want %v", alive, c.alive)
			}
		})
	}
}

func TestRevokingOneTokenLeavesTheOthersAlone(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	first, second := f.token("ci", secret), f.token("ci", secret)
	f.do(post("/revoke", "token", first).basic("ci", secret))
	if a := f.introspect("ci", secret, second); a.json["active"] != true {
		t.Errorf("the second token: %s", a.text)
	}
}
