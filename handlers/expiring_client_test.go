package handlers_test

import (
	"testing"
	"time"

	"fosite-mcp/provider/client"
)

// Nobody hears that a client has ended by itself, so a token says so from the start: to who verifies it, and to who keeps what
// introspection has said.
func TestATokenEndsWithItsClientAtTheLatest(t *testing.T) {
	f := newFixture(t, withJWTs)
	f.clock = f.clock.Truncate(time.Second)
	end := f.clock.Add(time.Hour)
	temporary := func(c *client.Client) { c.ExpiresAt = end }
	secret := f.client("ci", temporary)
	f.app("app", temporary)
	a := f.do(post("/token", "grant_type", "client_credentials").basic("ci", secret))
	if a.json["expires_in"] != time.Hour.Seconds() {
		t.Errorf("%s, want an hour", a.text)
	}
	machine, _ := a.json["access_token"].(string)
	login := f.login("scope", "mcp:search", "resource", docs)
	for name, token := range map[string]string{"a machine's": machine, "a person's": login.access, "a refreshed one": f.tokens(refresh(login.refresh)).access} {
		if exp := payloadOf(t, token)["exp"]; exp != float64(end.Unix()) {
			t.Errorf("%s exp is %v, want %d", name, exp, end.Unix())
		}
	}
	f.clock = end
	if f.alive(machine) {
		t.Error("the token outlives its client")
	}
}
