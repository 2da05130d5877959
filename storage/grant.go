package storage

import (
	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// laterExpiry is the later of two, where NULL is never.
const laterExpiry = `CASE
	WHEN excluded.expires_at IS NULL OR {grants}.expires_at IS NULL THEN NULL
	WHEN excluded.expires_at > {grants}.expires_at THEN excluded.expires_at
	ELSE {grants}.expires_at END`

// errRuleGone is the answer to an assertion whose rule has ended, or has changed, since the assertion was checked.
var errRuleGone = fosite.ErrInvalidGrant.WithHint("The rule about the issuer of the assertion has ended, or has changed meanwhile. Send another assertion.")

// RuledSession is a session of a token that a client got for an identity assertion, by a rule about the issuer: the id of the rule,
// and its version and epoch when the assertion was checked. The token ends with the rule.
type RuledSession interface {
	GetRule() (id string, version, epoch int64)
}

// ruled is the session of a request as one by a rule, or nil.
func (s *core) ruled(request fosite.Requester) RuledSession {
	session, ok := request.GetSession().(RuledSession)
	if !ok || s.external != nil {
		return nil
	}
	if id, _, _ := session.GetRule(); id == "" {
		return nil
	}
	return session
}

// openRuledGrant is openGrant for a request by a rule. The rule is held until the end of tx, so that whoever ends it either finds the
// grant, or is found here.
func (s *core) openRuledGrant(tx *database.Tx, r *model.Request, session RuledSession) error {
	id, version, epoch := session.GetRule()
	query := `SELECT COUNT(*) FROM (SELECT id FROM {clients} WHERE id = ? AND issuer <> '' AND status = 'active' AND version = ? AND epoch = ?`
	if s.db.Postgres {
		query += ` FOR SHARE`
	}
	var found int64
	if err := tx.QueryRow(query+`) AS rule`, id, version, epoch).Scan(&found); err != nil {
		return database.Wrap(err, "read a rule")
	}
	if found == 0 {
		return errRuleGone
	}
	s.clients.Used(id)
	_, err := tx.Run(`INSERT INTO {grants} (id, client_id, subject, created_at, expires_at, rule_id) VALUES (?, ?, ?, ?, ?, ?)`,
		r.RequestID, r.ClientID, string(r.Subject), model.Millis(s.now()), r.ExpiresAt, id)
	return database.Wrap(err, "store a grant")
}

// openGrant makes sure that the parent row of a request exists and outlives r. A grant that was revoked stays
// revoked.
func (s *core) openGrant(tx *database.Tx, r *model.Request) error {
	_, err := tx.Run(`INSERT INTO {grants} (id, client_id, subject, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET expires_at = `+laterExpiry,
		r.RequestID, r.ClientID, string(r.Subject), model.Millis(s.now()), r.ExpiresAt)
	return database.Wrap(err, "store a grant")
}
