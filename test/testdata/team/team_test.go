// Package team is a team's own server: its database with its own tables, settings and plugins, and our storage in it.
package team

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// The team's own tables have names that the store's have by default.
type (
	User       struct{ ID, Name string }
	Client     struct{ ID, Customer string }
	Setting    struct{ ID, Value string }
	AuditEvent struct{ ID, Text string }
)

func (User) TableName() string       { return "users" }
func (Client) TableName() string     { return "clients" }
func (Setting) TableName() string    { return "settings" }
func (AuditEvent) TableName() string { return "audit_events" }

var theirModels = []any{&User{}, &Client{}, &Setting{}, &AuditEvent{}}

// team is its database, what its plugin and its logger were told, and what the database was asked.
type team struct {
	*gorm.DB
	plugin *plugin
	logged *bytes.Buffer
	asked  *recorder
}

// onEachDatabase runs test on SQLite with a prefix, and on PostgreSQL with a prefix and in a schema.
func onEachDatabase(t *testing.T, test func(t *testing.T, db *team)) {
	for name, prefix := range map[string]string{"SQLite": "oauth_", "PostgreSQL": "oauth_", "PostgreSQL schema": "oauth."} {
		t.Run(name, func(t *testing.T) {
			asked := &recorder{}
			dialector := asked.sqlite(t)
			if name != "SQLite" {
				dialector = asked.postgres(t)
			}
			logged := &bytes.Buffer{}
			db, err := gorm.Open(dialector, &gorm.Config{
				NamingStrategy: schema.NamingStrategy{TablePrefix: prefix},
				Logger:         logger.New(log.New(logged, "", 0), logger.Config{LogLevel: logger.Info}),
			})
			if err != nil {
				t.Fatal(err)
			}
			plugin := &plugin{}
			if err := db.Use(plugin); err != nil {
				t.Fatal(err)
			}
			if prefix == "oauth." {
				if err := db.Exec("CREATE SCHEMA oauth").Error; err != nil {
					t.Fatal(err)
				}
			}
			if err := db.AutoMigrate(theirModels...); err != nil {
				t.Fatal(err)
			}
			test(t, &team{db, plugin, logged, asked})
		})
	}
}

func (db *team) store(t *testing.T) *storage.Store {
	t.Helper()
	store := storage.New(db.DB)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// A client is registered together with a row of the team's own, in the team's transaction and in the store's.
func TestARegistrationAndARowOfTheirsAreOneTransaction(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		store, ctx := db.store(t), t.Context()
		failure := errors.New("the customer has not paid")
		register := func(ctx context.Context, tx *gorm.DB, id string) error {
			if err := tx.Create(&Client{ID: id, Customer: "acme"}).Error; err != nil {
				return err
			}
			return store.Clients().Create(ctx, &client.Client{ID: id, GrantTypes: []string{"client_credentials"}})
		}
		for id, outcome := range map[string]error{"committed": nil, "rolled-back": failure} {
			err := db.Transaction(func(tx *gorm.DB) error {
				return errors.Join(register(storage.WithTx(ctx, tx), tx, id), outcome)
			})
			if !errors.Is(err, outcome) {
				t.Fatal(err)
			}
			db.wantBoth(t, store, id, outcome == nil)

			id += "-by-the-store"
			err = store.InTransaction(ctx, func(ctx context.Context, tx *gorm.DB) error {
				return errors.Join(register(ctx, tx, id), outcome)
			})
			if !errors.Is(err, outcome) {
				t.Fatal(err)
			}
			db.wantBoth(t, store, id, outcome == nil)
		}
		tx := db.Begin()
		defer tx.Rollback()
		if _, err := storage.New(tx).GetClient(ctx, "committed"); err == nil || !strings.Contains(err.Error(), "WithTx") {
			t.Errorf("a store on a transaction: %v, want an error that names WithTx", err)
		}
	})
}

