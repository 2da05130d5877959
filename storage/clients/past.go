package clients

import (
	"context"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Past is what is known of a client, also of one that was deleted: its name and owner are erased then.
type Past struct {
	ID, Name, Owner string
	Status          client.Status
	Secrets         []PastSecret // newest first
}

// PastSecret is a secret that a client has or had.
type PastSecret struct {
	ID, Hint                                    string
	CreatedAt, ExpiresAt, LastUsedAt, DeletedAt time.Time // zero: never
}

// Past describes a client whatever has become of it, with all secrets that it ever had. It answers [fosite.ErrNotFound] for one that
// was never registered.
func (r *Registry) Past(ctx context.Context, id string) (*Past, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound
	}
	tx := r.db.Read(ctx)
	row, err := database.FindOne[model.Client](tx.Where("id = ?", id).Where(r.kind), "read a client")
	if err == nil && row == nil {
		err = fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	now := &client.Client{Status: client.Status(row.Status), ExpiresAt: row.ExpiresAt.Time}
	past := &Past{ID: row.ID, Name: row.Name, Owner: row.Owner, Status: now.StatusAt(r.now())}
	var secrets []model.ClientSecret
	if err := tx.Where("client_id = ?", id).Order("created_at DESC, id").Find(&secrets).Error; err != nil {
		return nil, fmt.Errorf("storage: read the secrets of a client: %w", err)
	}
	for _, s := range secrets {
		past.Secrets = append(past.Secrets, PastSecret{s.ID, s.Hint, s.CreatedAt.Time, s.ExpiresAt.Time, s.LastUsedAt.Time, s.DeletedAt.Time})
	}
	return past, nil
}
