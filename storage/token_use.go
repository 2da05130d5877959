package storage

import (
	"context"
	"strings"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// TokenUse counts the access tokens of a client that were issued with one secret, for one subject, scope and audience.
type TokenUse struct {
	SecretID, Subject       string // empty: none
	Scope, Audience         []string
	Count, Active, Revoked  int64 // all, and those that are alive, and were revoked
	FirstIssued, LastIssued time.Time
	LastUsed                time.Time // coarse; zero: not yet
}

// TokenUseFilter says which tokens [Tokens.TokenUse] counts: those that would have been valid at some time in the window.
type TokenUseFilter struct {
	Since, Until time.Time // zero: unbounded
	SecretID     string    // empty: any
	Limit        int
}

// TokenUse counts the tokens of a client that clean-up has not deleted, the newest first, and tells whether there are more lines than
// the limit. It reads all tokens that the client has.
func (s *Tokens) TokenUse(ctx context.Context, clientID string, filter TokenUseFilter) (lines []TokenUse, more bool, err error) {
	_, source := s.queries()
	now := model.Millis(s.now())
	where, args := []string{"t.client_id = ?"}, []any{now, clientID}
	if !filter.Since.IsZero() {
		where, args = append(where, "(t.expires_at IS NULL OR t.expires_at > ?)"), append(args, model.At(filter.Since))
	}
	if !filter.Until.IsZero() {
		where, args = append(where, "t.issued_at < ?"), append(args, model.At(filter.Until))
	}
	if filter.SecretID != "" {
		where, args = append(where, "t.secret_id = ?"), append(args, filter.SecretID)
	}
	query := `SELECT u.secret_id, u.subject, u.scope, u.audience, COUNT(*) AS count, SUM(u.revoked) AS revoked,
			SUM(CASE WHEN u.revoked = 0 AND u.live = 1 THEN 1 ELSE 0 END) AS active,
			MIN(u.issued_at) AS first_issued, MAX(u.issued_at) AS last_issued, MAX(u.last_used_at) AS last_used
		FROM (SELECT t.secret_id, t.subject, t.scope, t.audience, t.issued_at, t.last_used_at, CASE WHEN ` + source.revoked() + ` THEN 1 ELSE 0 END AS revoked,
			CASE WHEN t.expires_at IS NULL OR t.expires_at > ? THEN 1 ELSE 0 END AS live
			FROM {access_tokens} t` + source.joins + ` WHERE ` + strings.Join(where, " AND ") + `) u
		GROUP BY u.secret_id, u.subject, u.scope, u.audience ORDER BY MAX(u.issued_at) DESC, MIN(u.scope), MIN(u.audience) LIMIT ?`
	var rows []struct {
		SecretID, Subject                 model.Text
		Scope, Audience                   model.List
		Count, Active, Revoked            int64
		FirstIssued, LastIssued, LastUsed model.Time
	}
	if err := s.db.Read(ctx).Raw(s.db.SQL(query), append(args, filter.Limit+1)...).Find(&rows).Error; err != nil {
		return nil, false, database.Wrap(err, "count the tokens of a client")
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for _, row := range rows {
		lines = append(lines, TokenUse{
			SecretID: string(row.SecretID), Subject: string(row.Subject), Scope: row.Scope, Audience: row.Audience,
			Count: row.Count, Active: row.Active, Revoked: row.Revoked,
			FirstIssued: row.FirstIssued.Time, LastIssued: row.LastIssued.Time, LastUsed: row.LastUsed.Time,
		})
	}
	return lines, more, nil
}
