package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// pruneLimit bounds how many events one transaction takes away.
const pruneLimit = 10_000

// Prune removes events that are older than before and tells how many. It keeps the hash of the last event that it removes, so
// that the others can still be verified. It stores an event of its own.
func (l *Log) Prune(ctx context.Context, before time.Time) (removed int64, err error) {
	if now := l.now(); before.After(now) {
		before = now // the event of the removal itself must stay
	}
	for {
		var n int64
		err := l.db.Write(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
			n, err = l.prune(ctx, tx, before)
			return err
		})
		if err != nil || n == 0 {
			return removed, err
		}
		removed += n
	}
}

func (l *Log) prune(ctx context.Context, tx *database.Tx, before time.Time) (int64, error) {
	// Locks the chain. Clocks of replicas may differ, so the ids decide: up to the first event that is to stay.
	ends, err := chainEnds(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}))
	if err != nil {
		return 0, err
	}
	var keep int64
	if err := tx.QueryRow(`SELECT COALESCE(MIN(id), ?) FROM {audit_events} WHERE time >= ?`, ends.LastID+1, model.At(before)).Scan(&keep); err != nil {
		return 0, database.Wrap(err, "read audit events")
	}
	last := min(keep-1, ends.LastID, ends.PrunedID+pruneLimit)
	if last <= ends.PrunedID {
		return 0, nil
	}
	err = tx.Model(ends).Updates(map[string]any{
		"pruned_id": last, "pruned_hash": tx.Model(&model.AuditEvent{}).Select("hash").Where("id = ?", last),
	}).Error
	if err != nil {
		return 0, database.Wrap(err, "shorten the audit chain")
	}
	result := tx.Where("id <= ?", last).Delete(&model.AuditEvent{})
	if result.Error != nil {
		return 0, database.Wrap(result.Error, "remove audit events")
	}
	changes := fmt.Sprintf(`{"events":{"before":%d,"after":0}}`, result.RowsAffected)
	return result.RowsAffected, l.Append(ctx, Event{Actor: "system", Action: "audit.pruned", Changes: json.RawMessage(changes)})
}
