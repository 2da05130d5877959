package clients_test

import (
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
)

func TestClientsThatEndAreCounted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.withClients(t, storage.WithClock(clock.now))
		in := func(d time.Duration) time.Time { return clock.now().Add(d) }
		for id, c := range map[string]struct {
			end     time.Time
			status  client.Status
			secrets []time.Time
		}{
			"ends":               {end: in(time.Hour)},
			"ends later":         {end: in(48 * time.Hour)},
			"disabled":           {end: in(time.Hour), status: client.Disabled, secrets: []time.Time{in(time.Hour)}},
			"last secret":        {secrets: []time.Time{in(time.Hour), in(2 * time.Hour)}},
			"has another secret": {secrets: []time.Time{in(time.Hour), {}}},
			"has a later secret": {secrets: []time.Time{in(time.Hour), in(48 * time.Hour)}},
			"ends with secret":   {end: in(2 * time.Hour), secrets: []time.Time{in(time.Hour)}},
		} {
			registered := &client.Client{ID: id, Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "client_secret_basic", ExpiresAt: c.end, Status: c.status}
			for i, end := range c.secrets {
				name := id + string(rune('0'+i))
				registered.Secrets = append(registered.Secrets, client.Secret{ID: name, Hash: []byte(fastHash + name), ExpiresAt: end})
			}
			if err := s.Create(soon(t), registered); err != nil {
				t.Fatal(err)
			}
		}
		want := func(when string, ending clients.Ending) {
			t.Helper()
			if got, err := s.CountEnding(soon(t), 24*time.Hour); err != nil || got != ending {
				t.Errorf("%s: %+v, want %+v, %v", when, got, ending, err)
			}
		}
		want("at first", clients.Ending{Clients: 2, LastSecrets: 2})
		clock.forward(3 * time.Hour)
		want("after they have ended", clients.Ending{})
		clock.forward(30 * time.Hour)
		want("a day later", clients.Ending{Clients: 1, LastSecrets: 1})
	})
}
