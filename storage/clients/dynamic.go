package clients

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"

	"gorm.io/gorm/clause"
)

// ErrTooManyUnused says that too many clients have registered themselves and were never used. Its method Busy tells endpoints
// that nothing is broken.
var ErrTooManyUnused error = tooManyUnused{errors.New("storage: too many registrations wait for their first use")}

type tooManyUnused struct{ error }

func (tooManyUnused) Busy() bool { return true }

// unused are the clients that have registered themselves and never got a token. One that an administrator has disabled stays: it
// would come back as if nothing had been.
const unused = "registered_by <> '' AND last_used_at IS NULL AND status = 'active'"

// Register stores a client that has registered itself (RFC 7591), and an audit event, as [Registry.Create] does. It answers
// [ErrTooManyUnused] when there are max such clients that were never used. Several that come at once may exceed that a little.
func (r *Registry) Register(ctx context.Context, c *client.Client, max int) error {
	var waiting int64
	if err := r.db.Read(ctx).Model(&model.Client{}).Where(unused).Count(&waiting).Error; err != nil {
		return fmt.Errorf("storage: count the registrations: %w", err)
	}
	if waiting >= int64(max) {
		return ErrTooManyUnused
	}
	return r.onRecord(ctx, c.RegisteredBy, func(ctx context.Context) (action string, before, after *client.Client, err error) {
		return "client.registered", nil, c, r.Create(ctx, c)
	})
}

// Reregister stores what a client has changed of its registration (RFC 7592 §2.2), and an audit event, as [Registry.Update] does.
func (r *Registry) Reregister(ctx context.Context, changed *client.Client) error {
	seen := changed.Version
	return r.onRecord(ctx, changed.RegisteredBy, func(ctx context.Context) (action string, before, after *client.Client, err error) {
		if before, err = r.Find(ctx, changed.ID); err != nil {
			return "", nil, nil, err
		}
		changed.Version = seen // the transaction may be repeated, and Update raises it
		return "client.changed", before, changed, r.Update(ctx, changed)
	})
}

// Deregister ends a client that wants so itself (RFC 7592 §2.3), and stores an audit event, as [Registry.Delete] does.
func (r *Registry) Deregister(ctx context.Context, id string) error {
	return r.onRecord(ctx, client.DynamicRegistration, func(ctx context.Context) (action string, before, after *client.Client, err error) {
		if before, err = r.Find(ctx, id); err != nil {
			return "", nil, nil, err
		}
		return "client.deleted", before, nil, r.Delete(ctx, id)
	})
}

// onRecord makes a change of a client by itself together with its audit event, if it changes anything.
func (r *Registry) onRecord(ctx context.Context, actor string, change func(context.Context) (action string, before, after *client.Client, err error)) error {
	return r.db.Write(ctx, func(ctx context.Context, _ *database.Tx) error {
		action, before, after, err := change(ctx)
		if err != nil {
			return err
		}
		event := audit.Event{Actor: actor, Action: action}
		if event.Changes, err = client.Differences(before, after); err != nil || event.Changes == nil {
			return err
		}
		if before != nil {
			event.ClientID = before.ID
		} else {
			event.ClientID = after.ID
		}
		return r.log.Append(ctx, event)
	})
}

// dropBatch keeps each transaction short: on SQLite all other writes wait for it.
const dropBatch = 100

// DropUnused deletes clients that have registered themselves before a time and were never used, and returns how many. One that
// somebody has consented to counts as used.
func (r *Registry) DropUnused(ctx context.Context, before time.Time) (dropped int64, err error) {
	if err := r.FlushUsage(ctx); err != nil {
		return 0, err
	}
	for {
		var n int64
		err := r.db.Write(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
			var ids []string
			found := tx.Model(&model.Client{})
			if r.db.Postgres { // which lets others change them meanwhile
				found = found.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
			}
			err = found.Where(unused+" AND created_at < ?", model.At(before)).
				Where("NOT EXISTS (?)", tx.Model(&model.Consent{}).Select("1").Where("client_id = "+r.db.SQL("{clients}.id"))).Order("created_at").Limit(dropBatch).Pluck("id", &ids).Error
			if n = int64(len(ids)); err != nil || n == 0 {
				return err
			}
			if err := tx.Where("client_id IN ?", ids).Delete(&model.ClientSecret{}).Error; err != nil {
				return err
			}
			return tx.Where("id IN ?", ids).Delete(&model.Client{}).Error
		})
		if dropped += n; err != nil {
			return dropped, fmt.Errorf("storage: delete unused registrations: %w", err)
		}
		if n < dropBatch {
			return dropped, nil
		}
	}
}
