package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/handler/rfc7523"
	fositestorage "github.com/ory/fosite/storage"
	"gorm.io/gorm"
)

var (
	_ fosite.Storage                     = (*Store)(nil)
	_ fosite.PARStorage                  = (*Store)(nil)
	_ oauth2.CoreStorage                 = (*Store)(nil)
	_ oauth2.TokenRevocationStorage      = (*Store)(nil)
	_ openid.OpenIDConnectRequestStorage = (*Store)(nil)
	_ pkce.PKCERequestStorage            = (*Store)(nil)
	_ rfc7523.RFC7523KeyStorage          = (*Store)(nil)
	_ fositestorage.Transactional        = (*Store)(nil)
)

// Store is fosite's storage on a relational database. Make one with [New]; it is safe for concurrent use.
type Store struct {
	dialect  string
	db       *database
	writer   writer
	changes  *turns[*auditedWrite] // PostgreSQL's
	clients  fosite.ClientManager  // nil: the store's own
	sessions sessionTypes
	now      func() time.Time
	grace    time.Duration
	usage    usage
	health   writeHealth
	audited  func(AuditEvent)

	registrations registrations
}

// An Option changes how [New] builds a store.
type Option func(*Store)

// WithClients keeps clients where they are today: the store then holds tokens only, and asks manager for
// every client. Registration and secrets of this package are not used; [Store.RevokeClient] and
// [Store.RevokeClientBefore] end tokens of these clients as well, and [ReadAhead] changes nothing.
func WithClients(manager fosite.ClientManager) Option {
	return func(s *Store) { s.clients = manager }
}

// WithSessions names further session types that the store must be able to bring back, as pointers to zero
// values. The first one becomes the type that is stored without a tag, so it must stay the first one for as long as rows
// of it live. fosite's own types are always known.
func WithSessions(prototypes ...fosite.Session) Option {
	return func(s *Store) { s.sessions = s.sessions.with(prototypes) }
}

// WithClock replaces [time.Now], for tests.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now = now }
}

// WithAuditListener has fn told of every audit event of this store that has become durable, for metrics. fn is called by
// whoever commits, so it must be quick.
func WithAuditListener(fn func(AuditEvent)) Option {
	return func(s *Store) { s.audited = fn }
}

// New makes a store on db, a connection pool that may be shared with other code. Its tables have plain names (clients,
// users, settings, …): where they could meet others, give it a database of its own or, on PostgreSQL, a schema
// (search_path in the URL). Call [Store.Migrate] before the first use. Statements
// go to db's connection pool and not through its logger, which would print token signatures.
// A db that cannot be used makes every call fail with the reason.
//
// gorm.Open switches a new SQLite file to WAL, if its settings say so. Where several processes may open one at the same
// time, repeat it while it answers "database is locked": busy_timeout does not hold there.
func New(db *gorm.DB, options ...Option) *Store {
	s := &Store{
		sessions: defaultSessionTypes(),
		now:      time.Now,
		grace:    time.Minute,
	}
	for _, option := range options {
		option(s)
	}
	var pool *sql.DB
	err := errors.New("storage: New was given no database")
	if db != nil {
		s.dialect = db.Name()
		pool, err = db.DB()
	}
	if err == nil && s.dialect != "sqlite" && s.dialect != "postgres" {
		err = fmt.Errorf("storage: the %q dialect is not supported; use SQLite or PostgreSQL", s.dialect)
	}
	s.db = newDatabase(pool, s.dialect, err)
	s.db.audited = s.audited
	if s.dialect == "postgres" {
		s.writer = &directWriter{db: s.db}
		s.changes = newTurns(changesTimeout, s.makeChanges)
	} else {
		s.writer = newGroupWriter(s.db)
	}
	return s
}

// Ping tells whether the database answers, and takes writes as far as is known: it remembers those that failed, and see
// [Store.CheckWrites].
func (s *Store) Ping(ctx context.Context) error {
	query := "SELECT 'off'"
	if s.db.postgres {
		query = "SELECT current_setting('transaction_read_only')" // on: a standby
	}
	var readOnly string
	if err := s.read(ctx).QueryRowContext(ctx, query).Scan(&readOnly); err != nil {
		return fmt.Errorf("storage: the database does not answer: %w", err)
	}
	if readOnly == "on" {
		return s.CheckWrites(ctx) // on another connection, perhaps to another server
	}
	return s.writable(ctx)
}

// millis is how times are stored: Unix milliseconds, which order, index and compare alike on both engines. Times beyond
// what they can say, which anybody can write into an assertion, are the first and the last one of them.
func millis(t time.Time) int64 {
	switch {
	case t.After(lastTime):
		return math.MaxInt64
	case t.Before(firstTime):
		return math.MinInt64
	}
	return t.UnixMilli()
}

var firstTime, lastTime = time.UnixMilli(math.MinInt64), time.UnixMilli(math.MaxInt64)

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// nullMillis stores the zero time as NULL: "never".
func nullMillis(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: millis(t), Valid: true}
}

func fromNullMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMillis(ms.Int64)
}

func nullString(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
