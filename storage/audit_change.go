package storage

import (
	"context"
	"slices"
	"time"

	"fosite-mcp/storage/internal/database"
)

// auditedChange is an UPDATE that is put on record if it finds anything to change.
type auditedChange struct {
	statement string // takes the time, and the keys of what to change
	// PostgreSQL's take the keys and the event: of one caller, or as arrays of several.
	alone, together string
}

// audited makes a change out of both forms of its statement. The second finds keys and events in "given".
func audited(statement string, keys []given, update string) *auditedChange {
	columns := slices.Concat(keys, givenEvent)
	happened := `, happened AS (` + update + ` RETURNING given.position),` + chainHappened
	return &auditedChange{statement, `WITH RECURSIVE ` + giveOne(columns) + happened, `WITH RECURSIVE ` + giveMany(columns) + happened}
}

// auditedWrite is such a change by one caller. It may be run more than once.
type auditedWrite struct {
	change  *auditedChange
	keys    []any
	event   AuditEvent
	changed bool
}

func (w *auditedWrite) run(ctx context.Context, db *database.DB, tx *database.Tx) error {
	n, err := tx.Run(w.change.statement, append([]any{millis(w.event.Time)}, w.keys...)...)
	if w.changed = err == nil && n > 0; w.changed {
		event := w.event
		return db.Defer(ctx, &event)
	}
	return err
}

// execAudited makes a change and adds its event in the same transaction, if the change found anything to do.
func (s *Store) execAudited(ctx context.Context, change *auditedChange, event AuditEvent, keys ...any) (changed bool, err error) {
	event.fill(AuditOriginFrom(ctx), s.now())
	w := &auditedWrite{change: change, keys: keys, event: event}
	if s.db.Postgres() && !database.InTransaction(ctx) {
		err = s.changes.Do(ctx, w)
		s.db.Note(err)
	} else {
		err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return w.run(ctx, s.db, tx) })
	}
	return w.changed, err
}

// changesTimeout bounds one statement for several callers.
const changesTimeout = 10 * time.Second

// makeChanges makes the changes of several callers on PostgreSQL: one statement for all changes of a kind, their events
// included. Were each to wait for the chain in a transaction of its own, the waiting would cost several times the work.
func (s *Store) makeChanges(ctx context.Context, jobs []*database.Job[*auditedWrite]) {
	kinds := make(map[*auditedChange][]*database.Job[*auditedWrite])
	for _, j := range jobs {
		kinds[j.What.change] = append(kinds[j.What.change], j)
	}
	for change, jobs := range kinds {
		err := s.changeTogether(ctx, change, jobs)
		for _, j := range jobs {
			j.Done <- err
		}
	}
}

func (s *Store) changeTogether(ctx context.Context, change *auditedChange, jobs []*database.Job[*auditedWrite]) error {
	rows := make([][]any, len(jobs))
	for i, j := range jobs {
		rows[i] = slices.Concat(j.What.keys, j.What.event.values())
	}
	if len(jobs) == 1 {
		w := jobs[0].What
		n, err := s.db.Run(ctx, change.alone, rows[0]...)
		if w.changed = err == nil && n > 0; w.changed {
			s.tell([]any{&w.event})
		}
		return err
	}
	// Whose change it was is in rows. A transaction, because a pool makes writes durable there and in ExecContext only.
	var happened []any
	err := s.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
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
		s.tell(happened)
	}
	return err
}
