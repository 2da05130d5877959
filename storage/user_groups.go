package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/ory/fosite"
)

// memberSession is a session that tells which groups a person is in; provider.Session is one.
type memberSession interface {
	SetCurrentGroups(groups []string)
}

// currentGroups puts the groups that a local account has now into a session, in place of those that it was stored with:
// what is taken from a person is gone at the next introspection, and at the next refresh. A subject that is no local
// account keeps its groups. Tokens of machines have no subject, and cost nothing here.
func (s *Store) currentGroups(ctx context.Context, subject string, session fosite.Session) error {
	member, ok := session.(memberSession)
	if !ok || !strings.HasPrefix(subject, userIDPrefix) {
		return nil
	}
	rows, err := s.db.Read(ctx).Query(`SELECT g.name FROM {users} u LEFT JOIN {user_groups} g ON g.user_id = u.id
		WHERE u.id = ? ORDER BY g.name`, subject)
	if err != nil {
		return fmt.Errorf("storage: read the groups of an account: %w", err)
	}
	defer rows.Close()
	var groups []string
	found := false
	for rows.Next() {
		var group sql.NullString
		if err := rows.Scan(&group); err != nil {
			return fmt.Errorf("storage: read the groups of an account: %w", err)
		}
		found = true
		if group.Valid {
			groups = append(groups, group.String)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("storage: read the groups of an account: %w", err)
	}
	if found {
		member.SetCurrentGroups(groups)
	}
	return nil
}
