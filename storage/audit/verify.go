package audit

import (
	"bytes"
	"context"
	"errors"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

const verifyBatch = 1000

// Verify recomputes the chain from its first event to its last. count is how many events are there and in order. firstBad is
// the id of the first event that was changed, removed or put in; 0: there is none. progress, if not nil, is called with how many
// events have been read. An err says that the events could not be read, and nothing about them.
func (l *Log) Verify(ctx context.Context, progress func(n int64)) (count, firstBad int64, err error) {
	for {
		ends, err := chainEnds(l.db.Read(ctx).DB)
		if err != nil {
			return 0, 0, err
		}
		count, firstBad, err := l.verify(ctx, ends, progress)
		if err != nil || firstBad == 0 {
			return count, 0, err
		}
		now, err := chainEnds(l.db.Read(ctx).DB)
		if err != nil {
			return 0, 0, err
		}
		if now.PrunedID == ends.PrunedID {
			return count, firstBad, nil
		}
		// Pruned while we read: start again from the new end.
	}
}

// Ends are the ids of the last event that was pruned, and of the newest one. Those between are in the log.
func (l *Log) Ends(ctx context.Context) (pruned, last int64, err error) {
	ends, err := chainEnds(l.db.Read(ctx).DB)
	if err != nil {
		return 0, 0, err
	}
	return ends.PrunedID, ends.LastID, nil
}

// chainEnds are the two ends of the chain. Its events have the ids after PrunedID, up to LastID.
func chainEnds(db *gorm.DB) (*model.AuditChain, error) {
	ends, err := database.FindOne[model.AuditChain](db.Where("chain = ?", mainChain), "read the audit chain")
	if err == nil && ends == nil {
		err = errors.New("storage: read the audit chain: its row is gone")
	}
	return ends, err
}

func (l *Log) verify(ctx context.Context, ends *model.AuditChain, progress func(n int64)) (count, firstBad int64, err error) {
	db := l.db.Read(ctx)
	var stray *int64 // the first event outside of the chain's ends
	err = db.QueryRow(`SELECT MIN(e.id) FROM {audit_events} e JOIN {audit_chain} c ON c.chain = 'main' AND (e.id <= c.pruned_id OR e.id > c.last_id)`).Scan(&stray)
	if err != nil {
		return 0, 0, database.Wrap(err, "read audit events")
	}
	if stray != nil {
		return 0, max(*stray, 1), nil // 0 would mean that there is none
	}
	id, previous := ends.PrunedID, ends.PrunedHash
	for id < ends.LastID {
		rows, err := read(db.Where("id > ? AND id <= ?", id, ends.LastID), verifyBatch)
		if err != nil {
			return 0, 0, err
		}
		if len(rows) == 0 {
			return count, id + 1, nil // cut off at the end
		}
		for i := range rows {
			row := &rows[i]
			event := eventOf(row)
			if row.ID != id+1 || !bytes.Equal(row.PrevHash, previous) || !bytes.Equal(row.Hash, event.hash(previous)) {
				return count, id + 1, nil
			}
			id, previous = row.ID, row.Hash
			count++
		}
		if progress != nil {
			progress(count)
		}
	}
	if !bytes.Equal(previous, ends.LastHash) {
		return count, ends.LastID, nil
	}
	return count, 0, nil
}
