package storage

import (
	"context"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
	"fosite-mcp/storage/people"
)

// Users is the local accounts. With [WithClients] there are none, and no tables for them: people are the host's, too.
func (s *Store) Users() *people.Users { return s.users }

// Consents is what people have allowed clients to do in their name.
func (s *Store) Consents() *people.Consents { return s.consents }

// LoginSessions is the browsers that people are logged in with.
func (s *Store) LoginSessions() *people.Sessions { return s.logins }

// ConsoleSessions is the browsers that administrators are logged in to the admin console with.
func (s *Store) ConsoleSessions() *people.ConsoleSessions { return s.logins.Console() }

// GroupsSession is a session that tells which groups a person is in. A store puts those of a local account into it whenever it
// reads the session. A session without the method, or of a subject that is no local account, keeps what it was stored with.
type GroupsSession interface {
	SetCurrentGroups(groups []string)
}

// AssertedSession is a session whose subject another issuer has named (RFC 7523 §2.1): a local account of the same name is
// somebody else. A session without the method is of a subject of this server.
type AssertedSession interface {
	IsAsserted() bool
	GetSubjectIssuer() string
}

func isAsserted(session fosite.Session) bool {
	s, ok := session.(AssertedSession)
	return ok && s.IsAsserted()
}

// accountAllows refuses what is about to be granted in tx in the name of a local account that may not log in any more. Where
// the clients are the host's, so are the accounts.
func (s *core) accountAllows(tx *database.Tx, subject string) error {
	if s.external != nil {
		return nil
	}
	return s.users.Allow(tx, subject)
}

// liveGrants is what the live grants of people know of their consents: which clients have access, and when it was last used.
func (s *core) liveGrants(ctx context.Context, only people.Parties, span *people.Span) ([]people.Consent, error) {
	tx := s.db.Read(ctx).Table(s.db.Table("grants")+" AS g").
		Select("g.subject, g.client_id, MAX(c.name) AS client_name, MIN(g.created_at) AS created_at, MAX(t.last_used_at) AS last_used_at").
		Joins("LEFT JOIN "+s.db.Table("clients")+" c ON c.id = g.client_id").
		Joins("LEFT JOIN "+s.db.Table("access_tokens")+" t ON t.request_id = g.id").
		Where("g.subject <> '' AND g.rule_id = '' AND g.revoked_at IS NULL"). // with a rule it is another issuer's subject
		Where("g.expires_at IS NULL OR g.expires_at > ?", model.At(s.now())).
		Where("c.status IS NULL OR c.status <> 'deleted'").
		Group("g.subject, g.client_id")
	if tx = span.Within(tx, "g"); only.Subject != "" {
		tx = tx.Where("g.subject = ?", only.Subject)
	}
	if only.ClientID != "" {
		tx = tx.Where("g.client_id = ?", only.ClientID)
	}
	// By Find: Scan would show the values of the statement to the logger.
	var rows []struct {
		Subject, ClientID     string
		ClientName            model.Text
		CreatedAt, LastUsedAt model.Time
	}
	if err := tx.Find(&rows).Error; err != nil {
		return nil, database.Wrap(err, "list grants")
	}
	granted := make([]people.Consent, len(rows))
	for i, row := range rows {
		granted[i] = people.Consent{
			Subject: row.Subject, ClientID: row.ClientID, ClientName: string(row.ClientName),
			CreatedAt: row.CreatedAt.Time, LastUsedAt: row.LastUsedAt.Time,
		}
	}
	return granted, nil
}
