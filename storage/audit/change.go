package audit

import (
	"context"
	"slices"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Change is an UPDATE with an audit event, which is stored if the UPDATE changes a row. Make one with [NewChange].
type Change struct {
	statement string // takes the time, and the keys of what to change
	// For PostgreSQL. They take the keys and the event: alone those of one caller, together those of several as arrays.
	alone, together string
}

// NewChange makes a change of two forms of the same UPDATE. statement takes the time and the keys as its values. update is for
// PostgreSQL, and finds the keys and the time of each caller in a table "given". In both {grants} is the host's name of that
// table.
func NewChange(statement string, keys []Given, update string) *Change {
	columns := slices.Concat(keys, givenEvent)
	happened := `, happened AS (` + update + ` RETURNING given.position),` + chainHappened
	return &Change{statement, `WITH RECURSIVE ` + giveOne(columns) + happened, `WITH RECURSIVE ` + giveMany(columns) + happened}
}

// changeOf is a change by one caller. It may be run more than once.
type changeOf struct {
	change  *Change
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
		w := &changeOf{change: change, keys: keys, event: event}
		err = l.changes.Do(ctx, w)
		l.db.Note(err)
		return w.changed, err
	}
	err = l.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(change.statement, values...)
		if changed = err == nil && n > 0; changed {
			event := event // a transaction that is run again stores it anew
			return l.db.Defer(ctx, &event)
		}
		return err
	})
	return changed, err
}

// changesTimeout bounds one statement for several callers.
const changesTimeout = 10 * time.Second

// makeChanges makes the changes of several callers on PostgreSQL, by one statement for all changes of a kind and their events.
// If each caller waited for the chain in a transaction of its own, the waiting would cost several times the work.
func (l *Log) makeChanges(ctx context.Context, jobs []*database.Job[*changeOf]) {
	kinds := make(map[*Change][]*database.Job[*changeOf])
	for _, j := range jobs {
		kinds[j.What.change] = append(kinds[j.What.change], j)
	}
	for change, jobs := range kinds {
		err := l.changeTogether(ctx, change, jobs)
		for _, j := range jobs {
			j.Done <- err
		}
	}
}

func (l *Log) changeTogether(ctx context.Context, change *Change, jobs []*database.Job[*changeOf]) error {
	rows := make([][]any, len(jobs))
	for i, j := range jobs {
		rows[i] = slices.Concat(j.What.keys, j.What.event.values())
	}
	if !l.begun.Load() {
		if err := l.db.Write(ctx, l.begin); err != nil {
			return err
		}
	}
	if len(jobs) == 1 {
		w := jobs[0].What
		n, err := l.db.Run(ctx, change.alone, rows[0]...)
		if w.changed = err == nil && n > 0; w.changed {
			l.flushed([]any{&w.event})
		}
		return err
	}
	// The rows name the callers. Query writes here, so it needs a transaction: a pool makes writes durable there and in
	// ExecContext only.
	var happened []any
	err := l.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
		happened = nil
		for _, j := range jobs {
			j.What.changed = false
		}
		rows, err := tx.Query(change.together, arraysOf(rows)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var position int
			if err := rows.Scan(&position); err != nil {
				return err
			}
			if w := jobs[position-1].What; !w.changed {
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
