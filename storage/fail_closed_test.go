package storage

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// In a snapshot a revocation would miss what was issued since.
func TestAHostsTransactionMustSeeWhatOthersCommit(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		if !store.db.Postgres {
			return
		}
		for level, want := range map[sql.IsolationLevel]bool{
			sql.LevelDefault: true, sql.LevelReadCommitted: true, sql.LevelRepeatableRead: false, sql.LevelSerializable: false,
		} {
			tx := store.db.Host().Begin(&sql.TxOptions{Isolation: level})
			ctx := WithTx(soon(t), tx)
			_, err := store.RevokeSubject(ctx, "ada", "")
			if err == nil {
				err = store.Users().Disable(ctx, "nobody")
			}
			if refused := err != nil && strings.Contains(err.Error(), "LevelReadCommitted"); refused == want {
				t.Errorf("%s: error %v; it is to be refused: %v", level, err, !want)
			}
			tx.Rollback()
		}
	})
}

func TestAnImportedTokenEndsAtTheTimeThatWasGiven(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		store := e.storeWithClients(t, WithClock(clock.now))
		request := newTestRequest("machine")
		request.Session.SetExpiresAt(fosite.AccessToken, clock.now().Add(10*time.Hour))
		token := ImportedToken{Kind: fosite.AccessToken, Signature: "signature", Request: request, ExpiresAt: clock.now().Add(time.Minute)}
		if n, err := store.ImportTokens(soon(t), []ImportedToken{token}); err != nil || n != 1 {
			t.Fatalf("imported %d, error %v", n, err)
		}
		got, err := store.GetAccessTokenSession(soon(t), "signature", nil)
		if err != nil {
			t.Fatal(err)
		}
		if end := got.GetSession().GetExpiresAt(fosite.AccessToken); !end.Equal(token.ExpiresAt) {
			t.Errorf("it ends at %v, want %v", end, token.ExpiresAt)
		}
		// One that was revoked and cleaned up leaves no trace.
		if err := store.RevokeGrant(soon(t), request.ID); err != nil {
			t.Fatal(err)
		}
		clock.forward(time.Hour)
		if _, err := store.CleanUp(soon(t), CleanUp{}); err != nil {
			t.Fatal(err)
		}
		if n, err := store.ImportTokens(soon(t), []ImportedToken{token}); err != nil || n != 0 {
			t.Errorf("imported %d, error %v; want none, it has expired", n, err)
		}
		if _, err := store.GetAccessTokenSession(soon(t), "signature", nil); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("the revoked token: error %v, want %v", err, fosite.ErrNotFound)
		}
	})
}

// InnerSession and OuterSession are two levels of embedded pointers, both of which can be nil.
type (
	InnerSession struct{ *fosite.DefaultSession }
	OuterSession struct{ *InnerSession }
)

func (s *OuterSession) Clone() fosite.Session { return s }

func TestReuseEndsAGrantWhoseSessionHoldsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t, WithSessions(&OuterSession{}))
		request := newTestRequest("person")
		request.Session = &OuterSession{}
		if err := store.CreateRefreshTokenSession(soon(t), "signature", "", request); err != nil {
			t.Fatal(err)
		}
		grant, err := store.GetRefreshTokenSession(soon(t), "signature", nil)
		if err != nil {
			t.Fatal(err)
		}
		if ended, err := store.RevokeReused(soon(t), "refresh_token.reused", grant, "signature"); err != nil || !ended {
			t.Errorf("ended %v, error %v", ended, err)
		}
	})
}

// vanished is a host's client manager that does not find its clients at the moment.
type vanished struct{ fosite.ClientManager }

func (vanished) GetClient(context.Context, string) (fosite.Client, error) {
	return nil, fosite.ErrNotFound
}

// "Not found" would mean that there is no challenge, and that the code may be redeemed without a verifier.
func TestAChallengeWhoseClientIsGoneIsNotMissing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.store(t, WithClients(vanished{}))
		if err := store.CreatePKCERequestSession(soon(t), "code", newTestRequest("person")); err != nil {
			t.Fatal(err)
		}
		if _, err := store.GetPKCERequestSession(soon(t), "code", nil); err == nil || errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("error %v, want another one than not found", err)
		}
		if _, err := store.GetPKCERequestSession(soon(t), "another code", nil); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("without a challenge: error %v, want %v", err, fosite.ErrNotFound)
		}
	})
}

func TestAuthorizeRequestsWithoutAnExpiryEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		store := e.storeWithClients(t, WithClock(clock.now))
		if err := store.CreatePARSession(soon(t), "urn:request", newAuthorizeRequest("person")); err != nil {
			t.Fatal(err)
		}
		if err := store.SaveAuthorizeRequest(soon(t), "cookie", newAuthorizeRequest("person"), clock.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		clock.forward(48 * time.Hour)
		if _, err := store.GetPARSession(soon(t), "urn:request"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("two days later: error %v, want %v", err, fosite.ErrNotFound)
		}
		if err := store.SaveAuthorizeRequest(soon(t), "cookie", newAuthorizeRequest("person"), clock.now().Add(time.Hour)); err != nil {
			t.Errorf("the same browser, later: %v", err)
		}
		if _, err := store.TakeAuthorizeRequest(soon(t), "cookie", nil); err != nil {
			t.Errorf("the same browser, later: %v", err)
		}
	})
}

// errorLogger keeps the errors that a host's logger is given.
type errorLogger struct {
	logger.Interface
	errors []error
}

func (l *errorLogger) LogMode(logger.LogLevel) logger.Interface { return l }

func (l *errorLogger) Trace(_ context.Context, _ time.Time, _ func() (string, int64), err error) {
	if err != nil {
		l.errors = append(l.errors, err)
	}
}

// PostgreSQL's error has the values of the row in its fields.
func TestALoggersErrorsHoldNoValues(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		db := openPool(t, e.dialector(t)())
		log := &errorLogger{Interface: logger.Discard}
		store := New(db.Session(&gorm.Session{Logger: log}))
		if err := store.Migrate(soon(t)); err != nil {
			t.Fatal(err)
		}
		_ = store.CreatePKCERequestSession(soon(t), "code", newTestRequest("person"))
		log.errors = nil
		if err := store.CreatePKCERequestSession(soon(t), "code", newTestRequest("person")); err == nil || len(log.errors) == 0 {
			t.Fatalf("error %v, %d logged, want a duplicate", err, len(log.errors))
		}
		for _, err := range log.errors {
			var answer *pgconn.PgError
			if errors.As(err, &answer) {
				t.Errorf("the logger was given %#v", answer)
			}
		}
	})
}
