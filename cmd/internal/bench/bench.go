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
)

// Options say what to measure, and where.
type Options struct {
	Database    string        // URL of a PostgreSQL server, on which a database or schema is made for the run
	Postgres    bool          // start a PostgreSQL server for the run; without this and Database: SQLite
	Rows        int           // live tokens to put into the table first
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
	db, err := openDatabase(ctx, o, folder)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, db.close()) }()
	server, err := startServer(ctx, o, folder, db.url)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	defer server.stop()
	b := &bench{Options: o, db: db, server: server, report: newReport(o)}
	if err := b.run(ctx); err != nil {
		return nil, interrupted(ctx, server.explain(err))
	}
	return b.report, nil
}

// interrupted is the error of a run that failed because ctx has ended, or else err.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; nothing was measured to its end (%w)", ctx.Err())
	}
	return err
}

// bench is one run.
type bench struct {
	Options
	db     *scratch
	server *server
	report *Report

	clients *clients
	tokens  []token // introspections ask about them
	empty   int64   // bytes of the database without tokens
}

func (b *bench) run(ctx context.Context) (err error) {
	if err := b.db.open(ctx); err != nil {
		return err
	}
	if b.report.Database, err = b.db.describe(ctx); err != nil {
		return err
	}
	if b.clients, err = b.server.register(ctx, machines); err != nil {
		return err
	}
	if b.empty, err = b.db.size(ctx); err != nil {
		return err
	}
	if err := b.prepareTokens(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	b.report.summarize()
	return nil
}

// parts is in how many places of the table the tokens are that introspections ask about.
const parts = 4

// prepareTokens fills the table, and gets the tokens that introspections ask about.
func (b *bench) prepareTokens(ctx context.Context) error {
	for part := range parts {
		requests := make([][]byte, max(b.Tokens/parts, len(b.clients.machines)))
		for i := range requests {
			requests[i] = b.clients.issue[i%len(b.clients.machines)]
		}
		l := b.load(issue, min(16, len(requests)), requests)
		l.once, l.warm, l.window = true, 0, time.Minute
		result, err := l.run(ctx)
		if err != nil {
			return err
		}
		if len(result.errors) > 0 {
			return fmt.Errorf("the first requests for tokens fail: %s", firstOf(result.errors))
		}
		b.tokens = append(b.tokens, result.tokens...)
		from, to := b.Rows*part/parts, b.Rows*(part+1)/parts
		if to > from {
			if err := b.fill(ctx, from, to); err != nil {
				return err
			}
		}
	}
	if len(b.tokens) == 0 {
		return errors.New("the server issues no token within a minute")
	}
	if b.Rows > 0 {
		return b.db.settle(ctx)
	}
	return nil
}

// round runs each load once.
func (b *bench) round(ctx context.Context, round int) error {
	issued := make(map[int][]token) // by the connections of the load that got them
	for _, connections := range b.Connections {
		result, err := b.measure(ctx, round, b.load(issue, connections, b.clients.issue))
		if err != nil {
			return err
		}
		issued[connections] = result.tokens
	}
	if round == 0 {
		if err := b.weigh(ctx); err != nil {
			return err
		}
	}
	for _, connections := range b.Connections {
		if _, err := b.measure(ctx, round, b.load(introspect, connections, b.clients.introspections(b.tokens))); err != nil {
			return err
		}
	}
	for _, connections := range b.Connections {
		tokens := issued[connections]
		l := b.load(revoke, connections, b.clients.revocations(tokens))
		l.once = true
		result, err := b.measure(ctx, round, l)
		if err != nil {
			return err
		}
		if err := b.verifyRevoked(ctx, connections, tokens, result.done); err != nil {
			return err
		}
	}
	return nil
}

// weigh measures how much room a live token takes, while the tokens are nearly all that the database holds.
func (b *bench) weigh(ctx context.Context) error {
	bytes, err := b.db.size(ctx)
	if err != nil {
		return err
	}
	if b.report.LiveTokens, err = b.db.tokens(ctx); err != nil {
		return err
	}
	if b.report.LiveTokens > 0 {
		b.report.BytesPerToken = float64(bytes-b.empty) / float64(b.report.LiveTokens)
	}
	return nil
}

func (b *bench) load(w workload, connections int, requests [][]byte) *load {
	return &load{
		workload: w, address: b.server.public, connections: connections, requests: requests, warm: b.warmUp(), window: b.Duration,
		meter: meter{server: b.server.process.pid(), postmaster: b.db.postmaster},
	}
}

// measure runs a load and puts what came of it into the report.
func (b *bench) measure(ctx context.Context, round int, l *load) (*outcome, error) {
	result, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	sample := result.sample()
	b.report.add(l.workload, l.connections, sample)
	b.report.count(l.workload, l.connections, result)
	b.Progress("round %d of %d: %s, connections: %d, requests/s: %.0f", round+1, b.Rounds, l.workload.name, l.connections, sample.PerSecond)
	return result, nil
}

// verified is how many of the tokens that a load has revoked are introspected afterwards.
const verified = 20

// verifyRevoked counts an error for each revoked token that introspection does not call inactive, of some of them.
func (b *bench) verifyRevoked(ctx context.Context, connections int, tokens []token, revoked []int) error {
	var some []token
	for i := 0; i < len(revoked); i += max(1, len(revoked)/verified) {
		some = append(some, tokens[revoked[i]])
	}
	if len(some) == 0 {
		return nil
	}
	l := b.load(introspectRevoked, 1, b.clients.introspections(some))
	l.once, l.warm, l.window = true, 0, time.Minute
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	b.report.count(revoke, connections, result)
	return nil
}

// fill adds rows from..to of those that were asked for.
func (b *bench) fill(ctx context.Context, from, to int) error {
	last, err := b.db.fill(ctx, to-from, func(done int) { b.Progress("filling the table: %d of %d rows", from+done, b.Rows) })
	if err != nil {
		return err
	}
	return pause(ctx, time.Until(last)) // tokens that come next are younger
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
