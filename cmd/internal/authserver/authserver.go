// Package authserver is the authorization server as it ships: it wires database, provider, endpoints and listeners.
// Read [Instance.Run] from top to bottom to see what it consists of.
package authserver

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/cmd/internal/tracing"
	"fosite-mcp/config"
	"fosite-mcp/provider"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
	"gorm.io/gorm"
)

// Instance is one authorization server; a cluster runs several on one database. Fill in Config and call Run.
type Instance struct {
	Config config.Config
	Log    *slog.Logger
	// Version and Revision of the program, for a metric.
	Version, Revision string
	// RequestLog has the requests that did not fail; nil: Log.
	RequestLog *slog.Logger
	// Ready is called once both listeners accept connections.
	Ready func(Addresses)
	// Reread makes the server read its TLS files again, each time that it receives. The server also reads them when they
	// change. nil: it never receives.
	Reread <-chan struct{}
	// Drain is closed to end the server gently: for the time of shutdown.drain /readyz answers 503 and everything else is
	// served, then it closes. The end of ctx cuts that short. nil: it is never closed.
	Drain <-chan struct{}
	// Notice tells a person what happened at the start; nil: nobody is told.
	Notice func(format string, args ...any)
	// Hasher compares secrets and passwords; nil: provider.NewSecretHasher.
	Hasher fosite.Hasher

	// Of tests; nil: those of package time.
	after func(time.Duration) <-chan time.Time
	now   func() time.Time
}

// Addresses are where a running server answers.
type Addresses struct {
	PublicURL string // origin
	Issuer    string
	Public    string // host:port of the public listener
	AdminURL  string // origin of the admin listener
	AdminKey  string // path of the file with the first admin key; empty when the key comes from the configuration
}

