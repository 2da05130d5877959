package storage

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ory/fosite"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"fosite-mcp/provider/client"
)

// BenchmarkAccessToken measures what a machine's token costs the store, without waiting for a disk.
func BenchmarkAccessToken(b *testing.B) {
	db, err := gorm.Open(sqlite.Open("file:"+b.TempDir()+"/bench.db?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=5000&_txlock=immediate"),
		&gorm.Config{Logger: logger.Discard, PrepareStmt: true})
	if err != nil {
		b.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	ctx, store := context.Background(), New(db)
	if err := store.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	if err := store.Clients().Create(ctx, &client.Client{ID: "machine", Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "none"}); err != nil {
		b.Fatal(err)
	}
	request := newTestRequest("machine")
	request.Session = &fosite.DefaultSession{}
	request.RequestedScope = request.GrantedScope
	request.GrantedAudience, request.RequestedAudience = fosite.Arguments{"https://example.com/mcp"}, fosite.Arguments{"https://example.com/mcp"}
	request.Form.Set("grant_type", "client_credentials")
	var number atomic.Int64
	create := func(b *testing.B) string {
		signature := fmt.Sprint(number.Add(1))
		if err := store.CreateAccessTokenSession(ctx, signature, request); err != nil {
			b.Fatal(err)
		}
		return signature
	}
	b.Run("Create", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			create(b)
		}
	})
	b.Run("Get", func(b *testing.B) {
		signature := create(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.GetAccessTokenSession(ctx, signature, &fosite.DefaultSession{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ReadAhead", func(b *testing.B) { // as an introspection does
		signature := create(b)
		b.ReportAllocs()
		for b.Loop() {
			ctx := ReadAhead(ctx, signature)
			if _, err := store.GetClient(ctx, "machine"); err != nil {
				b.Fatal(err)
			}
			if _, err := store.GetAccessTokenSession(ctx, signature, &fosite.DefaultSession{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
