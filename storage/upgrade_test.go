package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"gorm.io/driver/sqlite"
)

// firstSchema is a SQLite file of the first schema, with the rows of fillFirstSchema. It is never made anew.
const firstSchema = "testdata/first-schema.db"

func TestDatabaseFileOfTheFirstSchemaIsUpgraded(t *testing.T) {
	kept, err := os.ReadFile(firstSchema)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kept.db")
	if err := os.WriteFile(path, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	store := New(openPool(t, sqlite.Open("file:"+path+sqliteSettings)))
	wantUpgrade(t, store)
	wantSlow(t, store)
	var verdict string
	if err := store.db.Read(soon(t)).QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check says %q, %v", verdict, err)
	}
}

func TestEveryEarlierSchemaIsUpgraded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for version := int64(1); ; version++ {
			store := New(openPool(t, e.dialector(t)()))
			migrator, err := store.migrator()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := migrator.UpTo(soon(t), version); err != nil {
				t.Fatal(err)
			}
			if pending, err := migrator.HasPending(soon(t)); err != nil {
				t.Fatal(err)
			} else if !pending {
				return
			}
			t.Run(fmt.Sprint("from ", version), func(t *testing.T) {
				fillFirstSchema(t, store)
				wantUpgrade(t, store)
				if version == 1 {
					wantSlow(t, store)
				}
			})
		}
	})
}

const (
	keptFastHash = "$sha256$n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"
	keptSlowHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	keptSince    = int64(1_700_000_000_000)
	keptUntil    = int64(4_102_444_800_000) // 2100
)

// fillFirstSchema adds what an upgrade must keep, in terms of the first schema: no method of the store knows that.
func fillFirstSchema(t *testing.T, store *Store) {
	t.Helper()
	for _, row := range []struct {
		table, columns string
		values         []any
	}{
		{"settings", "name, value", []any{"issuer", "https://docs.example.com"}},
		{"clients", "id, name, owner, scope, grant_types, token_endpoint_auth_method, metadata, epoch, version, created_at, updated_at",
			[]any{"kept", "Kept client", "docs team", "mcp:search", "client_credentials refresh_token", "client_secret_basic", `{"team":"docs"}`, 2, 7, keptSince, keptSince}},
		{"client_secrets", "id, client_id, hash, hint, created_at", []any{"cs_fast", "kept", keptFastHash, "fast", keptSince + 1}},
		{"client_secrets", "id, client_id, hash, hint, created_at", []any{"cs_slow", "kept", keptSlowHash, "slow", keptSince}},
		{"grants", "id, client_id, subject, created_at, expires_at, revoked_at", []any{"request-live", "kept", "somebody", keptSince, keptUntil, nil}},
		{"grants", "id, client_id, subject, created_at, expires_at, revoked_at", []any{"request-ended", "kept", "somebody", keptSince, keptUntil, keptSince}},
		{"access_tokens", keptToken, keptValues("machine", "request-machine", 2)},
		{"access_tokens", keptToken, keptValues("of an earlier epoch", "request-earlier", 1)},
		{"access_tokens", keptToken, keptValues("of a live grant", "request-live", 2)},
		{"access_tokens", keptToken, keptValues("of a grant that ended", "request-ended", 2)},
		{"refresh_tokens", keptToken, keptValues("refresh", "request-live", 2)},
		{"authorize_sessions", "kind, " + keptToken, append([]any{"code"}, keptValues("code", "request-live", 2)...)},
		{"used_assertions", "jti_hash, expires_at", []any{hashOf("used jti"), keptUntil}},
	} {
		placeholders := strings.Repeat(", ?", len(row.values))[2:]
		query := "INSERT INTO " + row.table + " (" + row.columns + ") VALUES (" + placeholders + ")"
		if _, err := store.db.Run(soon(t), query, row.values...); err != nil {
			t.Fatalf("%s: %v", row.table, err)
		}
	}
}

const keptToken = "signature, request_id, client_id, secret_id, epoch, subject, scope, audience, form, session, issued_at, expires_at"