// Run serves until ctx ends or Drain is closed, and then lets requests that are under way finish.
func (s *Instance) Run(ctx context.Context) error {
	public, adminListener, err := s.listen()
	if err != nil {
		return err
	}
	defer public.Close()
	defer adminListener.Close()
	certificate, err := newCertificate(s.Config.TLS, s.Log)
	if err != nil {
		return err
	}
	cfg, err := s.resolve(public.Addr())
	if err != nil {
		return err
	}
	if err := CheckDataDir(cfg); err != nil {
		return err
	}
	db, pool, err := database.Open(cfg.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	traces, err := tracing.New(ctx, cfg.Tracing, s.Version, s.Log, db)
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	p, keyFile, err := s.prepare(ctx, cfg, db, pool)
	if err != nil {
		return err
	}
	p.observer.Traces = traces
	publicRouter, adminRouter, err := p.routers(s.Hasher)
	if err != nil {
		return err
	}
	s.warnOfSettings(ctx, cfg)
	defer background(ctx,
		func(ctx context.Context) {
			p.observer.Housekeep(ctx, p.store, storage.Maintenance{AuditRetention: cfg.Audit.Retention, UnusedRegistrations: cfg.Registration.UnusedLifespan})
		},
		func(ctx context.Context) { certificate.follow(ctx, s.Reread) },
		func(ctx context.Context) { s.maintainKeys(ctx, p.keys) },
		p.clock.follow,
	)()
	s.ready(cfg, public, adminListener, keyFile)
	return s.serve(ctx, cfg.Shutdown.Drain, p.end, certificate,
		service{public, publicRouter, cfg.TLS.Enabled()}, service{adminListener, adminRouter, cfg.AdminTLS()})
}

// prepare has the database ready for this server, and makes the parts of it. keyFile has the first admin key; empty: the
// configuration has it.
func (s *Instance) prepare(ctx context.Context, cfg config.Config, db *gorm.DB, pool *sql.DB) (p *parts, keyFile string, err error) {
	observer := observe.New(s.Log, pool)
	observer.Requests, observer.Quiet = s.RequestLog, !cfg.Log.Requests
	store := s.store(db, cfg, observer)
	secrets, err := s.prepareDatabase(ctx, store, cfg)
	if err != nil {
		return nil, "", err
	}
	if err := observer.TellBuild(ctx, store, s.Version, s.Revision); err != nil {
		return nil, "", err
	}
	observer.TellSecrets(len(secrets.previous))
	clock := &clock{compare: store.ClockDifference, log: s.Log}
	observer.WatchClock(clock.Difference)
	if err := clock.atStart(ctx); err != nil {
		return nil, "", err
	}
	if cfg.Tokens.AssertionAudience, err = assertionAudience(ctx, store, cfg); err != nil {
		return nil, "", err
	}
	if keyFile, err = s.ensureAdminKey(ctx, store, cfg); err != nil {
		return nil, "", err
	}
	if err := store.Settings().NoteIssuedTokens(ctx, cfg.Audit.IssuedTokens, time.Now()); err != nil {
		return nil, "", err
	}
	keys, err := s.prepareKeys(ctx, store, cfg, secrets)
	if err != nil {
		return nil, "", err
	}
	about, err := s.about(ctx, store)
	if err != nil {
		return nil, "", err
	}
	return &parts{
		cfg: cfg, log: s.Log, store: store, secrets: secrets, observer: observer, limits: newLimits(cfg, observer), keys: keys, end: newEnding(), clock: clock, about: about,
	}, keyFile, nil
}

// store makes the store of a server on db.
func (s *Instance) store(db *gorm.DB, cfg config.Config, observer *observe.Observer) *storage.Store {
	options := []storage.Option{storage.WithSessions(&provider.Session{}), storage.WithRefreshGrace(cfg.Tokens.RefreshGrace),
		storage.WithAuditListener(observer.CountEvent)}
	if s.now != nil {
		options = append(options, storage.WithClock(s.now))
	}
	return storage.New(db, options...)
}

// background runs work beside the listeners until stop is called, which waits for it. The work goes on when ctx ends: the
// last requests may need it.
func background(ctx context.Context, work ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, do := range work {
		running.Go(func() { do(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// settingsMigration makes the table that says whose database this is.
const settingsMigration = "audit/00001_settings.sql"

// prepareDatabase brings the schema up to date and checks that the database belongs to this server: by its issuer and its
// system secret. It checks first when the database was in use before, because a migration cannot be undone.
func (s *Instance) prepareDatabase(ctx context.Context, store *storage.Store, cfg config.Config) (secrets systemSecrets, err error) {
	migrations, err := store.Migrations(ctx)
	if err != nil {
		return secrets, err
	}
	pending := database.Pending(migrations)
	fresh := slices.ContainsFunc(pending, func(m storage.Migration) bool { return m.Name == settingsMigration })
	if fresh {
		if err := database.Migrate(ctx, store, len(pending)); err != nil {
			return secrets, err
		}
	}
	if err := noteFirstStart(ctx, store); err != nil {
		return secrets, err
	}
	if err := checkIssuer(ctx, store, cfg.Issuer); err != nil {
		return secrets, err
	}
	if secrets, err = readSystemSecrets(cfg); err != nil {
		return secrets, err
	}
	if err := checkSecret(ctx, store, secrets); err != nil {
		return secrets, err
	}
	if !fresh && len(pending) > 0 {
		if err := database.Migrate(ctx, store, len(pending)); err != nil {
			return secrets, err
		}
		names := make([]string, 0, len(pending))
		for _, m := range pending {
			names = append(names, m.Name)
		}
		s.Log.InfoContext(ctx, "migrated the database schema", "applied", names)
	}
	return secrets, nil
}

func (s *Instance) listen() (public, adminListener net.Listener, err error) {
	public, err = net.Listen("tcp", s.Config.Listen)
	if err != nil {
		return nil, nil, errListen(s.Config.Listen, "listen", err)
	}
	adminListener, err = net.Listen("tcp", s.Config.Admin.Listen)
	if err != nil {
		public.Close()
		return nil, nil, errListen(s.Config.Admin.Listen, "admin.listen", err)
	}
	return public, adminListener, nil
}

// resolve fills in what follows from the port, where the configuration left that to the system.
func (s *Instance) resolve(addr net.Addr) (config.Config, error) {
	cfg := s.Config
	if cfg.PublicURL != "" {
		return cfg, nil
	}
	address, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return cfg, err
	}
	cfg.PublicURL = fmt.Sprintf("http://127.0.0.1:%d", address.Port())
	return cfg.Resolve()
}

// warnOfSettings warns of dangerous ones: a data directory that others may write to, one that lets clients name private addresses, and those by which limits and the audit log
// know only the address of the proxy.
func (s *Instance) warnOfSettings(ctx context.Context, cfg config.Config) {
	s.noticeWritableFolder(cfg.DataDir)
	if cfg.Registration.InsecureAllowPrivateAddresses {
		s.notify("registration.insecure_allow_private_addresses is on: what clients name is fetched from private addresses too")
	}
	if !cfg.BehindProxy || cfg.ClientIPHeader != "" {
		return
	}
	// A log line alone: on a console it would stand there twice.
	s.Log.WarnContext(ctx, "behind_proxy is on and client_ip_header is not set: all callers count as one address, the proxy's, in limits and in the audit log. "+
		"Set client_ip_header to the header in which the proxy names the client, such as X-Forwarded-For")
}

func (s *Instance) ready(cfg config.Config, public, adminListener net.Listener, keyFile string) {
	if s.Ready != nil {
		s.Ready(Addresses{
			Public: public.Addr().String(), PublicURL: cfg.PublicURL, Issuer: cfg.Issuer,
			AdminURL: adminScheme(cfg) + adminListener.Addr().String(), AdminKey: keyFile,
		})
	}
}

func (s *Instance) notify(format string, args ...any) {
	if s.Notice != nil {
		s.Notice(format, args...)
	}
}

func adminScheme(cfg config.Config) string {
	if cfg.AdminTLS() {
		return "https://"
	}
	return "http://"
}
