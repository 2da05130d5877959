package audit

import (
	"context"
	"slices"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Change is an UPDATE with an audit event, which is stored if the UPDATE changes a row. Make one with [NewChange].
type Change struct {
	statement string // takes the time, and the keys of what to change
	// For PostgreSQL. They take the keys and the event: alone those of one caller, together those of several as arrays.
	alone, together string
	columns         []database.Column // of the arrays
}

// NewChange makes a change of two forms of the same UPDATE. statement takes the time and the keys as its values. update is for
// PostgreSQL, and finds the keys and the time of each caller in a table "given". In both {grants} is the host's name of that
// table.
func NewChange(statement string, keys []database.Column, update string) *Change {
	columns := slices.Concat(keys, givenEvent)
	happened := `, happened AS (` + update + ` RETURNING given.position),`
	return &Change{statement, `WITH ` + giveOne(columns) + happened + chainOne, `WITH RECURSIVE ` + giveMany(columns) + happened + chainMany, columns}
}

// changeOf is a change by one caller. It may be run more than once.
type changeOf struct {
	keys    []any
	event   Event
	changed bool
}

// Change makes a change. If it changed a row, its event is stored in the same transaction.
func (l *Log) Change(ctx context.Context, change *Change, event Event, keys ...any) (changed bool, err error) {
	event = event.Filled(ctx, l.now())
	values := append([]any{model.Millis(event.Time)}, keys...)
	switch {
	case !l.enabled:
		n, err := l.db.Run(ctx, change.statement, values...)
		return err == nil && n > 0, err
	case l.db.Postgres && !database.InTransaction(ctx):
		w := &changeOf{keys: keys, event: event}
		if err := l.together(change).Do(ctx, w); err != nil {
			l.db.Note(err)
			return false, err
		}
		return w.changed, nil
	}
	err = l.db.WriteAtOnce(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(change.statement, values...)
		if changed = err == nil && n > 0; changed {
			event := event // a transaction that is run again stores it anew
			return l.db.Defer(ctx, &event)
		}
		return err
	})
	return changed, err
}

// together has the callers of a change share statements on PostgreSQL, each for all changes and their events. One is under way:
// if each caller waited for the chain in a transaction of its own, the waiting would cost several times the work.
func (l *Log) together(change *Change) *database.Together[*changeOf] {
	if known, ok := l.changes.Load(change); ok {
		return known.(*database.Together[*changeOf])
	}
	known, _ := l.changes.LoadOrStore(change, database.NewTogetherToTheEnd(func(ctx context.Context, group []*changeOf) error {
		return l.changeTogether(ctx, change, group)
	}))
	return known.(*database.Together[*changeOf])
}

func (l *Log) changeTogether(ctx context.Context, change *Change, group []*changeOf) error {
	if !l.begun.Load() {
		if err := l.db.Write(ctx, l.begin); err != nil {
			return err
		}
	}
	given := make([][]any, len(group))
	for i, w := range group {
		given[i] = slices.Concat(w.keys, w.event.values())
	}
	if len(group) == 1 {
		n, err := l.db.Run(ctx, change.alone, given[0]...)
		if group[0].changed = err == nil && n > 0; group[0].changed {
			l.flushed([]any{&group[0].event})
		}
		return err
	}
	arrays, err := database.Arrays(change.columns, given)
	if err != nil {
		return err
	}
	// The rows name the callers. Query writes here, so it needs a transaction: a pool makes writes durable there and in
	// ExecContext only.
	var happened []any
	err = l.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
		happened = nil
		for _, w := range group {
			w.changed = false
		}
		rows, err := tx.Query(change.together, arrays...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var position int
			if err := rows.Scan(&position); err != nil {
				return err
			}
			if w := group[position-1]; !w.changed {
				w.changed = true
				happened = append(happened, &w.event)
			}
		}
		return rows.Err()
	})
	if err == nil {
		l.flushed(happened)
	}
	return err
}
