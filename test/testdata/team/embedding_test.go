package team

import (
	"context"
	"errors"
	"log"
	"net/url"
	"slices"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// What docs/embedding.md shows, step by step: its lines stand here.

// Session is the team's own, with an embedded pointer.
type Session struct {
	*fosite.DefaultSession
	Tenant string
}

func (s *Session) Clone() fosite.Session {
	c := *s
	if s.DefaultSession != nil {
		c.DefaultSession = s.DefaultSession.Clone().(*fosite.DefaultSession)
	}
	return &c
}

func open(dialector gorm.Dialector) (*gorm.DB, error) {
	db, err := gorm.Open(dialector, &gorm.Config{
		NamingStrategy: schema.NamingStrategy{TablePrefix: "oauth_"}, // or "oauth.", a schema of PostgreSQL
	})
	return db, err
}

func newStore(ctx context.Context, db *gorm.DB) (*storage.Store, error) {
	store := storage.New(db, storage.WithSessions(&Session{}))
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	return store, store.CheckSchema(ctx)
}

func withTheirClients(db *gorm.DB, yourClients fosite.ClientManager) *storage.Store {
	store := storage.New(db, storage.WithClients(yourClients))
	return store
}

func register(ctx context.Context, store *storage.Store, yours fosite.Client) error {
	client, err := storage.FromFosite(yours) // *fosite.DefaultClient, DefaultOpenIDConnectClient or DefaultResponseModeClient
	if err == nil {
		err = store.Clients().Create(ctx, client)
	}
	return err
}

func registerInTheirTransaction(ctx context.Context, db *gorm.DB, store *storage.Store, id string, client *client.Client) error {
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&Client{ID: id, Customer: "acme"}).Error; err != nil {
			return err
		}
		return store.Clients().Create(storage.WithTx(ctx, tx), client)
	})
	return err
}

func registerInOurTransaction(ctx context.Context, store *storage.Store, id string, client *client.Client) error {
	err := store.InTransaction(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := tx.Create(&Client{ID: id, Customer: "acme"}).Error; err != nil {
			return err
		}
		return store.Clients().Create(ctx, client)
	})
	return err
}

func keepARequest(ctx context.Context, store *storage.Store, key string, request fosite.AuthorizeRequester) error {
	if err := store.SaveAuthorizeRequest(ctx, key, request, time.Now().Add(10*time.Minute)); err != nil {
		return err
	}
	again, err := store.TakeAuthorizeRequest(ctx, key, &Session{})
	if err == nil && again.GetState() != request.GetState() {
		err = errors.New("another request came back")
	}
	return err
}

func carryOver(ctx context.Context, store *storage.Store, access, refresh map[string]fosite.Requester) (int, error) {
	var tokens []storage.ImportedToken
	for signature, request := range access { // what your store has; its clients are here already
		tokens = append(tokens, storage.ImportedToken{Kind: fosite.AccessToken, Signature: signature, Request: request})
	}
	for signature, request := range refresh {
		tokens = append(tokens, storage.ImportedToken{Kind: fosite.RefreshToken, Signature: signature, Request: request})
	}
	imported, err := store.ImportTokens(ctx, tokens)
	return imported, err
}

func keepHouse(ctx context.Context, store *storage.Store) {
	for range time.Tick(15 * time.Second) {
		if err := store.Maintain(ctx, storage.Maintenance{}); err != nil {
			log.Print(err)
		}
	}
}

func TestTheEmbeddingDocument(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			asked := &recorder{}
			dialector := asked.sqlite
			if engine == "PostgreSQL" {
				dialector = asked.postgres
			}
			db, err := open(dialector(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.AutoMigrate(theirModels...); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			store, err := newStore(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			yours := &fosite.DefaultClient{ID: "theirs", Secret: []byte("$2a$10$" + "a"), GrantTypes: []string{"client_credentials"}, Scopes: []string{"read"}}
			if err := register(ctx, store, yours); err != nil {
				t.Error(err)
			}
			for id, register := range map[string]func(id string, client *client.Client) error{
				"their": func(id string, client *client.Client) error {
					return registerInTheirTransaction(ctx, db, store, id, client)
				},
				"our": func(id string, client *client.Client) error {
					return registerInOurTransaction(ctx, store, id, client)
				},
			} {
				if err := register(id, &client.Client{ID: id}); err != nil {
					t.Error(err)
				}
				if _, err := store.GetClient(ctx, id); err != nil {
					t.Error(err)
				}
			}
			request := fosite.NewAuthorizeRequest()
			request.Client, request.Form, request.State = yours, url.Values{"state": {"12345678"}}, "12345678"
			request.Session = &Session{DefaultSession: &fosite.DefaultSession{Subject: "ada"}, Tenant: "acme"}
			if err := keepARequest(ctx, store, "a cookie", request); err != nil {
				t.Error(err)
			}
			carried := fosite.NewRequest()
			carried.Client, carried.Session, carried.GrantedScope = yours, request.Session, []string{"read"}
			if n, err := carryOver(ctx, store, map[string]fosite.Requester{"of an old token": carried}, nil); err != nil || n != 1 {
				t.Errorf("%d tokens were carried over, error %v", n, err)
			}
			found, err := store.GetAccessTokenSession(ctx, "of an old token", &Session{})
			if err != nil {
				t.Fatal(err)
			}
			if session, ok := found.(*fosite.Request).Session.(*Session); !ok || session.Tenant != "acme" || session.GetSubject() != "ada" {
				t.Errorf("the session is %#v", found.GetSession())
			}
			if err := store.Maintain(ctx, storage.Maintenance{}); err != nil {
				t.Error(err)
			}
			_ = keepHouse // the same, for as long as a program runs
			if got := withTheirClients(db, nobody{}); got == nil {
				t.Error("no store")
			}
			before := tables(t, &team{DB: db})
			if err := db.AutoMigrate(storage.Models()...); err != nil {
				t.Error(err)
			}
			if after := tables(t, &team{DB: db}); !slices.Equal(before, after) {
				t.Errorf("tables were %q and are %q", before, after)
			}
			if err := store.CheckSchema(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// nobody is a client manager of the team's.
type nobody struct{ fosite.ClientManager }
