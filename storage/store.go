package storage

import (
	"context"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/handler/rfc7523"
	fositestorage "github.com/ory/fosite/storage"
	"gorm.io/gorm"

	"fosite-mcp/storage/access"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/usage"
	"fosite-mcp/storage/people"
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

// Store is fosite's storage on a relational database: one value for all of fosite's interfaces, made of parts by subject,
// and the way to what is not fosite's (clients, people, audit). Make one with [New]; it is safe for concurrent use.
type Store struct {
	*core
	*Tokens
	*AuthorizeSessions
	*Assertions
	*Housekeeping
	*Feed

	consents *people.Consents
	logins   *people.Sessions
	settings *audit.Settings
	access   *access.Reader
	audited  func(audit.Event)
}

// Tokens is the part of a [Store] that keeps access and refresh tokens and what can be revoked of them.
type Tokens struct{ *core }

// AuthorizeSessions is the part of a [Store] that keeps what lives from a login to its tokens: authorization codes, their
// PKCE challenges and OpenID requests, and authorization requests (pushed, or kept between two pages).
type AuthorizeSessions struct{ *core }

// Assertions is the part of a [Store] that knows which assertions (RFC 7523) were used, and whose keys may sign them.
type Assertions struct{ *core }

// Housekeeping is the part of a [Store] that looks after the database.
type Housekeeping struct {
	*core
	adminKeys       *audit.AdminKeys
	idempotencyKeys *audit.IdempotencyKeys
	adminKeysUsed   *usage.Times
	writeCheck      writeCheck
	timetable       timetable
}

// core is what the parts of a store share.
type core struct {
	db         *database.DB
	external   fosite.ClientManager // nil: the store's own
	clients    *clients.Registry
	issuers    *clients.Registry
	users      *people.Users
	sessions   sessionTypes
	log        *audit.Log
	tokensUsed *usage.Times
	now        func() time.Time
	replaced   bool // now is that of WithClock, and stands for the database's clock too
	grace      time.Duration

	machineTokens    *database.Together[[]any] // rows of access_tokens
	clientsWithToken *clients.Reader[storedRequest]
}

// An Option changes how [New] builds a store.
type Option func(*Store)

// WithClients keeps clients where they are today: the store then has the tables of [PartTokens] alone, asks manager for
// every client. [Store.Clients] answers with an error then; [Tokens.RevokeClient] and [Tokens.RevokeClientBefore] end tokens of
// these clients as well, and [ReadAhead] changes nothing.
//
// What was revoked while the clients were the store's own stays revoked, and so does what is revoked of a host's client that
// the store registers later. Where tokens of one secret were revoked, all that the client was issued until then end with the
// switch: the secrets are not here. A client that was in the store all along does not learn what was revoked here: end its
// tokens once more with [clients.Registry.Revoke].
func WithClients(manager fosite.ClientManager) Option {
	return func(s *Store) { s.external = manager }
}

// WithSessions names further session types that the store must be able to bring back, as pointers to zero
// values. The first one becomes the type that is stored without a tag, so it must stay the first one for as long as rows
// of it live. fosite's own types are always known.
func WithSessions(prototypes ...fosite.Session) Option {
	return func(s *Store) { s.sessions = s.sessions.with(prototypes) }
}

// WithClock replaces [time.Now] and the database's clock, for tests. [Housekeeping.ClockDifference] still compares the two.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now, s.replaced = now, true }
}

// WithAuditListener has fn told of every audit event of this store that has become durable, for metrics; but not of those in a
// transaction of the host's, whose end it does not know. fn is called by
// whoever commits, so it must be quick.
func WithAuditListener(fn func(audit.Event)) Option {
	return func(s *Store) { s.audited = fn }
}

