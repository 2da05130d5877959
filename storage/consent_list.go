package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Consent is what one person has allowed one client.
type Consent struct {
	Subject, Username    string // Username is empty when only a grant is known
	ClientID, ClientName string
	Scopes, Resources    []string
	CreatedAt            time.Time // the oldest part of it
	LastUsedAt           time.Time // coarse; zero: not known
}

// ConsentFilter says which consents [Store.ListConsents] returns. The zero value means all.
type ConsentFilter struct{ Subject, Username, ClientID string }

// ListConsents returns consents, ordered by subject and client. A client that holds a live grant is listed even where
// no consent is remembered, because it has access all the same; one that was deleted is not.
func (s *Store) ListConsents(ctx context.Context, filter ConsentFilter) ([]Consent, error) {
	found := make(map[[2]string]*Consent)
	if err := s.readConsents(ctx, filter, found); err != nil {
		return nil, err
	}
	if err := s.readGrants(ctx, filter, found); err != nil {
		return nil, err
	}
	list := make([]Consent, 0, len(found))
	for _, consent := range found {
		list = append(list, *consent)
	}
	slices.SortFunc(list, func(a, b Consent) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.ClientID, b.ClientID))
	})
	return list, nil
}

func (s *Store) readConsents(ctx context.Context, filter ConsentFilter, found map[[2]string]*Consent) error {
	where, args := filter.conditions("k")
	if filter.Username != "" {
		where = append(where, "k.username = ?")
		args = append(args, filter.Username)
	}
	rows, err := s.db.Read(ctx).Query(`SELECT k.subject, k.username, k.client_id, k.client_name, k.resource, k.scope, k.created_at
		FROM {consents} k LEFT JOIN {clients} c ON c.id = k.client_id WHERE `+strings.Join(where, " AND ")+` ORDER BY k.updated_at, k.resource, k.scope`, args...)
	if err != nil {
		return fmt.Errorf("storage: list consents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Consent
		var resource, scope string
		var created int64
		if err := rows.Scan(&c.Subject, &c.Username, &c.ClientID, &c.ClientName, &resource, &scope, &created); err != nil {
			return fmt.Errorf("storage: list consents: %w", err)
		}
		c.CreatedAt = fromMillis(created)
		found[[2]string{c.Subject, c.ClientID}] = found[[2]string{c.Subject, c.ClientID}].with(c, resource, scope)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("storage: list consents: %w", err)
	}
	return nil
}

// with adds one row to a consent, which is nil at its first. Rows come oldest first, so the last names stand.
func (c *Consent) with(row Consent, resource, scope string) *Consent {
	if c == nil {
		c = &row
	}
	c.Username, c.ClientName = row.Username, row.ClientName
	if row.CreatedAt.Before(c.CreatedAt) {
		c.CreatedAt = row.CreatedAt
	}
	if scope != "" && !slices.Contains(c.Scopes, scope) {
		c.Scopes = append(c.Scopes, scope)
	}
	if resource != "" && !slices.Contains(c.Resources, resource) {
		c.Resources = append(c.Resources, resource)
	}
	return c
}

// conditions are those that consents (and grants) under this alias, joined with clients as c, have in common.
func (f ConsentFilter) conditions(alias string) (where []string, args []any) {
	where = []string{"(c.status IS NULL OR c.status <> 'deleted')"}
	for _, equal := range [][2]string{{"subject", f.Subject}, {"client_id", f.ClientID}} {
		if equal[1] != "" {
			where = append(where, alias+"."+equal[0]+" = ?")
			args = append(args, equal[1])
		}
	}
	return where, args
}

// readGrants adds what the live grants of people know: clients without a consent, and when access was last used.
func (s *Store) readGrants(ctx context.Context, filter ConsentFilter, found map[[2]string]*Consent) error {
	where, args := filter.conditions("g")
	where = append(where, "g.subject <> ''", "g.revoked_at IS NULL", "(g.expires_at IS NULL OR g.expires_at > ?)")
	args = append(args, millis(s.now()))
	rows, err := s.db.Read(ctx).Query(`SELECT g.subject, g.client_id, MAX(c.name), MIN(g.created_at), MAX(t.last_used_at)
		FROM {grants} g LEFT JOIN {clients} c ON c.id = g.client_id LEFT JOIN {access_tokens} t ON t.request_id = g.id
		WHERE `+strings.Join(where, " AND ")+` GROUP BY g.subject, g.client_id`, args...)
	if err != nil {
		return fmt.Errorf("storage: list grants: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var subject, clientID string
		var name sql.NullString
		var created int64
		var lastUsed sql.NullInt64
		if err := rows.Scan(&subject, &clientID, &name, &created, &lastUsed); err != nil {
			return fmt.Errorf("storage: list grants: %w", err)
		}
		consent := found[[2]string{subject, clientID}]
		if consent == nil {
			if filter.Username != "" {
				continue // a grant does not know the name
			}
			consent = &Consent{Subject: subject, ClientID: clientID, ClientName: name.String, CreatedAt: fromMillis(created)}
			found[[2]string{subject, clientID}] = consent
		}
		consent.LastUsedAt = fromNullMillis(lastUsed)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("storage: list grants: %w", err)
	}
	return nil
}