func keptValues(signature, requestID string, epoch int64) []any {
	return []any{hashOf(signature), requestID, "kept", "cs_fast", epoch, "somebody", "mcp:search", "https://docs.example.com/mcp",
		"grant_type=client_credentials", `{"Subject":"somebody"}`, keptSince, keptUntil}
}

// wantUpgrade migrates and looks for everything that fillFirstSchema made.
func wantUpgrade(t *testing.T, store *Store) {
	t.Helper()
	ctx := soon(t)
	if err := store.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("before the upgrade: %v, want that the schema is older", err)
	}
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := store.CheckSchema(ctx); err != nil {
		t.Error(err)
	}
	client, err := store.FindClient(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if client.Name != "Kept client" || client.Owner != "docs team" || client.Version != 7 || string(client.Metadata) != `{"team":"docs"}` ||
		len(client.Secrets) != 2 || string(client.Secrets[0].Hash) != keptFastHash || string(client.Secrets[1].Hash) != keptSlowHash {
		t.Errorf("the client is now %+v", client)
	}
	if issuer, ok, err := store.Settings().Get(ctx, "issuer"); err != nil || !ok || issuer != "https://docs.example.com" {
		t.Errorf("the issuer is now %q, %v, %v", issuer, ok, err)
	}
	for signature, want := range map[string]error{
		"machine": nil, "of a live grant": nil, "of an earlier epoch": fosite.ErrNotFound, "of a grant that ended": fosite.ErrNotFound,
	} {
		token, err := store.GetAccessTokenSession(ctx, signature, nil)
		if !errors.Is(err, want) {
			t.Errorf("access token %s: %v, want %v", signature, err, want)
		}
		if err == nil && (token.GetSession().GetSubject() != "somebody" || !token.GetGrantedScopes().Has("mcp:search") || token.GetRequestedAt() != time.UnixMilli(keptSince).UTC()) {
			t.Errorf("access token %s is now %+v", signature, token)
		}
	}
	if _, err := store.GetRefreshTokenSession(ctx, "refresh", nil); err != nil {
		t.Errorf("refresh token: %v", err)
	}
	wantGrace(t, store, "refresh")
	if _, err := store.GetAuthorizeCodeSession(ctx, "code", nil); err != nil {
		t.Errorf("code: %v", err)
	}
	if err := store.ClientAssertionJWTValid(ctx, "used jti"); !errors.Is(err, fosite.ErrJTIKnown) {
		t.Errorf("assertion: %v, want that it was used", err)
	}
	if err := store.RevokeClient(ctx, "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.GetAccessTokenSession(ctx, "machine", nil); !errors.Is(err, fosite.ErrNotFound) {
		t.Errorf("after the revocation: %v", err)
	}
}

// wantSlow: the second schema tells slow hashes from fast ones, among those of the first one, too.
func wantSlow(t *testing.T, store *Store) {
	t.Helper()
	for id, want := range map[string]int64{"cs_fast": 0, "cs_slow": 1} {
		var slow sql.NullInt64
		if err := store.db.Read(soon(t)).QueryRow("SELECT slow FROM {client_secrets} WHERE id = ?", id).Scan(&slow); err != nil || slow.Int64 != want {
			t.Errorf("secret %s: slow = %v, %v, want %d", id, slow, err, want)
		}
	}
}

// wantGrace: the fourth schema remembers what came of a refresh token of an earlier one.
func wantGrace(t *testing.T, store *Store, old string) {
	t.Helper()
	ctx := soon(t)
	request, err := store.GetRefreshTokenSession(ctx, old, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rotation := range []struct {
		token, successor string
		want             error
	}{{old, "first", nil}, {old, "second", nil}, {"second", "third", nil}, {old, "fourth", fosite.ErrInactiveToken}} {
		err := store.Atomically(ctx, func(ctx context.Context) error {
			if err := store.RotateRefreshToken(ctx, request.GetID(), rotation.token); err != nil {
				return err
			}
			return store.CreateRefreshTokenSession(ctx, rotation.successor, "", request)
		})
		if !errors.Is(err, rotation.want) {
			t.Errorf("refresh with %s: %v, want %v", rotation.token, err, rotation.want)
		}
	}
}
