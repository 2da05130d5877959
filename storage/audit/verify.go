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
	for from := (Place{}); ; {
		part, err := l.VerifyPart(ctx, from, verifyBatch)
		if err != nil {
			return 0, 0, err
		}
		count += part.Count
		if part.FirstBad != 0 || part.Done {
			return count, part.FirstBad, nil
		}
		if progress != nil {
			progress(count)
		}
		from = part.Next
	}
}

// Place is where a part of the chain begins: after the event ID, whose hash is Hash. The zero value is the beginning.
type Place struct {
	ID   int64
	Hash []byte
}

// Part is what [Log.VerifyPart] has found.
type Part struct {
	Count    int64 // events that are there and in order
	FirstBad int64 // as of [Log.Verify]
	Done     bool  // this was the end of the chain
	Next     Place // where the next part begins
}

// VerifyPart is [Log.Verify] for up to limit events, from a place at which an earlier part has ended.
func (l *Log) VerifyPart(ctx context.Context, from Place, limit int) (part Part, err error) {
	for {
		ends, err := chainEnds(l.db.Read(ctx).DB)
		if err != nil {
			return part, err
		}
		part, err := l.verify(ctx, ends, from, limit)
		if err != nil || part.FirstBad == 0 {
			return part, err
		}
		now, err := chainEnds(l.db.Read(ctx).DB)
		if err != nil {
			return part, err
		}
		if now.PrunedID == ends.PrunedID {
			return part, nil
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

func (l *Log) verify(ctx context.Context, ends *model.AuditChain, from Place, limit int) (part Part, err error) {
	if from.ID == 0 {
		stray, err := l.stray(ctx)
		if err != nil || stray != 0 {
			return Part{FirstBad: stray}, err
		}
	}
	if from.ID < ends.PrunedID || from.ID == 0 {
		from = Place{ends.PrunedID, ends.PrunedHash}
	}
	part.Next = from
	if from.ID > ends.LastID { // cut off since the part before
		part.FirstBad = ends.LastID + 1
		return part, nil
	}
	for db := l.db.Read(ctx); part.Next.ID < ends.LastID; {
		left := limit - int(part.Count)
		if left <= 0 {
			return part, nil
		}
		rows, err := read(db.Where("id > ? AND id <= ?", part.Next.ID, ends.LastID), min(left, verifyBatch))
		if err != nil {
			return part, err
		}
		if len(rows) == 0 {
			part.FirstBad = part.Next.ID + 1 // cut off at the end
			return part, nil
		}
		for i := range rows {
			row := &rows[i]
			event := eventOf(row)
			if row.ID != part.Next.ID+1 || !bytes.Equal(row.PrevHash, part.Next.Hash) || !bytes.Equal(row.Hash, event.hash(part.Next.Hash)) {
				part.FirstBad = part.Next.ID + 1
				return part, nil
			}
			part.Next = Place{row.ID, row.Hash}
			part.Count++
		}
	}
	if part.Done = true; !bytes.Equal(part.Next.Hash, ends.LastHash) {
		part.FirstBad = ends.LastID
	}
	return part, nil
}

// stray is the first event outside of the chain's ends; 0: there is none.
func (l *Log) stray(ctx context.Context) (int64, error) {
	var id *int64
	err := l.db.QueryRow(ctx, `SELECT COALESCE((SELECT MIN(id) FROM {audit_events} WHERE id <= c.pruned_id), (SELECT MIN(id) FROM {audit_events} WHERE id > c.last_id))
		FROM {audit_chain} c WHERE c.chain = 'main'`).Scan(&id)
	if err != nil || id == nil {
		return 0, database.Wrap(err, "read audit events")
	}
	return max(*id, 1), nil // 0 would mean that there is none
}
