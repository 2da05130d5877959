package handlers_test

import (
	"testing"
	"time"

	"fosite-mcp/provider/client"
)

// A token ends with its client. Who keeps the answer has to know.
func TestTokenOfAClientThatEndsExpiresWithIt(t *testing.T) {
	f := newFixture(t)
	server := f.client("docs", introspects(docs))
	end := f.clock.Add(time.Hour)
	for id, want := range map[string]time.Time{"ends": end, "outlives": f.clock.Add(twoWeeks * time.Second)} {
		secret := f.client(id, func(c *client.Client) {
			if c.ExpiresAt = end; id == "outlives" {
				c.ExpiresAt = f.clock.Add(2 * twoWeeks * time.Second)
			}
		})
		a := f.introspect("docs", server, f.token(id, secret))
		if exp, _ := a.json["exp"].(float64); exp < float64(want.Unix()-1) || exp > float64(want.Unix()) {
			t.Errorf("%s: exp %v, want %d: %s", id, a.json["exp"], want.Unix(), a.text)
		}
	}
}
