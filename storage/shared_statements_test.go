package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
)

// Many callers of one store share statements, and each gets the answer to its own question. First nobody fails but the guilty
// and those who leave. Then connections are lost as well, which may fail anybody, and must not make an answer wrong.
// FOSITE_MCP_TEST_SHARED=60s makes this last for so long.
func TestSharedStatementsAnswerNothingWrong(t *testing.T) {
	const callers, visits = 64, 10 // visits of each caller at least
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("FOSITE_MCP_TEST_SHARED"), "0s"))
	if err != nil {
		t.Fatalf("FOSITE_MCP_TEST_SHARED is %q; set it to a time such as 60s", os.Getenv("FOSITE_MCP_TEST_SHARED"))
	}
	onPostgres(t, func(t *testing.T, e testEngine) {
		l := newLedger(t, e)
		for _, l.killing = range []bool{false, true} {
			end := time.Now().Add(duration / 2)
			var atWork sync.WaitGroup
			for range callers {
				atWork.Go(func() {
					l.issue(visit{Context: t.Context()})
					for i := 0; i < visits || time.Now().Before(end); i++ {
						l.visit(t.Context())
					}
				})
			}
			atWork.Wait()
		}
		l.killing = false
		l.wantTokens()
		l.wantEvents()
		for what, n := range map[string]int64{
			"shared SELECT": l.selects.Load(), "shared INSERT": l.inserts.Load(), "shared UPDATE": l.updates.Load(),
			"refusal": l.refused.Load(), "caller who left": l.left.Load(), "ended session": l.killed.Load(), "lost connection": l.unheard.Load(),
		} {
			if t.Logf("%s: %d", what, n); n == 0 {
				t.Errorf("there was no %s", what)
			}
		}
		t.Logf("tokens: %d; errors by lost connections: %d", l.tokens.Load(), l.lost.Load())
	})
}

func onPostgres(t *testing.T, test func(t *testing.T, e testEngine)) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		if e.name == "postgres" {
			test(t, e)
		}
	})
}

// waiting is the context of a caller, and tells when the caller waits: from then on it looks whether its context has ended.
type waiting struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func newWaiting(ctx context.Context) *waiting {
	return &waiting{Context: ctx, waits: make(chan struct{})}
}

// wait returns once the caller waits.
func (w *waiting) wait(t *testing.T) {
	t.Helper()
	select {
	case <-w.waits:
	case <-w.Context.Done():
		t.Fatal("a caller does not look whether its context has ended")
	}
}

// Done implements [context.Context].
func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}

// machineRequest is a request for a machine's token.
func machineRequest(clientID string) *fosite.Request {
	request := newTestRequest(clientID)
	request.Session = &fosite.DefaultSession{}
	request.Form.Set("grant_type", "client_credentials")
	return request
}

// A read does not join a statement that was sent before: what was revoked since would be active in it.
func TestAReadSeesWhatWasRevokedBeforeItWasSent(t *testing.T) {
	onPostgres(t, func(t *testing.T, e testEngine) {
		const waitFor = 3
		ctx, dialector := soon(t), e.dialector(t)
		s, other := New(openPool(t, dialector())), New(openPool(t, dialector()))
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		s.addClient(t, "machine")
		if err := s.CreateAccessTokenSession(ctx, "token", machineRequest("machine")); err != nil {
			t.Fatal(err)
		}
		// The first SELECT is held once PostgreSQL has answered, and all others before they are sent.
		sent, release := make(chan struct{}), make(chan struct{})
		letGo := sync.OnceFunc(func() { close(release) })
		defer letGo()
		var statements, answers atomic.Int64
		row := s.db.Host().Callback().Row()
		if err := errors.Join(row.Before("gorm:row").Register("test:hold", func(*gorm.DB) {
			if statements.Add(1) > 1 {
				<-release
			}
		}), row.After("gorm:row").Register("test:answered", func(*gorm.DB) {
			if answers.Add(1) == 1 {
				close(sent)
				<-release
			}
		})); err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		read := func(ctx context.Context, wantRevoked bool) {
			var token storedRequest
			_, err := s.clientsWithToken.Get(ctx, "machine", accessTokenKey("token"), &token)
			if err != nil || !token.found() || token.ended.Bool != wantRevoked {
				t.Errorf("found = %v, revoked = %v, want %v: %v", token.found(), token.ended.Bool, wantRevoked, err)
			}
		}
		readers.Go(func() { read(ctx, false) })
		<-sent
		for range waitFor {
			reader := newWaiting(ctx)
			readers.Go(func() { read(reader, true) })
			reader.wait(t)
		}
		if owner, err := other.RevokeOwnToken(ctx, fosite.AccessToken, "token", "machine"); owner != "machine" || err != nil {
			t.Errorf("revoked: owner %q, %v", owner, err)
		}
		letGo()
		readers.Wait()
	})
}

