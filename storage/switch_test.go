package storage

import (
	"context"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// switching are two stores on one database: one with clients of its own, one whose client machine is the host's.
func (e testEngine) switching(t *testing.T, clock *testClock) (own, hosts *Store, issueHosts func(name string)) {
	t.Helper()
	db := openPool(t, e.dialector(t)())
	own = New(db, WithClock(clock.now))
	if err := own.Migrate(soon(t)); err != nil {
		t.Fatal(err)
	}
	hosts = New(db, WithClients(newClientMap(&fosite.DefaultClient{ID: "machine"})), WithClock(clock.now))
	return own, hosts, func(name string) {
		request := newTestRequest("machine")
		request.RequestedAt = clock.now()
		hosts.issue(t, name, request)
	}
}

func TestWhatWasRevokedStaysSoWhenTheHostTakesItsClientsBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, c := range map[string]struct {
			revoke func(ctx context.Context, registry *clients.Registry, now time.Time) error
			ends   bool
		}{
			"Revoke": {func(ctx context.Context, r *clients.Registry, _ time.Time) error { return r.Revoke(ctx, "machine") }, true},
			"RevokeBefore": {func(ctx context.Context, r *clients.Registry, now time.Time) error {
				return r.RevokeBefore(ctx, "machine", now)
			}, true},
			"Delete": {func(ctx context.Context, r *clients.Registry, _ time.Time) error { return r.Delete(ctx, "machine") }, true},
			"RevokeSecret": {func(ctx context.Context, r *clients.Registry, _ time.Time) error {
				return r.RevokeSecret(ctx, "machine", "secret-of-machine")
			}, true},
			"ReplaceSecrets": {func(ctx context.Context, r *clients.Registry, _ time.Time) error {
				return r.ReplaceSecrets(ctx, "machine", &client.Secret{Hash: []byte(fastHash)})
			}, true},
			"DeleteSecret with its tokens": {func(ctx context.Context, r *clients.Registry, _ time.Time) error {
				return r.DeleteSecret(ctx, "machine", "secret-of-machine", true)
			}, true},
			"DeleteSecret alone": {func(ctx context.Context, r *clients.Registry, _ time.Time) error {
				return r.DeleteSecret(ctx, "machine", "secret-of-machine", false)
			}, false},
		} {
			t.Run(name, func(t *testing.T) {
				clock := newTestClock()
				own, hosts, issueHosts := e.switching(t, clock)
				own.addClient(t, "machine")
				before := own.authenticated(t, "machine")
				own.issue(t, "before", before)
				wantAlive(t, hosts, "before", true)
				clock.forward(time.Second)
				if err := c.revoke(soon(t), own.Clients(), clock.now()); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, hosts, "before", !c.ends)
				own.issue(t, "in flight", before)
				wantAlive(t, hosts, "in flight", !c.ends)
				clock.forward(time.Second)
				issueHosts("since")
				wantAlive(t, hosts, "since", true)
			})
		}
	})
}

// Nor does one end too much.
func TestWhatIsIssuedAfterARevocationOutlivesTheSwitch(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		own, hosts, _ := e.switching(t, newTestClock())
		own.addClient(t, "machine")
		for _, name := range []string{"first", "second"} {
			if err := own.RevokeClient(soon(t), "machine"); err != nil {
				t.Fatal(err)
			}
			own.issue(t, name, own.authenticated(t, "machine"))
			wantAlive(t, own, name, true)
			wantAlive(t, hosts, name, true)
		}
		wantAlive(t, hosts, "first", false)
	})
}

func TestWhatWasRevokedStaysSoWhenTheStoreTakesTheClientsOver(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, revoke := range map[string]func(hosts *Store, now time.Time) error{
			"RevokeClient":       func(hosts *Store, _ time.Time) error { return hosts.RevokeClient(soon(t), "machine") },
			"RevokeClientBefore": func(hosts *Store, now time.Time) error { return hosts.RevokeClientBefore(soon(t), "machine", now) },
		} {
			t.Run(name, func(t *testing.T) {
				clock := newTestClock()
				own, hosts, issueHosts := e.switching(t, clock)
				issueHosts("before")
				clock.forward(time.Second)
				if err := revoke(hosts, clock.now()); err != nil {
					t.Fatal(err)
				}
				issueHosts("since")
				c := &client.Client{ID: "machine"}
				if err := own.Clients().Create(soon(t), c); err != nil {
					t.Fatal(err)
				}
				if !c.RevokedBefore.Equal(clock.now()) {
					t.Errorf("Create says revoked before %v, want %v", c.RevokedBefore, clock.now())
				}
				wantAlive(t, own, "before", false)
				wantAlive(t, own, "since", true)
			})
		}
	})
}
