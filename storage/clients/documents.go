package clients

import (
	"context"
	"errors"
	"fmt"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"

	"github.com/ory/fosite"
)

// Documented reads the client of a metadata document whatever its status, [client.Deleted] included, without secrets, which it
// cannot have. It answers [fosite.ErrNotFound] when [Registry.KeepDocumented] never stored it.
func (r *Registry) Documented(ctx context.Context, id string) (*client.Client, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound
	}
	var row model.Client
	found := r.db.Read(ctx).Where("id = ?", id).Limit(1).Find(&row)
	if found.Error != nil {
		return nil, fmt.Errorf("storage: read a client: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, fosite.ErrNotFound
	}
	return row.Client()
}

// keepAttempts is how often a change that lost against another one is tried.
const keepAttempts = 3

// KeepDocumented stores what the metadata document of a client says now, and an audit event when that is new. What an
// administrator has decided stays. It answers [fosite.ErrNotFound] for a client that an administrator has disabled or deleted.
func (r *Registry) KeepDocumented(ctx context.Context, c *client.Client) (err error) {
	for range keepAttempts {
		if err = r.keepDocumented(ctx, c); !errors.Is(err, ErrExists) && !errors.Is(err, ErrStale) {
			return err
		}
	}
	return err
}

func (r *Registry) keepDocumented(ctx context.Context, c *client.Client) error {
	described := *c // the transaction may be repeated, and Create fills in what is empty
	return r.onRecord(ctx, c.RegisteredBy, func(ctx context.Context) (action string, before, after *client.Client, err error) {
		before, err = r.Documented(ctx, c.ID)
		if errors.Is(err, fosite.ErrNotFound) {
			after := described
			return "client.registered", nil, &after, r.Create(ctx, &after)
		}
		if err != nil {
			return "", nil, nil, err
		}
		if before.Status != client.Active || before.RegisteredBy != c.RegisteredBy {
			return "", nil, nil, fosite.ErrNotFound
		}
		after = before.Described(&described)
		if same, err := client.Differences(before, after); err != nil || same == nil {
			return "", before, after, err
		}
		return "client.changed", before, after, r.Update(ctx, after)
	})
}
