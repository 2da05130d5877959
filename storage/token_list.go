package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// TokenStatus is what a token list says about a token. A token of a client that is disabled keeps its status: it is
// what the token will be when the client is enabled again.
type TokenStatus string

const (
	TokenActive  TokenStatus = "active"
	TokenRevoked TokenStatus = "revoked"
	TokenExpired TokenStatus = "expired"
)

// TokenInfo is what is known about an issued access token; the token itself is not stored.
type TokenInfo struct {
	ID         string // see [TokenID]
	Scope      []string
	Audience   []string
	Subject    string
	SecretID   string // the secret it was issued with, if any
	IssuedAt   time.Time
	ExpiresAt  time.Time // zero: after the server's lifespan
	LastUsedAt time.Time // coarse; zero: not yet
	Status     TokenStatus
}

// TokenFilter says which tokens [Tokens.ListTokens] returns. The zero value means the first page of all.
type TokenFilter struct {
	Active  *bool  // nil: both
	Subject string // empty: any
	ByRule  bool   // also tokens that clients got by the rule of this id, see Store.Issuers
	After   TokenCursor
	Limit   int // default 50
}

// TokenCursor is the place after a token, newest first. Its zero value is the start.
type TokenCursor struct {
	IssuedAt int64  `json:"t"`
	ID       string `json:"id"`
}

// ListTokens returns access tokens of a client, newest first, and whether there are more.
func (s *Tokens) ListTokens(ctx context.Context, clientID string, filter TokenFilter) (tokens []TokenInfo, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	now := model.Millis(s.now())
	queries, source := s.queries()
	where, args := []string{"t.client_id = ?"}, []any{clientID}
	if filter.ByRule {
		where, args = []string{"(t.client_id = ? OR t.request_id IN (SELECT id FROM {grants} WHERE rule_id = ?))"}, []any{clientID, clientID}
	}
	if filter.After.ID != "" {
		hash, err := tokenIDs.DecodeString(filter.After.ID)
		if err != nil {
			return nil, false, fmt.Errorf("storage: the cursor names no token: %w", err)
		}
		where, args = append(where, "(t.issued_at, t.signature) < (?, ?)"), append(args, filter.After.IssuedAt, hash)
	}
	if filter.Subject != "" {
		where, args = append(where, "t.subject = ?"), append(args, filter.Subject)
	}
	if filter.Active != nil {
		condition := `NOT ` + source.revoked() + ` AND (t.expires_at IS NULL OR t.expires_at > ?)`
		if !*filter.Active {
			condition = `NOT (` + condition + `)`
		}
		where, args = append(where, condition), append(args, now)
	}
	query := queries.tokens + strings.Join(where, " AND ") + ` ORDER BY t.issued_at DESC, t.signature DESC LIMIT ?`
	var rows []listedToken
	if err := s.db.Read(ctx).Raw(s.db.SQL(query), append(args, filter.Limit+1)...).Find(&rows).Error; err != nil {
		return nil, false, database.Wrap(err, "list tokens")
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	for _, row := range rows {
		tokens = append(tokens, row.info(now))
	}
	return tokens, more, nil
}

type listedToken struct {
	model.AccessToken
	Revoked model.Flag `gorm:"column:revoked"` // revoked by any means
}

func (t *listedToken) info(now int64) TokenInfo {
	info := TokenInfo{
		ID: tokenIDs.EncodeToString(t.Signature), Scope: t.Scope, Audience: t.Audience, Subject: string(t.Subject), SecretID: string(t.SecretID),
		IssuedAt: t.IssuedAt.Time, ExpiresAt: t.ExpiresAt.Time, LastUsedAt: t.LastUsedAt.Time, Status: TokenActive,
	}
	switch {
	case bool(t.Revoked):
		info.Status = TokenRevoked
	case !t.ExpiresAt.IsZero() && model.Millis(t.ExpiresAt.Time) <= now:
		info.Status = TokenExpired
	}
	return info
}
