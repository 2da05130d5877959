package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fosite-mcp/config"
)

// site is a running server with its database, its clients, and live tokens.
type site struct {
	db      *scratch
	server  *server
	clients *clients
	tokens  []token // introspections ask about them
	rows    int     // put into the table
	empty   int64   // bytes of the database without tokens
}

// newSite starts a server on a new database with this many rows.
func (b *bench) newSite(ctx context.Context, rows int) (_ *site, err error) {
	folder, err := os.MkdirTemp(b.folder, "site-")
	if err != nil {
		return nil, err
	}
	s := &site{rows: rows}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if b.postgres == "" {
		s.db = &scratch{dialect: sqlite, url: config.DatabaseURL("sqlite:" + filepath.Join(folder, "bench.db"))}
	} else if s.db, err = newOnServer(ctx, b.postgres); err != nil {
		return nil, err
	}
	if b.Database != "" {
		b.Progress("made the %s, which is dropped at the end", s.db.place)
	}
	s.db.remove = append([]func() error{func() error { return os.RemoveAll(folder) }}, s.db.remove...)
	if s.server, err = startServer(ctx, b.Options, folder, s.db.url); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, s); err != nil {
		return nil, s.server.explain(err)
	}
	return s, nil
}

// prepare makes clients and tokens.
func (b *bench) prepare(ctx context.Context, s *site) (err error) {
	if err := s.db.open(ctx); err != nil {
		return err
	}
	if s.clients, err = s.server.register(ctx, min(mostMachines, max(1, b.Tokens/parts))); err != nil {
		return err
	}
	if s.empty, err = s.db.size(ctx); err != nil {
		return err
	}
	for part := range parts {
		if err := b.getTokens(ctx, s); err != nil {
			return err
		}
		if err := b.fill(ctx, s, s.rows*part/parts, s.rows*(part+1)/parts); err != nil {
			return err
		}
	}
	if s.rows > 0 {
		return s.db.settle(ctx)
	}
	return nil
}

// close stops the server and removes the database.
func (s *site) close() error {
	if s.server != nil {
		s.server.stop()
	}
	if s.db == nil {
		return nil
	}
	return s.db.close()
}

// parts is in how many places of the table the tokens are that introspections ask about.
const parts = 4

// getTokens gets a part of these tokens.
func (b *bench) getTokens(ctx context.Context, s *site) error {
	machines := s.clients.issue
	requests := make([][]byte, max(b.Tokens/parts, len(machines)))
	for i := range requests {
		requests[i] = machines[i%len(machines)]
	}
	l := b.load(s, issue, min(16, len(requests)), requests)
	l.once, l.warm, l.window = true, 0, time.Minute
	result, err := l.run(ctx)
	switch {
	case err != nil:
		return err
	case len(result.errors) > 0:
		return fmt.Errorf("the first requests for tokens fail: %s", firstOf(result.errors))
	case len(result.tokens) == 0:
		return errors.New("the server issues no token within a minute")
	}
	s.tokens = append(s.tokens, result.tokens...)
	return nil
}

// rowsApart is how far apart the rows are in time. They come in the order of time, as in life, because that decides how full the
// pages of an index are.
const rowsApart = 10 * time.Microsecond

// fill adds the rows from..to of those that were asked for.
func (b *bench) fill(ctx context.Context, s *site, from, to int) error {
	if from == to {
		return nil
	}
	first := time.Now()
	last := first.Add(time.Duration(to-from) * rowsApart)
	err := s.db.fill(ctx, to-from, first, last, func(done int) { b.Progress("filling the table: %d of %d rows", from+done, s.rows) })
	if err != nil {
		return err
	}
	return pause(ctx, time.Until(last)) // tokens that come next are younger
}
