package clients

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// A Reader reads a client in the way of [Registry.Get], and in the same statement a T, which it finds by a key. On PostgreSQL
// callers share statements.
type Reader[T any] struct {
	registry *Registry
	keyless  bool
	// For one client and for many, without and with what the client was registered with.
	one, oneFull, many, manyFull string
	together, togetherFull       *database.Together[*reading[T]]
	readings                     sync.Pool // *reading[T]
}

// NewReader makes a reader that also selects columns into the targets of a T. joins says where from, for a key that is written
// in one way in a statement for one client and in another in one for many. The aliases c, s and given are taken. Without joins
// there is no key.
func NewReader[T any](registry *Registry, columns string, joins func(key string) string, targets func(*T) []any) *Reader[T] {
	r := &Reader[T]{registry: registry, keyless: joins == nil}
	given, one, many := "id TEXT", "", ""
	if joins != nil {
		given, one, many = "key BYTEA, id TEXT", joins("CAST(? AS BLOB)"), joins("given.key")
	}
	statement := func(columns, from, joins string) string {
		return `SELECT ` + columns + ` FROM ` + from + `
	LEFT JOIN {client_secrets} s ON s.client_id = c.id AND s.deleted_at IS NULL
	` + joins
	}
	short := StateColumns("c") + ", " + database.Qualified("s", secretColumns) + columns
	full := short + ", " + database.Qualified("c", registrationColumns)
	const where = ` WHERE c.id = CAST(? AS TEXT)`
	from := database.ManyOf(database.Columns(given)) + `
	JOIN {clients} c ON c.id = given.id`
	r.one, r.oneFull = statement(short, `{clients} c`, one)+where, statement(full, `{clients} c`, one)+where
	r.many, r.manyFull = lookUps(statement(`given.position, `+short, from, many)), lookUps(statement(`given.position, `+full, from, many))
	r.together = database.NewTogether(database.AtOnce(), r.readTogether)
	r.togetherFull = database.NewTogether(database.AtOnce(), r.readTogether) // clients that nobody knows delay each other
	r.readings.New = func() any { return newReading(targets) }
	return r
}

var join = regexp.MustCompile(`JOIN (\{\w+\}) (\w) ON ([^\n]+)`)

// lookUps makes each join a look-up for each row. A plan that was made while a table was small would read all of it for a join,
// and go on to do so when it is large.
func lookUps(statement string) string {
	return join.ReplaceAllString(statement, `JOIN LATERAL (SELECT * FROM $1 $2 WHERE $3 OFFSET 0) $2 ON TRUE`)
}

// reading is what one caller reads, and the row that it is read from. Readings are pooled, because every request needs one. A
// scan overwrites all columns of its query.
type reading[T any] struct {
	id       string
	key      []byte
	complete bool // with what the client was registered with
	found    bool
	secrets  []client.Secret

	position     int
	state        State
	secret       secretRow
	joined       T
	registration model.Client

	short, full []any // targets, with the position before them
}

func newReading[T any](targets func(*T) []any) *reading[T] {
	w := new(reading[T])
	w.short = slices.Concat([]any{&w.position}, w.state.Targets(), w.secret.targets())
	if targets != nil {
		w.short = append(w.short, targets(&w.joined)...)
	}
	w.full = append(slices.Clip(w.short), registrationTargets(&w.registration)...)
	return w
}

// Get is [Registry.Get]. It puts the T of key into joined, which may be nil.
func (r *Reader[T]) Get(ctx context.Context, id string, key []byte, joined *T) (fosite.Client, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound // asked for by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	// One statement for a client that does not exist and for one that is asked for the first time: they take the same time.
	remembered := r.registry.registrations.get(id)
	w := r.readings.Get().(*reading[T])
	w.id, w.key, w.complete = id, key, remembered == nil
	if err := r.read(ctx, w); err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err) // w is left to a statement that may be under way
	}
	defer r.readings.Put(w)
	if !w.found {
		return nil, fosite.ErrNotFound
	}
	if joined != nil {
		*joined = w.joined
	}
	return r.registry.authenticating(ctx, id, &w.state, w.secrets, remembered, &w.registration)
}

