package storage

import (
	"context"
	"errors"
	"time"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// RevokeAll ends every access token, refresh token and code that was issued so far, to whichever client and person: after a
// restore of the database, or a leak of the system secret. Its statements are four, however many tokens and clients there are.
// With [WithClients] it is an error: the store does not know which clients there are.
func (s *Tokens) RevokeAll(ctx context.Context) error {
	now := model.Millis(s.now())
	return s.revokeAll(ctx, "", nil,
		statement{`UPDATE {clients} SET epoch = epoch + 1 WHERE status <> 'deleted'`, nil},
		statement{clients.NoteAllRevoked, []any{now}})
}

// RevokeAllBefore is [Tokens.RevokeAll] for what was issued before the time t.
func (s *Tokens) RevokeAllBefore(ctx context.Context, t time.Time) error {
	before := model.Millis(t.Add(time.Millisecond - 1)) // a token is as old as its millisecond
	return s.revokeAll(ctx, ` AND issued_at < ?`, []any{before},
		statement{`UPDATE {clients} SET revoked_before = ? WHERE status <> 'deleted' AND revoked_before < ?`, []any{before, before}},
		statement{clients.NoteAllRevokedBefore, []any{before}})
}

// EndAfterRestore ends all tokens, codes and logins of a database that was brought back from a backup, because some of them had
// ended since, and puts that on record. Call it before the first request.
func (s *Store) EndAfterRestore(ctx context.Context) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		if err := s.RevokeAll(ctx); err != nil {
			return err
		}
		if err := s.logins.DeleteAll(ctx); err != nil {
			return err
		}
		return s.log.Append(ctx, audit.Event{Action: "database.restored"})
	})
}

type statement struct {
	text string
	args []any
}

// revokeAll runs statements about clients, and ends the tokens that were issued without one (RFC 7521 §4.1): only those of a
// host's own composition. which and its values choose among these.
func (s *Tokens) revokeAll(ctx context.Context, which string, values []any, statements ...statement) error {
	if s.external != nil {
		return errors.New("storage: the clients are kept elsewhere, and the store does not know them all: end their tokens client by client, with RevokeClient or RevokeClientBefore")
	}
	for _, table := range []string{"access_tokens", "refresh_tokens"} {
		statements = append(statements, statement{
			`UPDATE {` + table + `} SET revoked_at = ? WHERE client_id = '' AND revoked_at IS NULL` + which, append([]any{model.Millis(s.now())}, values...),
		})
	}
	err := s.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
		for _, each := range statements {
			if _, err := tx.Run(each.text, each.args...); err != nil {
				return err
			}
		}
		return nil
	})
	return database.Wrap(err, "revoke all tokens")
}
