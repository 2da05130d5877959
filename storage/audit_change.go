package storage

import (
	"context"
	"time"
)

// auditedChange is an UPDATE that is put on record if it finds anything to change.
type auditedChange struct {
	statement string // takes the time, and the keys of what to change
	together  string // PostgreSQL's: takes the keys and the events of several callers as arrays
}

// audited makes a change out of both forms of its statement. The second is for several callers: their keys, of keyTypes, are
// in "given" under keyNames, and so are the columns of their events.
func audited(statement string, keyTypes, keyNames, together string) *auditedChange {
	return &auditedChange{statement, `WITH RECURSIVE
		given AS (SELECT * FROM unnest(` + keyTypes + `, ` + givenTypes + `) WITH ORDINALITY AS g (` + keyNames + `, ` + givenColumns + `, position)),
		happened AS (` + together + ` RETURNING given.position),` + chainHappened}
}

// auditedWrite is such a change by one caller. It may be run more than once.
type auditedWrite struct {
	change  *auditedChange
	keys    []any
	event   AuditEvent
	changed bool
}

func (w *auditedWrite) run(ctx context.Context, q queryer) error {
	n, err := execCount(ctx, q, w.change.statement, append([]any{millis(w.event.Time)}, w.keys...)...)
	if w.changed = err == nil && n > 0; w.changed {
		addEvent(q, w.event)
	}
	return err
}

// execAudited makes a change and adds its event in the same transaction, if the change found anything to do.
func (s *Store) execAudited(ctx context.Context, change *auditedChange, event AuditEvent, keys ...any) (changed bool, err error) {
	event.fill(AuditOriginFrom(ctx), s.now())
	w := &auditedWrite{change: change, keys: keys, event: event}
	if s.db.postgres && transactionFrom(ctx) == nil {
		err = s.changes.do(ctx, w)
		s.health.note(err)
	} else {
		err = s.write(ctx, w.run)
	}
	return w.changed, err
}

// changesTimeout bounds one statement for several callers.
const changesTimeout = 10 * time.Second

// makeChanges makes the changes of several callers on PostgreSQL: one statement for all changes of a kind, their events
// included. Were each to wait for the chain in a transaction of its own, the waiting would cost several times the work.
func (s *Store) makeChanges(ctx context.Context, jobs []*job[*auditedWrite]) {
	kinds := make(map[*auditedChange][]*job[*auditedWrite])
	for _, j := range jobs {
		kinds[j.what.change] = append(kinds[j.what.change], j)
	}
	for change, jobs := range kinds {
		err := repeat(ctx, func() error { return s.changeTogether(ctx, change, jobs) })
		for _, j := range jobs {
			j.done <- err
		}
	}
}

func (s *Store) changeTogether(ctx context.Context, change *auditedChange, jobs []*job[*auditedWrite]) error {
	events := make([]AuditEvent, len(jobs))
	for i, j := range jobs {
		j.what.changed, events[i] = false, j.what.event
	}
	var args []any
	for key := range jobs[0].what.keys {
		args = append(args, keyColumn(jobs, key))
	}
	args = append(args, givenArrays(events)...)
	if len(jobs) == 1 {
		n, err := execCount(ctx, s.db, change.together, args...)
		jobs[0].what.changed = err == nil && n > 0
		if jobs[0].what.changed {
			s.db.tell(events[0])
		}
		return err
	}
	// Whose change it was is in rows. A transaction, because a pool makes writes durable there and in ExecContext only.
	var happened []AuditEvent
	err := s.db.inTransaction(ctx, func(ctx context.Context, q queryer) error {
		rows, err := q.QueryContext(ctx, change.together, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var position int
			if err := rows.Scan(&position); err != nil {
				return err
			}
			if w := jobs[position-1].what; !w.changed {
				w.changed = true
				happened = append(happened, w.event)
			}
		}
		return rows.Err()
	})
	if err == nil {
		s.db.tell(happened...)
	}
	return err
}

// keyColumn is a key of all jobs as an array.
func keyColumn(jobs []*job[*auditedWrite], key int) any {
	if _, binary := jobs[0].what.keys[key].([]byte); binary {
		return keyArray[[]byte](jobs, key)
	}
	return keyArray[string](jobs, key)
}

func keyArray[T any](jobs []*job[*auditedWrite], key int) (column []T) {
	for _, j := range jobs {
		column = append(column, j.what.keys[key].(T))
	}
	return column
}
