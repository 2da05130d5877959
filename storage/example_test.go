package storage_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// A store on SQLite, a client, and what has to be done every minute.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	// WAL lets reads go on beside a write, FULL makes a commit survive a power failure, immediate spares transactions
	// that fail half-way. On PostgreSQL nothing needs to be set.
	db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(folder, "oauth.db") +
		"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate&_foreign_keys=1"))
	if err != nil {
		log.Fatal(err)
	}
	store := storage.New(db)
	if err := store.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	hasher := provider.NewSecretHasher()
	secret := client.NewSecret() // shown to the client's owner once
	hash, err := hasher.Hash(ctx, []byte(secret))
	if err != nil {
		log.Fatal(err)
	}
	c := &client.Client{
		Name:                    "nightly build",
		GrantTypes:              []string{"client_credentials"},
		Scope:                   []string{"mcp:search"},
		Audience:                []string{"https://docs.example.com/mcp"},
		TokenEndpointAuthMethod: "client_secret_basic",
		Secrets:                 []client.Secret{{Hash: hash, ExpiresAt: time.Now().AddDate(0, 6, 0)}},
	}
	if err := store.Clients().Create(ctx, c); err != nil {
		log.Fatal(err)
	}

	if err := store.Maintain(ctx, storage.Maintenance{}); err != nil { // every quarter of a minute
		log.Fatal(err)
	}

	found, err := store.Clients().Find(ctx, c.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Name, found.Status, len(found.Secrets))
	// Output: nightly build active 1
}
