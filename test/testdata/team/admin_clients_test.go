package team

import (
	"context"
	"strings"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Machine is a client in the team's own table, with a column for each member that the team has a use for.
type Machine struct {
	ID, Name, Customer, Scope, Audience string
	Status                              string
	Version, Created, Updated           int64 // times in milliseconds
}

// Password is one of a machine's secrets.
type Password struct {
	ID, MachineID, Hint string
	Hash                []byte
	Created, Expires    int64 // 0: never
}

func (Machine) TableName() string  { return "machines" }
func (Password) TableName() string { return "passwords" }

// machines is the team's table of clients, for fosite and for the admin API.
type machines struct {
	db    *gorm.DB
	store *storage.Store
}

var (
	_ admin.Clients        = (*machines)(nil)
	_ fosite.ClientManager = (*machines)(nil)
)

// GetClient is for fosite: only a client that may act, and only secrets that work.
func (m *machines) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := find(m.db.WithContext(ctx), id, time.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	if c.Status != client.Active {
		return nil, fosite.ErrNotFound
	}
	return c.Fosite(), nil
}

func (*machines) ClientAssertionJWTValid(context.Context, string) error { return nil }
func (*machines) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return nil
}

// find reads a machine with the passwords that work at the time now, in milliseconds; 0: with all.
func find(db *gorm.DB, id string, now int64) (*client.Client, error) {
	var row Machine
	found := db.Where("id = ? AND status <> ?", id, client.Deleted).Limit(1).Find(&row)
	if found.Error == nil && found.RowsAffected == 0 {
		return nil, fosite.ErrNotFound
	}
	if found.Error != nil {
		return nil, found.Error
	}
	var passwords []Password
	err := db.Where("machine_id = ? AND (expires = 0 OR expires > ?)", id, now).Order("created DESC, id").Find(&passwords).Error
	c := row.client()
	for _, p := range passwords {
		c.Secrets = append(c.Secrets, client.Secret{ID: p.ID, Hash: p.Hash, Hint: p.Hint, CreatedAt: at(p.Created), ExpiresAt: at(p.Expires)})
	}
	return c, err
}

func (m *Machine) client() *client.Client {
	return &client.Client{
		ID: m.ID, Name: m.Name, Owner: m.Customer, Status: client.Status(m.Status),
		Scope: strings.Fields(m.Scope), Audience: strings.Fields(m.Audience),
		GrantTypes: []string{"client_credentials"}, TokenEndpointAuthMethod: "client_secret_basic",
		Version: m.Version, CreatedAt: at(m.Created), UpdatedAt: at(m.Updated),
	}
}

func machineOf(c *client.Client) *Machine {
	return &Machine{
		ID: c.ID, Name: c.Name, Customer: c.Owner, Scope: strings.Join(c.Scope, " "), Audience: strings.Join(c.Audience, " "),
		Status: string(c.Status), Version: c.Version, Created: millis(c.CreatedAt), Updated: millis(c.UpdatedAt),
	}
}

func passwordOf(machine string, s *client.Secret) *Password {
	return &Password{ID: s.ID, MachineID: machine, Hint: s.Hint, Hash: s.Hash, Created: millis(s.CreatedAt), Expires: millis(s.ExpiresAt)}
}

// at and millis write no time as 0.
func at(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// in takes part in the transaction of ctx, or makes one.
func (m *machines) in(ctx context.Context, do func(tx *gorm.DB) error) error {
	return m.store.InTransaction(ctx, func(_ context.Context, tx *gorm.DB) error { return do(tx) })
}

func (m *machines) List(ctx context.Context, filter clients.Filter) (page []*client.Client, more bool, err error) {
	var rows []Machine
	err = m.in(ctx, func(tx *gorm.DB) error {
		tx = tx.Where("status <> ? AND (created, id) > (?, ?)", client.Deleted, filter.After.CreatedAt, filter.After.ID)
		if filter.Status != "" {
			tx = tx.Where("status = ?", filter.Status)
		}
		if filter.Query != "" {
			tx = tx.Where("LOWER(name) LIKE ?", "%"+strings.ToLower(filter.Query)+"%")
		}
		return tx.Order("created, id").Limit(filter.Limit + 1).Find(&rows).Error
	})
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for _, row := range rows {
		page = append(page, row.client())
	}
	return page, more, err
}

func (m *machines) Find(ctx context.Context, id string) (c *client.Client, err error) {
	err = m.in(ctx, func(tx *gorm.DB) error {
		c, err = find(tx, id, 0)
		return err
	})
	return c, err
}

func (m *machines) Create(ctx context.Context, c *client.Client) error {
	return m.in(ctx, func(tx *gorm.DB) error {
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(machineOf(c))
		if created.Error == nil && created.RowsAffected == 0 {
			return clients.ErrExists
		}
		if created.Error != nil {
			return created.Error
		}
		for i := range c.Secrets {
			if err := tx.Create(passwordOf(c.ID, &c.Secrets[i])).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *machines) Update(ctx context.Context, c *client.Client) error {
	row := machineOf(c)
	row.Version, row.Updated = c.Version+1, time.Now().UnixMilli()
	return m.in(ctx, func(tx *gorm.DB) error {
		changed := tx.Model(&Machine{}).Where("id = ? AND version = ? AND status <> ?", c.ID, c.Version, client.Deleted).
			Select("*").Omit("id", "created").Updates(row)
		if changed.Error == nil && changed.RowsAffected == 0 {
			return clients.ErrStale
		}
		return changed.Error
	})
}

func (m *machines) Delete(ctx context.Context, id string) error {
	return m.in(ctx, func(tx *gorm.DB) error {
		if err := tx.Delete(&Password{}, "machine_id = ?", id).Error; err != nil {
			return err
		}
		deleted := tx.Model(&Machine{}).Where("id = ? AND status <> ?", id, client.Deleted).
			Updates(map[string]any{"status": client.Deleted, "name": "", "customer": ""}) // the row keeps the id
		return oneRow(deleted)
	})
}

func (m *machines) AddSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error {
	return m.in(ctx, func(tx *gorm.DB) error {
		if end := millis(endPrevious); end != 0 {
			others := tx.Model(&Password{}).Where("machine_id = ? AND (expires = 0 OR expires > ?)", clientID, end)
			if err := others.Update("expires", end).Error; err != nil {
				return err
			}
		}
		return tx.Create(passwordOf(clientID, secret)).Error
	})
}

func (m *machines) DeleteSecret(ctx context.Context, clientID, secretID string) error {
	return m.in(ctx, func(tx *gorm.DB) error {
		return oneRow(tx.Delete(&Password{}, "id = ? AND machine_id = ?", secretID, clientID))
	})
}

func oneRow(changed *gorm.DB) error {
	if changed.Error == nil && changed.RowsAffected == 0 {
		return fosite.ErrNotFound
	}
	return changed.Error
}
