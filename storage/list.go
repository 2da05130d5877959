package storage

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
)

func tokenHash(id string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(id) }

// ClientFilter says which clients [Store.ListClients] returns. The zero value means the first page of all.
type ClientFilter struct {
	Status Status // empty: active and disabled
	Query  string // matches id, name and owner, anywhere, in either case
	After  ClientCursor
	Limit  int // default 50
}

// ClientCursor is the place after a client in the order of registration.
type ClientCursor struct {
	CreatedAt int64  `json:"t"`
	ID        string `json:"id"`
}

// ListClients returns clients in the order of registration, without their secrets, and whether there are more.
func (s *Store) ListClients(ctx context.Context, filter ClientFilter) (clients []*Client, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	where := []string{"c.status IN ('active', 'disabled')", "(c.created_at, c.id) > (?, ?)"}
	args := []any{filter.After.CreatedAt, filter.After.ID}
	if filter.Status != "" {
		where = append(where, "c.status = ?")
		args = append(args, filter.Status)
	}
	if filter.Query != "" {
		where = append(where, `(LOWER(c.id) LIKE LOWER(?) ESCAPE '!' OR LOWER(c.name) LIKE LOWER(?) ESCAPE '!' OR LOWER(c.owner) LIKE LOWER(?) ESCAPE '!')`)
		// The engine lowers both sides: SQLite knows the case of ASCII letters only.
		pattern := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(filter.Query) + "%"
		args = append(args, pattern, pattern, pattern)
	}
	query := `SELECT ` + qualified("c", clientColumns) + ` FROM {clients} c WHERE ` + strings.Join(where, " AND ") + ` ORDER BY c.created_at, c.id LIMIT ?`
	rows, err := s.db.Read(ctx).Query(query, append(args, filter.Limit+1)...)
	if err != nil {
		return nil, false, fmt.Errorf("storage: list clients: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row clientRow
		if err := rows.Scan(row.targets()...); err != nil {
			return nil, false, fmt.Errorf("storage: list clients: %w", err)
		}
		client, err := row.client()
		if err != nil {
			return nil, false, err
		}
		clients = append(clients, client)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("storage: list clients: %w", err)
	}
	if len(clients) > filter.Limit {
		return clients[:filter.Limit], true, nil
	}
	return clients, false, nil
}
