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
	// For PostgreSQL, see changeAlone and changeTogether.
	alone, together string
	columns         []database.Column // of the arrays that together takes
}

// NewChange makes a change of two forms of the same UPDATE, which end with conditions. statement takes the time and the keys as
// its values. update is for PostgreSQL, and finds the keys and the time of each caller in a table "given". In both {grants} is
// the host's name of that table.
func NewChange(statement string, keys []database.Column, update string) *Change {
	columns := append(database.Columns("time BIGINT"), keys...)
	event := joinColumns(func(c database.Column) string { return `CAST(? AS ` + c.Type + `)` })
	return &Change{
		statement,
		`WITH here AS (SELECT 1 FROM {audit_chain} WHERE chain = 'main' AND last_hash = ?),
			happened AS (` + statement + ` AND EXISTS (SELECT 1 FROM here) RETURNING 1),
			moved AS (` + moveEnd + ` AND (SELECT COUNT(*) FROM happened) > 0 RETURNING 1),
			stored AS (` + insertEvent + `SELECT ` + event + ` FROM moved)
			SELECT 1 FROM here UNION ALL SELECT 1 / (SELECT COUNT(*) FROM moved) FROM happened`,
		`WITH given AS (SELECT * FROM ` + database.ManyOf(columns) + `) ` + update + ` RETURNING given.position`,
		columns,
	}
}

// changeOf is a change by one caller. It may be run more than once.
type changeOf struct {
	values  []any // the time, and the keys
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
		w := &changeOf{values: values, event: event}
		if err := l.together(change).Do(ctx, w); err != nil {
			l.db.Note(err)
			return false, err
		}
		return w.changed, nil
	}
	err = l.db.WriteAtOnce(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(change.statement, values...)
		if changed = err == nil && n > 0; changed {
			return l.db.Defer(ctx, &link{Event: event}) // a transaction that is run again stores it anew
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
	if len(group) == 1 {
		if done, err := l.changeAlone(ctx, change, group[0]); done || err != nil {
			return err
		}
	}
	given := make([][]any, len(group))
	for i, w := range group {
		given[i] = w.values
	}
	arrays, err := database.Arrays(change.columns, given)
	if err != nil {
		return err
	}
	// The rows name the callers. Query writes here, so it needs a transaction: a pool makes writes durable there and in
	// ExecContext only.
	return l.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
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
			w := group[position-1]
			if w.changed { // another row of the same change
				continue
			}
			w.changed = true
			if err := l.db.Defer(ctx, &link{Event: w.event}); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// changeAlone makes one change and stores its event by one statement, if the chain ends where the process thinks: else nothing
// is done. The statement locks the chain last, because it may wait for the rows of the change. Should the chain have grown while
// it waited, it fails as a whole: it divides by zero.
func (l *Log) changeAlone(ctx context.Context, change *Change, w *changeOf) (done bool, err error) {
	known := l.end.Load()
	if known == nil || !known.alone {
		return false, nil
	}
	event, end := &link{Event: w.event}, known.Hash
	next := follow(known.Place, event)
	n, err := l.db.Run(ctx, change.alone, slices.Concat([]any{end}, w.values, []any{next.ID, next.Hash, end}, event.values())...)
	if database.IsDivisionByZero(err) {
		return false, nil
	}
	if w.changed = n > 1; w.changed { // a row for the end of the chain, and those that have changed
		l.flushed([]any{event})
	}
	return n > 0, err
}
