package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Names of the databases.
const (
	small = "small"
	large = "large"
	round = "round" // a copy of the small one, so that each round begins with as many rows
)

// measure builds the databases and runs everything.
func measure(ctx context.Context, p plan, h *host, db engine) (*report, error) {
	r := newReport(p, db)
	smallUsers, err := build(ctx, p, h, db, small, p.tokens)
	if err != nil {
		return nil, err
	}
	largeUsers, err := build(ctx, p, h, db, large, p.rows)
	if err != nil {
		return nil, err
	}
	if r.Size, err = db.sizes(ctx, large); err != nil {
		return nil, err
	}
	r.Size.perToken(p.rows)
	for n := range p.rounds {
		say("round %d of %d", n+1, p.rounds)
		if err := db.clone(ctx, small, round); err != nil {
			return nil, err
		}
		if err := r.measureSpeed(ctx, p, h, db, round, r.Small, smallUsers); err != nil {
			return nil, err
		}
		if err := r.measureSpeed(ctx, p, h, db, large, r.Large, largeUsers); err != nil {
			return nil, err
		}
	}
	return r, r.measureCleanUp(ctx, p, h, db, largeUsers)
}

// templates is how many clients the tokens are spread over.
const templates = 100

// slicesOfBuild is in how many places of a table the tokens that introspection asks about are.
const slicesOfBuild = 4

// build makes a database of rows live tokens. p.tokens of them come from the server itself and are returned; the others
// are copies of one token per client, with keys of their own.
func build(ctx context.Context, p plan, h *host, db engine, name string, rows int) (users *population, err error) {
	say("building the %s database: %d tokens", name, rows)
	if err := db.create(ctx, name); err != nil {
		return nil, err
	}
	filler := rows - p.tokens - templates
	for slice := range slicesOfBuild {
		err := h.serve(ctx, db.url(name), func(s *server) error {
			if slice == 0 {
				if users, err = s.populate(ctx, templates); err != nil {
					return err
				}
			}
			l := load{address: s.public, conns: connections, count: p.tokens / slicesOfBuild, keep: true, requests: s.issuing(users)}
			result, err := l.run(ctx)
			users.tokens = append(users.tokens, result.tokens...)
			return err
		})
		if err != nil {
			return nil, err
		}
		if n := filler / slicesOfBuild; n > 0 {
			// In the order of time, which decides how full the pages of an index are; but several in a millisecond, so
			// that PostgreSQL keeps the index on the expiry a dozen bytes per token smaller than in life.
			first := time.Now()
			last := first.Add(time.Duration(n) * 20 * time.Microsecond)
			if err := db.fill(ctx, name, n, first.Add(lifespan), last.Add(lifespan)); err != nil {
				return nil, err
			}
			pause(ctx, time.Until(last))
		}
	}
	return users, db.settle(ctx, name)
}

// lifespan of the tokens.
const lifespan = 14 * 24 * time.Hour

// connections of the load, as in all our measurements.
const connections = 16

// measureSpeed runs issuing and introspection against one database.
func (r *report) measureSpeed(ctx context.Context, p plan, h *host, db engine, name string, into *speeds, users *population) error {
	return h.serve(ctx, db.url(name), func(s *server) error {
		for _, w := range []struct {
			into     *[]sample
			requests [][]byte
			expect   string
		}{
			{&into.Introspect, s.introspecting(users), `"active":true`},
			{&into.Issue, s.issuing(users), `"access_token":"`},
		} {
			l := load{address: s.public, conns: connections, warm: p.window / 4, window: p.window, requests: w.requests, expect: w.expect, server: s.pid(), database: db}
			stolen := stolenCPU()
			result, err := l.run(ctx)
			if err != nil {
				return err
			}
			sample := result.sample()
			sample.Stolen = stolen()
			*w.into = append(*w.into, sample)
		}
		return nil
	})
}

// measureCleanUp makes rows that have expired and lets a server, which deletes them as soon as it has started, issue
// tokens meanwhile.
func (r *report) measureCleanUp(ctx context.Context, p plan, h *host, db engine, users *population) error {
	if p.expired == 0 {
		return nil
	}
	say("adding %d expired tokens", p.expired)
	now := time.Now()
	if err := db.fill(ctx, large, p.expired, now.Add(-25*time.Hour), now.Add(-time.Hour)); err != nil {
		return err
	}
	if err := db.settle(ctx, large); err != nil {
		return err
	}
	say("cleaning them up")
	return h.serve(ctx, db.url(large), func(s *server) error {
		began := time.Now()
		var latencies []time.Duration
		for deleted := 0; deleted < p.expired; {
			if time.Since(began) > 30*time.Minute {
				return fmt.Errorf("after %s only %d rows were deleted", time.Since(began), deleted)
			}
			l := load{address: s.public, conns: connections, window: p.window, requests: s.issuing(users), expect: `"access_token":"`}
			result, err := l.run(ctx)
			if err != nil {
				return err
			}
			if deleted, err = s.deletedRows(ctx); err != nil {
				return err
			}
			latencies = append(latencies, result.latencies...)
		}
		took := time.Since(began)
		slices.Sort(latencies)
		r.CleanUp = &cleanUp{Rows: p.expired, Seconds: took.Seconds(), During: sampleOf(latencies, took)}
		l := load{address: s.public, conns: connections, window: p.window, requests: s.issuing(users), expect: `"access_token":"`}
		result, err := l.run(ctx)
		r.CleanUp.After = result.sample()
		return err
	})
}
