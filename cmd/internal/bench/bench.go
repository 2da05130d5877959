// Package bench measures how fast this program is on this machine. Call [Run].
//
// It runs the server as operators do, as a process of its own with a configuration file, on a database made for the run. A
// closed loop of keep-alive connections then asks for tokens, introspects and revokes.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"fosite-mcp/config"
)

// Options say what to measure, and where.
type Options struct {
	Database    string        // URL of a PostgreSQL server, on which a database or schema is made for the run
	Postgres    bool          // start a PostgreSQL server for the run; without this and Database: SQLite
	Rows        int           // live tokens to put into the table first; an empty table is measured as well then
	Expired     int           // tokens whose deletion is measured at the end
	Tokens      int           // live tokens that introspections ask about
	Rounds      int           // how often each load runs; they alternate
	Duration    time.Duration // of each load in a round, after a warm-up of a fifth of that
	Connections []int
	// Program makes the command that runs this program with these arguments.
	Program func(arguments ...string) *exec.Cmd
	Environ []string
	// Progress tells a person what happens.
	Progress func(format string, args ...any)
}

func (o *Options) warmUp() time.Duration { return o.Duration / 5 }

// Run measures. The server, the database and every file of the run are gone when it returns.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	folder, err := os.MkdirTemp("", "fosite-mcp-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	b := &bench{Options: o, folder: folder, files: folder, report: newReport(o)}
	switch {
	case o.Postgres:
		s, failure := newPostgres(ctx, o.Progress)
		if failure != nil {
			return nil, interrupted(ctx, failure)
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		b.postgres, b.files = s.url, s.folder
	case o.Database != "":
		b.postgres, b.files = config.DatabaseURL(o.Database), ""
	}
	if err := b.run(ctx); err != nil {
		return nil, interrupted(ctx, err)
	}
	return b.report, nil
}

// interrupted is the error of a run that failed because ctx has ended, or else err.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if errors.Is(err, errNotRemoved) {
		return fmt.Errorf("interrupted: %w", err)
	}
	return fmt.Errorf("interrupted; nothing was measured to its end (%w)", ctx.Err())
}

// bench is one run.
type bench struct {
	Options
	folder   string             // of the run
	files    string             // folder of the database's files; empty: they are elsewhere
	postgres config.DatabaseURL // of the server; empty: SQLite
	report   *Report
}

func (b *bench) run(ctx context.Context) (err error) {
	s, err := b.newSite(ctx, b.Rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if b.report.Database, err = s.db.describe(ctx, b.files); err != nil {
		return err
	}
	for round := range b.Rounds {
		if b.Rows > 0 {
			if err := b.roundOnEmpty(ctx, round); err != nil {
				return err
			}
		}
		if err := b.round(ctx, round, s); err != nil {
			return s.server.explain(err)
		}
	}
	if b.Expired > 0 {
		if err := b.cleanUp(ctx, s); err != nil {
			return s.server.explain(err)
		}
	}
	b.report.summarize()
	return nil
}

// roundOnEmpty is a round on a new database, so that each one begins with as few tokens.
func (b *bench) roundOnEmpty(ctx context.Context, round int) (err error) {
	s, err := b.newSite(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.round(ctx, round, s); err != nil {
		return s.server.explain(err)
	}
	return nil
}

// round runs each load once.
func (b *bench) round(ctx context.Context, round int, s *site) error {
	issued := make(map[int][]token) // by the connections of the load that got them
	for _, connections := range b.Connections {
		result, err := b.measure(ctx, round, s, b.load(s, issue, connections, s.clients.issue))
		if err != nil {
			return err
		}
		issued[connections] = result.tokens
	}
	if round == 0 && s.rows == b.Rows {
		if err := b.weigh(ctx, s); err != nil {
			return err
		}
	}
	for _, connections := range b.Connections {
		if _, err := b.measure(ctx, round, s, b.load(s, introspect, connections, s.clients.introspections(s.tokens))); err != nil {
			return err
		}
	}
	for _, connections := range b.Connections {
		tokens := issued[connections]
		l := b.load(s, revoke, connections, s.clients.revocations(tokens))
		l.once = true
		result, err := b.measure(ctx, round, s, l)
		if err != nil {
			return err
		}
		if err := b.verifyRevoked(ctx, s, connections, tokens, result.done); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) load(s *site, w workload, connections int, requests [][]byte) *load {
	return &load{
		workload: w, address: s.server.public, connections: connections, requests: requests, warm: b.warmUp(), window: b.Duration,
		meter: meter{server: s.server.process.pid(), postmaster: s.db.postmaster},
	}
}

// measure runs a load and puts what came of it into the report.
func (b *bench) measure(ctx context.Context, round int, s *site, l *load) (*outcome, error) {
	result, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	sample := result.sample()
	b.report.add(l.workload, s.rows, l.connections, sample)
	b.report.count(l.workload, l.connections, result)
	table := ""
	if b.Rows > 0 {
		table = fmt.Sprintf(", rows: %d", s.rows)
	}
	b.Progress("round %d of %d: %s%s, connections: %d, requests/s: %.0f", round+1, b.Rounds, l.workload.name, table, l.connections, sample.PerSecond)
	return result, nil
}

// verified is how many of the tokens that a load has revoked are introspected afterwards.
const verified = 20

// verifyRevoked counts an error for each revoked token that introspection does not call inactive, of some of them.
func (b *bench) verifyRevoked(ctx context.Context, s *site, connections int, tokens []token, revoked []int) error {
	var some []token
	for i := 0; i < len(revoked); i += max(1, len(revoked)/verified) {
		some = append(some, tokens[revoked[i]])
	}
	if len(some) == 0 {
		return nil
	}
	l := b.load(s, introspectRevoked, 1, s.clients.introspections(some))
	l.once, l.window = true, time.Minute
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	b.report.count(revoke, connections, result)
	return nil
}

// weigh measures how much room a live token takes, while the tokens are nearly all that the database holds.
func (b *bench) weigh(ctx context.Context, s *site) error {
	bytes, err := s.db.size(ctx)
	if err != nil {
		return err
	}
	live, err := s.db.tokens(ctx)
	if err != nil {
		return err
	}
	if b.report.LiveTokens = live; live > 0 {
		b.report.BytesPerToken = float64(bytes-s.empty) / float64(live)
		b.report.Objects = s.db.objects(ctx, live)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
