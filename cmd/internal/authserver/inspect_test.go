package authserver

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/storage"
)

// What is said of the system secrets at each step of docs/operations.md, and since when the new one is in use.
func TestSystemSecretsAreInspectedAtEachStep(t *testing.T) {
	const old, next = "3b0c9d4be1a74f25a6e0f7d1a2c94e83", "8d17e02cc5fb4a0e9b6f3a7c1d5e2f49"
	cfg := testConfig(t, "FOSITE_MCP_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "fosite-mcp.db"))
	store := storage.New(openForTest(t, cfg))
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	with := func(current config.Secret, previous ...config.Secret) config.Config {
		c := cfg
		c.SystemSecret, c.SystemSecretsPrevious = current, previous
		return c
	}
	start := func(c config.Config) (since time.Time) {
		t.Helper()
		secrets, err := readSystemSecrets(c)
		if err == nil {
			err = checkSecret(t.Context(), store, secrets)
		}
		if err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	inspect := func(c config.Config, want SystemSecrets) {
		t.Helper()
		got, err := InspectSecrets(t.Context(), store, c)
		if at := want.Since; err != nil || got.Previous != want.Previous || got.Adopted != want.Adopted || got.Since.IsZero() != at.IsZero() || got.Since.Sub(at).Abs() > time.Minute {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	inspect(with(old), SystemSecrets{}) // before the first start
	start(with(old))
	inspect(with(old), SystemSecrets{Adopted: true})
	start(with(old, next))
	inspect(with(old, next), SystemSecrets{Previous: 1, Adopted: true})
	inspect(with(next, old), SystemSecrets{Previous: 1}) // this looked, and did not start
	inspect(with(old, next), SystemSecrets{Previous: 1, Adopted: true})
	replaced := start(with(next, old))
	inspect(with(next, old), SystemSecrets{Previous: 1, Adopted: true, Since: replaced})
	back := start(with(old, next))
	inspect(with(old, next), SystemSecrets{Previous: 1, Adopted: true, Since: back})
	if _, err := InspectSecrets(t.Context(), store, with(next)); !errors.Is(err, errOtherSecret) {
		t.Errorf("without the other one: %v", err)
	}
}

// Of a secret that came and went the last time counts: tokens were made with the other one until then.
func TestTheLastReplacementOfASecretCounts(t *testing.T) {
	cfg := testConfig(t, "FOSITE_MCP_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "fosite-mcp.db"))
	store := storage.New(openForTest(t, cfg))
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	for i, secret := range []string{"b", "a", "b"} {
		if err := noteSecretSince(t.Context(), store, secret, first.AddDate(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for secret, want := range map[string]time.Time{"b": first.AddDate(0, 2, 0), "a": {}} {
		if got, err := secretSince(t.Context(), store, secret); !got.Equal(want) || err != nil {
			t.Errorf("%s: %s, %v; want %s", secret, got, err, want)
		}
	}
}