func (r *Reader[T]) read(ctx context.Context, w *reading[T]) error {
	switch {
	case !r.registry.db.Postgres || database.InTransaction(ctx):
		return r.readOne(ctx, w)
	case w.complete:
		return r.togetherFull.Do(ctx, w)
	}
	return r.together.Do(ctx, w)
}

func (r *Reader[T]) readTogether(ctx context.Context, group []*reading[T]) error {
	if len(group) == 1 {
		return r.readOne(ctx, group[0])
	}
	if r.keyless && !slices.ContainsFunc(group, func(w *reading[T]) bool { return w.id != group[0].id }) {
		return r.readSame(ctx, group)
	}
	row := r.readings.Get().(*reading[T])
	defer r.readings.Put(row)
	statement, targets := r.many, row.short
	if group[0].complete { // and so are the others
		statement, targets = r.manyFull, row.full
	}
	keys, ids := make([][]byte, len(group)), make([]string, len(group))
	for i, w := range group {
		w.found, w.secrets = false, nil
		keys[i], ids[i] = w.key, w.id
	}
	return r.scan(ctx, statement, r.values(keys, ids), targets, func() {
		w := group[row.position-1]
		if !w.found {
			w.state, w.joined = row.state, row.joined
			if w.complete {
				w.registration = row.registration
			}
		}
		w.add(&row.secret)
	})
}

// readSame reads the client that all of a group ask for.
func (r *Reader[T]) readSame(ctx context.Context, group []*reading[T]) error {
	read := group[0]
	if err := r.readOne(ctx, read); err != nil {
		return err
	}
	for _, w := range group[1:] {
		w.found, w.secrets, w.state = read.found, slices.Clone(read.secrets), read.state // each sorts its own
		if w.complete {
			w.registration = read.registration
		}
	}
	return nil
}

func (r *Reader[T]) readOne(ctx context.Context, w *reading[T]) error {
	w.found, w.secrets = false, nil
	statement, targets := r.one, w.short[1:]
	if w.complete {
		statement, targets = r.oneFull, w.full[1:]
	}
	return r.scan(ctx, statement, r.values(w.key, w.id), targets, func() { w.add(&w.secret) })
}

// values are those of a statement.
func (r *Reader[T]) values(key, id any) []any {
	if r.keyless {
		return []any{id}
	}
	return []any{key, id}
}

// scan runs a query, and calls each after each of its rows.
func (r *Reader[T]) scan(ctx context.Context, query string, values, targets []any, each func()) error {
	rows, err := r.registry.db.Query(ctx, query, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		each()
	}
	return rows.Err()
}

// add takes the secret of a row, of which a client has one for each secret, or one without.
func (w *reading[T]) add(s *secretRow) {
	w.found = true
	if s.id != "" {
		w.secrets = append(w.secrets, client.Secret{
			ID: string(s.id), Hash: []byte(s.hash), Epoch: s.epoch.Int64, CreatedAt: s.createdAt.Time, ExpiresAt: s.expiresAt.Time,
			EndsOthers: s.endsOthers.Int64 == 1,
		})
	}
}

// authenticating is a client that was read just now, with the secrets that work, newest first. read is what it was registered
// with, if registered is nil: that is not remembered.
func (r *Registry) authenticating(ctx context.Context, id string, state *State, secrets []client.Secret, registered *client.Client, read *model.Client) (fosite.Client, error) {
	now := r.now()
	expired := state.expired(now)
	if !state.Live(now) && !expired {
		if client.Status(state.Status) == client.Disabled {
			return nil, client.ErrDisabled
		}
		return nil, fosite.ErrNotFound
	}
	if registered == nil {
		var err error
		if registered, err = r.registered(ctx, id, state, read); err != nil {
			return nil, err
		}
	}
	c, err := r.complete(ctx, id, state, registered)
	if err != nil {
		return nil, err
	}
	if c.Trust != nil { // a rule is nobody who could authenticate
		return nil, fosite.ErrNotFound
	}
	// Sorted here because a client has one or two: cheaper than a sorter in the database for every request.
	slices.SortFunc(secrets, func(a, b client.Secret) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	c.Secrets = slices.DeleteFunc(secrets, func(secret client.Secret) bool {
		return !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt)
	})
	if expired {
		return nil, &client.ExpiredError{Client: c.Fosite(), At: c.ExpiresAt}
	}
	return c.Fosite(), nil
}
