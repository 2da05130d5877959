package main

import (
	"context"
	"time"
)

// engine is a kind of database, and the databases of this run by their names.
type engine interface {
	kind() string
	// create makes an empty database.
	create(ctx context.Context, name string) error
	// url is the setting database.url of a server.
	url(name string) string
	// clone makes a database from another one, in place of an earlier clone of that name. No server runs on either.
	clone(ctx context.Context, from, to string) error
	// fill adds tokens: copies of those that are there, with signatures and request ids of their own, whose ends are
	// spread evenly from first to last.
	fill(ctx context.Context, name string, rows int, first, last time.Time) error
	// settle finishes what the database would do in the background sooner or later.
	settle(ctx context.Context, name string) error
	// sizes measures a settled database.
	sizes(ctx context.Context, name string) (*size, error)
	// cpu is how many seconds of it the database's own processes have used.
	cpu() float64
	// close removes the databases.
	close()
}

// size is how large the database is.
type size struct {
	Bytes    int64         `json:"bytes"`
	PerToken float64       `json:"bytes_per_token"`
	Objects  []*objectSize `json:"access_tokens"` // the table and its indexes
}

type objectSize struct {
	Name     string  `json:"name"`
	Bytes    int64   `json:"bytes"`
	PerToken float64 `json:"bytes_per_token"`
}

func (s *size) perToken(rows int) {
	s.PerToken = float64(s.Bytes) / float64(rows)
	for _, o := range s.Objects {
		o.PerToken = float64(o.Bytes) / float64(rows)
	}
}

// fillBatch is how many rows one statement adds.
const fillBatch = 250_000
