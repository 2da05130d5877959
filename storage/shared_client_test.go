package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"fosite-mcp/provider/client"
)

// Those who ask for one client at once share a look at that client. Each has its own secrets then, and may change them.
func TestCallersOfOneClientShareOneLook(t *testing.T) {
	onPostgres(t, func(t *testing.T, e testEngine) {
		const waitFor = 5
		ctx, s := soon(t), e.store(t)
		err := s.Clients().Create(ctx, &client.Client{
			ID: "machine", Name: "Machine", Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "client_secret_basic",
			Secrets: []client.Secret{{ID: "first", Hash: []byte(fastHash + "first")}, {ID: "second", Hash: []byte(fastHash + "second")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []bool{false, true} { // by a registration that the process remembers
			sent, release := make(chan struct{}), make(chan struct{})
			var mu sync.Mutex
			var statements []string
			if err := errors.Join(s.db.Host().Callback().Row().After("gorm:row").Register("test:hold", func(db *gorm.DB) {
				mu.Lock()
				statements = append(statements, db.Statement.SQL.String())
				first := len(statements) == 1
				mu.Unlock()
				if first {
					close(sent)
					<-release
				}
			})); err != nil {
				t.Fatal(err)
			}
			var callers sync.WaitGroup
			look := func(w *waiting) {
				got, err := s.GetClient(w, "machine")
				if err != nil {
					t.Errorf("known = %v: %v", known, err)
					return
				}
				c := client.Of(got)
				if want := fmt.Sprint("machine", len("Machine"), []string{fastHash + "first", fastHash + "second"}); describeClient(c) != want {
					t.Errorf("known = %v: got %s, want %s", known, describeClient(c), want)
				}
				clear(c.Secrets)
			}
			callers.Go(func() { look(newWaiting(ctx)) })
			<-sent
			for range waitFor {
				w := newWaiting(ctx)
				callers.Go(func() { look(w) })
				w.wait(t)
			}
			close(release)
			callers.Wait()
			if err := s.db.Host().Callback().Row().Remove("test:hold"); err != nil {
				t.Fatal(err)
			}
			if len(statements) != 2 || slices.ContainsFunc(statements, func(sql string) bool { return strings.Contains(sql, "unnest") }) {
				t.Errorf("known = %v: %d callers ran %q, want two statements for one client", known, waitFor+1, statements)
			}
		}
	})
}
