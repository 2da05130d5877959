package clients

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"
)

// Filter says which clients [Registry.List] returns. The zero value means the first page of all.
type Filter struct {
	Status      client.Status // Active, Disabled or Expired; empty: all of these
	Query       string        // matches id, name and owner, anywhere, in either case
	Owner       string        // exactly; empty: any
	IDs         []string      // only these; nil: all
	UnusedSince time.Time     // not used since then, and registered before; zero: any
	// ExpiresBefore are clients that end until then, themselves or a secret of theirs, and have not yet; zero: any.
	ExpiresBefore time.Time
	After         Cursor
	Limit         int // default 50
}

// Cursor is the place after a client in the order of registration.
type Cursor struct {
	CreatedAt int64  `json:"t"`
	ID        string `json:"id"`
}

// List returns clients in the order of registration, without their secrets, and whether there are more.
func (r *Registry) List(ctx context.Context, filter Filter) (clients []*client.Client, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	var rows []model.Client
	if err := r.list(ctx, &filter).Find(&rows).Error; err != nil {
		return nil, false, fmt.Errorf("storage: list clients: %w", err)
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for i := range rows {
		c, err := rows[i].Client()
		if err != nil {
			return nil, false, err
		}
		clients = append(clients, c)
	}
	return clients, more, nil
}

// list is the query for a page, and for one client more. There is no index for the filters, which every registration would have to
// write: of 100,000 clients a page of the rarest ones takes up to some 0.2 s.
func (r *Registry) list(ctx context.Context, filter *Filter) *gorm.DB {
	tx := r.db.Read(ctx).Where("status IN ? AND (created_at, id) > (?, ?)", alive, filter.After.CreatedAt, filter.After.ID).Where(r.kind)
	return filter.narrow(tx, r.now()).Order("created_at, id").Limit(filter.Limit + 1)
}

// narrow adds the conditions of the filter, at the time now. The secrets that end soon are read once, and not for each client.
func (f *Filter) narrow(tx *gorm.DB, now time.Time) *gorm.DB {
	at := model.At(now)
	switch f.Status {
	case "":
	case client.Active:
		tx = tx.Where("status = ? AND (expires_at IS NULL OR expires_at > ?)", client.Active, at)
	case client.Expired:
		tx = tx.Where("status = ? AND expires_at <= ?", client.Active, at)
	default:
		tx = tx.Where("status = ?", f.Status)
	}
	if f.IDs != nil {
		tx = tx.Where("id IN ?", append([]string{}, f.IDs...))
	}
	if f.Query != "" {
		// The engine lowers both sides: SQLite knows the case of ASCII letters only.
		tx = tx.Where(`(LOWER(id) LIKE LOWER(@q) ESCAPE '!' OR LOWER(name) LIKE LOWER(@q) ESCAPE '!' OR LOWER(owner) LIKE LOWER(@q) ESCAPE '!')`,
			sql.Named("q", "%"+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(f.Query)+"%"))
	}
	if f.Owner != "" {
		tx = tx.Where("owner = ?", f.Owner)
	}
	if !f.UnusedSince.IsZero() {
		tx = tx.Where("COALESCE(last_used_at, created_at) < ?", model.At(f.UnusedSince))
	}
	if !f.ExpiresBefore.IsZero() {
		until := model.At(f.ExpiresBefore)
		ending := tx.Session(&gorm.Session{NewDB: true}).Model(&model.ClientSecret{}).Select("client_id").
			Where("deleted_at IS NULL AND expires_at > ? AND expires_at <= ?", at, until)
		tx = tx.Where("(expires_at > ? AND expires_at <= ? OR id IN (?))", at, until, ending)
	}
	return tx
}