// beginner begins a transaction, which one of two functions ends.
type beginner func(ctx context.Context, s *Store) (inner context.Context, commit, rollback func() error, err error)

// What is done in a transaction is done on its connection, even while all others wait for statements that they share.
func TestTransactionsDoNotWaitForSharedStatements(t *testing.T) {
	begun := func(ctx context.Context, s *Store) (inner context.Context, commit, rollback func() error, err error) {
		inner, err = s.BeginTX(ctx)
		return inner, func() error { return s.Commit(inner) }, func() error { return s.Rollback(inner) }, err
	}
	hosts := func(ctx context.Context, s *Store) (inner context.Context, commit, rollback func() error, err error) {
		tx := s.db.Host().WithContext(ctx).Begin()
		return WithTx(ctx, tx), func() error { return tx.Commit().Error }, func() error { return tx.Rollback().Error }, tx.Error
	}
	onPostgres(t, func(t *testing.T, e testEngine) {
		ctx, dialector := soon(t), e.dialector(t)
		s, other := New(openPool(t, dialector())), New(openPool(t, dialector()))
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		s.addClient(t, "machine")
		s.addClient(t, "person")
		if _, err := s.GetClient(ctx, "machine"); err != nil {
			t.Fatal(err)
		}
		defer holdOthers(t, ctx, s)()
		for name, begin := range map[string]beginner{"ours": begun, "theirs": hosts} {
			for _, kept := range []bool{false, true} {
				id := fmt.Sprint(name, kept)
				inner, commit, rollback, err := begin(ctx, s)
				if err != nil {
					t.Fatal(err)
				}
				end := rollback
				if kept {
					end = commit
				}
				err = s.Clients().Create(inner, &client.Client{ID: id})
				if err = errors.Join(err, s.CreateAccessTokenSession(inner, id, machineRequest(id))); err != nil {
					t.Fatal(err)
				}
				wantBoth(t, inner, s, id, true)
				if _, err := s.GetClient(inner, "machine"); err != nil {
					t.Error(err)
				}
				wantBoth(t, ctx, other, id, false)
				if err := end(); err != nil {
					t.Fatal(err)
				}
				wantBoth(t, ctx, other, id, kept)
			}
		}
	})
}

// wantBoth checks whether the client id and its token of this signature are there.
func wantBoth(t *testing.T, ctx context.Context, s *Store, id string, want bool) {
	t.Helper()
	ctx = ReadAhead(ctx, id)
	_, clientErr := s.GetClient(ctx, id)
	_, tokenErr := s.GetAccessTokenSession(ctx, id, nil)
	for what, err := range map[string]error{"client": clientErr, "token": tokenErr} {
		if err != nil && !errors.Is(err, fosite.ErrNotFound) || (err == nil) != want {
			t.Errorf("%s %q: %v, want it there: %v", what, id, err, want)
		}
	}
}

// holdOthers has statements wait that are in no transaction, and fills all places for shared ones. "machine" is known to the
// process, and "person" is not.
func holdOthers(t *testing.T, ctx context.Context, s *Store) (letGo func()) {
	const each = 8 // more than may be under way
	release := make(chan struct{})
	var held sync.Map
	hold := func(db *gorm.DB) {
		if !database.IsTransaction(db) {
			held.Store(db.Statement.SQL.String(), true)
			<-release
		}
	}
	callbacks := s.db.Host().Callback()
	if err := errors.Join(callbacks.Row().Before("gorm:row").Register("test:hold", hold),
		callbacks.Raw().Before("gorm:raw").Register("test:hold", hold)); err != nil {
		t.Fatal(err)
	}
	others := map[string]func(ctx context.Context, i int) error{
		"an INSERT": func(ctx context.Context, i int) error {
			return s.CreateAccessTokenSession(ctx, fmt.Sprint("other ", i), machineRequest("machine"))
		},
	}
	for _, id := range []string{"machine", "person"} {
		others["a look at "+id] = func(ctx context.Context, _ int) error { _, err := s.GetClient(ctx, id); return err }
		others["a look at "+id+" and a token"] = func(ctx context.Context, _ int) error {
			_, err := s.GetClient(ReadAhead(ctx, "token"), id)
			return err
		}
	}
	var callers sync.WaitGroup
	for what, do := range others {
		for i := range each {
			w := newWaiting(ctx)
			callers.Go(func() {
				if err := do(w, i); err != nil {
					t.Errorf("%s that waited: %v", what, err)
				}
			})
			w.wait(t)
		}
	}
	eventually(t, "a statement of each kind is under way", func() bool {
		n := 0
		held.Range(func(any, any) bool { n++; return true })
		return n >= len(others)
	})
	return func() {
		close(release)
		callers.Wait()
	}
}