// New makes a store on db, which may be shared with other code: tables have the names that its NamingStrategy gives them,
// and statements go through its callbacks, plugins and logger, which sees no values. Call [Store.Migrate] before the first
// use. A db that cannot be used makes every call fail with the reason, and so does a transaction: see [WithTx].
//
// With gorm.Config.PrepareStmt SQLite compiles each statement once; pgx does that by itself.
//
// gorm.Open switches a new SQLite file to WAL, if its settings say so. Where several processes may open one at the same
// time, repeat it while it answers "database is locked": busy_timeout does not hold there.
func New(db *gorm.DB, options ...Option) *Store {
	c := &core{
		db:       database.New(db),
		sessions: defaultSessionTypes(),
		now:      time.Now,
		grace:    time.Minute,
	}
	c.machineTokens = database.NewTogether(database.AtOnce(), c.insertMachineTokens)
	s := &Store{core: c, Tokens: &Tokens{c}, AuthorizeSessions: &AuthorizeSessions{c}, Assertions: &Assertions{c}, Housekeeping: &Housekeeping{core: c}, Feed: newFeed(c)}
	for _, option := range options {
		option(s)
	}
	s.tokensUsed, s.adminKeysUsed = usage.OfSignatures(s.db, "access_tokens"), usage.OfIDs(s.db, "admin_keys")
	s.log = audit.New(s.db, s.now, s.external == nil, s.audited)
	registry, others := s.db, s.db // for the parts other than tokens
	if s.external != nil {
		registry, others = database.Failing(errClientsElsewhere), database.Failing(errTokensAlone)
	}
	s.clients = clients.New(registry, s.now, s.log)
	s.issuers = s.clients.Issuers()
	s.clientsWithToken = withToken(s.clients)
	s.users, s.consents, s.logins = people.New(others, s.now, s.log, people.Access{Granted: s.liveGrants, Revoke: s.RevokeSubject})
	s.adminKeys = audit.NewAdminKeys(others, s.log, s.now, func(id string) { s.adminKeysUsed.Note(id, s.now()) })
	s.idempotencyKeys = audit.NewIdempotencyKeys(others, s.now)
	s.settings = audit.NewSettings(others)
	s.access = access.New(others, s.now)
	s.Feed.prepare()
	return s
}

// Audit is the log of who did what. With [WithClients] there is none: what is appended is given up, and there is nothing to read.
func (s *Store) Audit() *audit.Log { return s.log }

// AdminKeys are the keys of the admin API.
func (s *Store) AdminKeys() *audit.AdminKeys { return s.adminKeys }

// IdempotencyKeys keep answers of the admin API for requests that are sent twice.
func (s *Store) IdempotencyKeys() *audit.IdempotencyKeys { return s.idempotencyKeys }

// Settings are facts about this deployment.
func (s *Store) Settings() *audit.Settings { return s.settings }

// Access tells who had access in a time that is over.
func (s *Store) Access() *access.Reader { return s.access }

// WithTx returns a context with which every call takes part in tx, a transaction of the host's, who commits it or rolls it
// back. What fosite does in a transaction of its own is then a savepoint. The store must be on the same database. On
// PostgreSQL tx must be at the level READ COMMITTED, which is the default: at any other a revocation would miss what was
// issued meanwhile, so the first call looks, and refuses.
func WithTx(ctx context.Context, tx *gorm.DB) context.Context { return database.WithTx(ctx, tx) }

// BeginTX opens a transaction and returns a context that carries it: every call of the store with that context
// takes part. End it with [Store.Commit] or [Store.Rollback]; when ctx ends first it is rolled back. Inside another
// transaction it is a savepoint.
func (s *Store) BeginTX(ctx context.Context) (context.Context, error) { return s.db.Begin(ctx) }

// Commit makes the transaction of ctx durable, or a part of the transaction around it.
func (s *Store) Commit(ctx context.Context) error { return s.db.Commit(ctx) }

// Rollback undoes the transaction of ctx. One that has already ended is left alone: fosite also rolls back
// after a commit that failed.
func (s *Store) Rollback(ctx context.Context) error { return s.db.Rollback(ctx) }

// InTransaction runs fn with a context that carries a transaction, and commits it when fn returns nil. tx is the same
// transaction for rows of the host's own, which are committed together with the store's. A transaction
// that lost against a concurrent one is run again, so fn must start from scratch each time. Inside another
// transaction fn simply takes part in it.
func (s *Store) InTransaction(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	return s.db.InTransaction(ctx, fn)
}

// Atomically is [Store.InTransaction] without rows of anybody else.
func (s *Store) Atomically(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.db.InTransaction(ctx, func(ctx context.Context, _ *gorm.DB) error { return fn(ctx) })
}

// Ping tells whether the database answers, and takes writes as far as is known: it remembers those that failed, and see
// [Housekeeping.CheckWrites].
func (s *Housekeeping) Ping(ctx context.Context) error {
	query := "SELECT 'off'"
	if s.db.Postgres {
		query = "SELECT current_setting('transaction_read_only')" // on: a standby
	}
	var readOnly string
	if err := s.db.QueryRow(ctx, query).Scan(&readOnly); err != nil {
		return database.Wrap(err, "the database does not answer")
	}
	if readOnly == "on" {
		return s.CheckWrites(ctx) // on another connection, perhaps to another server
	}
	return s.writable(ctx)
}
