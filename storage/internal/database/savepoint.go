package database

import (
	"context"
	"fmt"
	"time"
)

func (d *DB) beginInside(ctx context.Context, outer *transaction) (context.Context, error) {
	t := &transaction{quiet: outer.quiet, outer: outer, depth: outer.depth + 1}
	t.savepoint = fmt.Sprintf("fosite_mcp_%d", t.depth)
	if err := d.tx(ctx, t).exec("SAVEPOINT " + t.savepoint).Error; err != nil {
		return nil, fmt.Errorf("storage: begin a transaction inside another one: %w", err)
	}
	return context.WithValue(ctx, transactionKey{}, t), nil
}

// savepointLimit bounds the end of a savepoint, which must not depend on a caller who has gone: the transaction around it
// goes on, and would keep half of what was done.
const savepointLimit = 10 * time.Second

// release makes what was done since the savepoint a part of the transaction around it, with its events.
func (d *DB) release(ctx context.Context, t *transaction) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), savepointLimit)
	defer cancel()
	tx := d.session(ctx, t.quiet)
	if t.outer.theirs && len(t.deferred) > 0 {
		if err := d.Flush(ctx, tx, t.deferred); err != nil {
			return d.undo(ctx, t, err)
		}
		t.deferred = nil
	}
	if err := tx.exec("RELEASE SAVEPOINT " + t.savepoint).Error; err != nil {
		return d.undo(ctx, t, err)
	}
	t.outer.deferred = append(t.outer.deferred, t.deferred...)
	return nil
}

// rollBackTo undoes what was done since the savepoint, and the savepoint.
func (d *DB) rollBackTo(ctx context.Context, t *transaction) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), savepointLimit)
	defer cancel()
	tx := d.session(ctx, t.quiet)
	if err := tx.exec("ROLLBACK TO SAVEPOINT " + t.savepoint).Error; err != nil {
		return err
	}
	return tx.exec("RELEASE SAVEPOINT " + t.savepoint).Error
}
