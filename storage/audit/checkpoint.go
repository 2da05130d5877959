package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/internal/lengths"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Checkpoint says where the chain ended at a time. Kept where nobody who may write to the database may write, it shows that a chain
// was rebuilt or cut off. Its signature shows that the server has made it.
type Checkpoint struct {
	Event     int64     `json:"event"`  // the newest one
	Hash      string    `json:"hash"`   // of that event
	Events    int64     `json:"events"` // how many the log had, without those that were pruned
	Time      time.Time `json:"time"`
	Signature string    `json:"signature"` // HMAC-SHA256
}

// Checkpoint says where the chain ends now.
func (l *Log) Checkpoint(ctx context.Context, key []byte) (*Checkpoint, error) {
	ends, err := chainEnds(l.db.Read(ctx).DB)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Event: ends.LastID, Hash: hex.EncodeToString(ends.LastHash), Events: ends.LastID - ends.PrunedID, Time: l.now().UTC().Truncate(time.Second)}
	c.Signature = hex.EncodeToString(c.sign(key))
	return c, nil
}

func (c *Checkpoint) sign(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	lengths.Write(mac, "fosite-mcp audit checkpoint 1", strconv.FormatInt(c.Event, 10), c.Hash, strconv.FormatInt(c.Events, 10), c.Time.UTC().Format(time.RFC3339Nano))
	return mac.Sum(nil)
}

// SignedWith tells whether one of keys has signed the checkpoint. With an empty key anybody could have.
func (c *Checkpoint) SignedWith(keys ...[]byte) bool {
	signature, err := hex.DecodeString(c.Signature)
	return err == nil && slices.ContainsFunc(keys, func(key []byte) bool { return len(key) > 0 && hmac.Equal(signature, c.sign(key)) })
}

// What a checkpoint says about a chain.
const (
	CheckpointHolds   = "holds"   // the chain has the same event
	CheckpointPruned  = "pruned"  // the event was pruned since: nothing can be said
	CheckpointDiffers = "differs" // the chain was rebuilt
	CheckpointMissing = "missing" // the chain ends before: it was cut off, or the database was restored
)

// Holds compares a checkpoint with the chain. It does not look at the signature, nor at other events.
func (l *Log) Holds(ctx context.Context, c *Checkpoint) (string, error) {
	hash, err := hex.DecodeString(c.Hash)
	if err != nil {
		return CheckpointDiffers, nil
	}
	ends, err := chainEnds(l.db.Read(ctx).DB)
	if err != nil {
		return "", err
	}
	is := []byte(ends.PrunedHash)
	switch {
	case c.Event > ends.LastID:
		return CheckpointMissing, nil
	case c.Event < ends.PrunedID:
		return CheckpointPruned, nil
	case c.Event > ends.PrunedID:
		event, err := database.FindOne[model.AuditEvent](l.db.Read(ctx).Where("id = ?", c.Event), "read an audit event")
		if err != nil || event == nil {
			return CheckpointMissing, err
		}
		is = event.Hash
	}
	if !bytes.Equal(is, hash) {
		return CheckpointDiffers, nil
	}
	return CheckpointHolds, nil
}
