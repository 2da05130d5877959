package audit

import (
	"context"
	"slices"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Change is an UPDATE that is put on record if it finds anything to change. Make one with [NewChange].
type Change struct {
	statement string // takes the time, and the keys of what to change
	// PostgreSQL's take the keys and the event: of one caller, or as arrays of several.
	alone, together string
}

// NewChange makes a change out of both forms of its statement. statement takes the time and the keys as its values; update,
// which is PostgreSQL's, finds keys and the time of each caller in a table "given". Both are SQL as the store writes it:
// {grants} is the host's name of that table.
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

// Change makes a change and adds its event in the same transaction, if the change found anything to do.
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

// makeChanges makes the changes of several callers on PostgreSQL: one statement for all changes of a kind, their events
// included. Were each to wait for the chain in a transaction of its own, the waiting would cost several times the work.
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
	// Whose change it was is in rows. A transaction, because a pool makes writes durable there and in ExecContext only.
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