func (db *team) wantBoth(t *testing.T, store *storage.Store, id string, want bool) {
	t.Helper()
	_, err := store.GetClient(t.Context(), id)
	if err != nil && !errors.Is(err, fosite.ErrNotFound) {
		t.Fatal(err)
	}
	theirs := db.Limit(1).Find(&Client{}, "id = ?", id)
	if theirs.Error != nil {
		t.Fatal(theirs.Error)
	}
	if ours := err == nil; ours != want || theirs.RowsAffected == 1 != want {
		t.Errorf("%s: the client is there: %v, the team's row: %v, want both %v", id, ours, theirs.RowsAffected == 1, want)
	}
}

// The team's plugin sees each statement that the database is asked to run, its logger shows none of the values.
func TestTheirPluginSeesEachStatementAndTheirLogNoSecret(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		store := db.store(t)
		config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), AccessTokenLifespan: time.Hour, HashCost: 4}
		hash, err := (&fosite.BCrypt{Config: config}).Hash(t.Context(), []byte("sesame"))
		if err != nil {
			t.Fatal(err)
		}
		err = store.Clients().Create(t.Context(), &client.Client{
			ID: "machine", GrantTypes: []string{"client_credentials"}, Scope: []string{"read"}, Secrets: []client.Secret{{Hash: hash}},
		})
		if err != nil {
			t.Fatal(err)
		}
		strategy := compose.NewOAuth2HMACStrategy(config)
		oauth := compose.Compose(config, store, strategy,
			compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)
		var token string
		for _, step := range []struct {
			name string
			run  func()
		}{
			{"a token", func() { token = issue(t, oauth) }},
			{"an introspection", func() {
				if _, _, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}, "read"); err != nil {
					t.Fatal(err)
				}
			}},
			{"a revocation", func() {
				if err := oauth.NewRevocationRequest(t.Context(), request(url.Values{"token": {token}})); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			db.plugin.take()
			db.asked.take()
			step.run()
			seen, ran := db.plugin.take(), db.asked.take()
			slices.Sort(seen)
			slices.Sort(ran)
			if len(ran) == 0 || !slices.Equal(seen, ran) {
				t.Errorf("%s: the plugin saw\n%s\nand the database ran\n%s", step.name, strings.Join(seen, "\n"), strings.Join(ran, "\n"))
			}
		}
		if _, _, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}); err == nil {
			t.Error("the token is alive after its revocation")
		}
		signature := strategy.AccessTokenSignature(t.Context(), token)
		for what, secret := range map[string]string{"signature": signature, "secret's hash": string(hash), "client's id": "machine"} {
			if strings.Contains(db.logged.String(), secret) {
				t.Errorf("the log shows the %s", what)
			}
		}
		if !strings.Contains(db.logged.String(), "access_tokens") {
			t.Error("the log was told nothing")
		}
	})
}

func issue(t *testing.T, oauth fosite.OAuth2Provider) (token string) {
	t.Helper()
	asked, err := oauth.NewAccessRequest(t.Context(), request(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}), &fosite.DefaultSession{})
	if err != nil {
		t.Fatal(err)
	}
	asked.GrantScope("read")
	answer, err := oauth.NewAccessResponse(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetAccessToken()
}

func request(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("machine", "sesame")
	return r
}

// Without a prefix the store's tables would be the team's. Nothing is changed, however often it is tried.
func TestTheirTablesAreLeftAlone(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		plain := *db.Config
		plain.NamingStrategy = schema.NamingStrategy{}
		same := *db.DB
		same.Config = &plain
		before := tables(t, db)
		for range 2 {
			err := storage.New(&same).Migrate(t.Context())
			if err == nil || !strings.Contains(err.Error(), "TablePrefix") || !slices.ContainsFunc(theirModels, func(m any) bool {
				return strings.Contains(err.Error(), m.(schema.Tabler).TableName())
			}) {
				t.Fatalf("error %v, want one that names a table of theirs, and TablePrefix", err)
			}
			if after := tables(t, db); !slices.Equal(before, after) {
				t.Fatalf("tables were %q and are %q", before, after)
			}
		}
		db.store(t)
		if err := db.Create(&User{ID: "ada"}).Error; err != nil {
			t.Error(err)
		}
	})
}

func tables(t *testing.T, db *team) []string {
	t.Helper()
	names, err := db.Migrator().GetTables()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
