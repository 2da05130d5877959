package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// RevokeGrant ends everything that was issued under requestID, including refresh tokens that are being issued at this moment.
// A revocation should call it: it is RevokeRefreshToken and RevokeAccessToken in one durable step. Revoking twice is no error.
func (s *Tokens) RevokeGrant(ctx context.Context, requestID string) error {
	now := model.Millis(s.now())
	// A machine's token has no grant, and one statement is a quarter of the round trips of a transaction.
	n, err := s.db.Run(ctx, `UPDATE {access_tokens} SET revoked_at = ? WHERE request_id = ? AND revoked_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM {grants} WHERE id = ?)`, now, requestID, requestID)
	if err != nil || n > 0 {
		return database.Wrap(err, "revoke access tokens")
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(revokeGrantOnce, now, requestID)
		if err != nil || n > 0 { // its tokens are read together with it
			return database.Wrap(err, "revoke a grant")
		}
		return revokeAccessTokens(ctx, tx, requestID, now)
	})
}

// RevokeSubject ends every grant of a person (the subject of tokens from a login), at all clients or at one
// (clientID not empty), and tells how many there were. A client's own tokens are not a person's: see RevokeClient. Nor are those of
// a person of the same name whom another issuer has named: see RevokeSubjectOf.
func (s *Tokens) RevokeSubject(ctx context.Context, subject, clientID string) (int64, error) {
	if subject == "" {
		return 0, errors.New("storage: refusing to revoke the grants of an empty subject")
	}
	n, err := s.db.Run(ctx, `UPDATE {grants} SET revoked_at = ? WHERE subject = ? AND rule_id = '' AND revoked_at IS NULL AND (client_id = ? OR CAST(? AS TEXT) = '')`,
		model.Millis(s.now()), subject, clientID, clientID)
	return n, database.Wrap(err, "revoke the grants of a subject")
}

// RevokeSubjectOf ends the access tokens of one subject that were issued by a rule about an issuer, see [Store.Issuers].
func (s *Tokens) RevokeSubjectOf(ctx context.Context, ruleID, subject string) error {
	now := model.Millis(s.now())
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		for _, statement := range []string{
			`UPDATE {access_tokens} SET revoked_at = ? WHERE client_id = ? AND subject = ? AND revoked_at IS NULL`,
			`UPDATE {grants} SET revoked_at = ? WHERE rule_id = ? AND subject = ? AND revoked_at IS NULL`,
		} {
			if _, err := tx.Run(statement, now, ruleID, subject); err != nil {
				return database.Wrap(err, "revoke the tokens of a subject")
			}
		}
		return nil
	})
}

// RevokeReused is [Tokens.RevokeGrant] after a code or refresh token was used again. It stores an audit event in the same
// step. action names the event, such as "refresh_token.reused". signature is that of the code or refresh token. ended tells
// whether anything was alive until now; if not, there is no event.
func (s *Tokens) RevokeReused(ctx context.Context, action string, grant fosite.Requester, signature string) (ended bool, err error) {
	clientID := grant.GetClient().GetID()
	after := map[string]any{"grant": "revoked"}
	if who := subject(grant.GetSession()); who != "" {
		after["subject"] = who
	}
	changes, err := audit.After(after)
	if err != nil {
		return false, err
	}
	return s.endGrant(ctx, grant.GetID(), audit.Event{
		Actor: "client:" + clientID, Action: action, ClientID: clientID, TokenID: TokenID(signature), Outcome: audit.OutcomeFailure, Changes: changes,
	})
}

// RevokeOwnToken is RFC 7009: a client ends an access or refresh token and everything issued under the same grant. An audit
// event is stored in the same step. owner is the client that the token was issued to; when that is another one, nothing
// happens. It answers [fosite.ErrNotFound] when there is no such token.
func (s *Tokens) RevokeOwnToken(ctx context.Context, kind fosite.TokenType, signature, clientID string) (owner string, err error) {
	if signature == "" {
		return "", fosite.ErrNotFound
	}
	event := audit.Event{Actor: "client:" + clientID, Action: "token.revoked", ClientID: clientID, TokenID: TokenID(signature)}
	if secret := reqinfo.Note(ctx).Secret; secret != "" {
		if event.Changes, err = audit.After(map[string]any{"secret_id": secret}); err != nil {
			return "", err
		}
	}
	if kind == fosite.AccessToken { // a machine's is all that there is of its request
		ended, err := s.log.Change(ctx, revokeMachineToken, event, accessTokenKey(signature), clientID)
		if err != nil {
			return "", database.Wrap(err, "revoke an access token")
		}
		if ended {
			return clientID, nil
		}
	}
	owner, requestID, err := s.TokenGrant(ctx, kind, signature)
	if err != nil || owner != clientID {
		return owner, err
	}
	_, err = s.endGrant(ctx, requestID, event)
	return owner, err
}

// endGrant ends everything that was issued under requestID and tells whether anything was alive until now.
func (s *Tokens) endGrant(ctx context.Context, requestID string, event audit.Event) (ended bool, err error) {
	for _, change := range []*audit.Change{revokeGrant, revokeTokens} {
		ended, err = s.log.Change(ctx, change, event, requestID)
		if err != nil || ended { // the tokens of a grant are read together with it
			break
		}
	}
	return ended, database.Wrap(err, "revoke a grant")
}

const revokeGrantOnce = `UPDATE {grants} SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`

var (
	revokeGrant = audit.NewChange(revokeGrantOnce,
		database.Columns("grant_id TEXT"),
		`UPDATE {grants} SET revoked_at = given.time FROM given WHERE {grants}.id = given.grant_id AND {grants}.revoked_at IS NULL`)
	// Tokens without a grant, of which there is one for each request as a rule.
	revokeTokens = audit.NewChange(`UPDATE {access_tokens} SET revoked_at = ? WHERE request_id = ? AND revoked_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM {grants} g WHERE g.id = {access_tokens}.request_id)`,
		database.Columns("grant_id TEXT"),
		`UPDATE {access_tokens} t SET revoked_at = given.time FROM given WHERE t.request_id = given.grant_id AND t.revoked_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM {grants} g WHERE g.id = t.request_id)`)
	// A token whose request has no other one, and no grant. SQLite finds at most one row, and so changes it as it finds it.
	revokeMachineToken = audit.NewChange(`UPDATE {access_tokens} SET revoked_at = ?
			WHERE signature = ? AND client_id = ? AND revoked_at IS NULL AND `+aloneIn("{access_tokens}"),
		database.Columns("signature BYTEA, owner TEXT"),
		`UPDATE {access_tokens} t SET revoked_at = given.time FROM given
			WHERE t.signature = given.signature AND t.client_id = given.owner AND t.revoked_at IS NULL AND `+aloneIn("t"))
)

// aloneIn is the condition for an access token that is all there is of its request.
func aloneIn(t string) string {
	return `NOT EXISTS (SELECT 1 FROM {grants} g WHERE g.id = ` + t + `.request_id)
		AND NOT EXISTS (SELECT 1 FROM {access_tokens} o WHERE o.request_id = ` + t + `.request_id AND o.signature <> ` + t + `.signature)`
}

// RevokeRefreshToken implements [oauth2.TokenRevocationStorage]: it ends the grant, and with it every refresh
// token and access token of requestID.
func (s *Tokens) RevokeRefreshToken(ctx context.Context, requestID string) error {
	_, err := s.db.Run(ctx, revokeGrantOnce, model.Millis(s.now()), requestID)
	return database.Wrap(err, "revoke a grant")
}

// RevokeAccessToken implements [oauth2.TokenRevocationStorage]: it ends the access tokens of requestID and leaves
// refresh tokens alone.
func (s *Tokens) RevokeAccessToken(ctx context.Context, requestID string) error {
	now := model.Millis(s.now())
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// Wait for a refresh that is under way: its access token must not slip through.
		if _, err := tx.Run(`UPDATE {grants} SET created_at = created_at WHERE id = ?`, requestID); err != nil {
			return database.Wrap(err, "lock a grant")
		}
		return revokeAccessTokens(ctx, tx, requestID, now)
	})
}

func revokeAccessTokens(ctx context.Context, tx *database.Tx, requestID string, now int64) error {
	_, err := tx.Run(`UPDATE {access_tokens} SET revoked_at = ? WHERE request_id = ? AND revoked_at IS NULL`, now, requestID)
	return database.Wrap(err, "revoke access tokens")
}

// RevokeTokenID ends an access token of a client, or of a rule about an issuer, by its public name ([TokenID]) together with the grant it was issued
// under: a refresh token of the same grant would only bring it back. It answers [fosite.ErrNotFound] when the client
// has no such token.
func (s *Tokens) RevokeTokenID(ctx context.Context, clientID, id string) error {
	hash, err := tokenIDs.DecodeString(id)
	if err != nil || len(hash) != sha256.Size {
		return fosite.ErrNotFound
	}
	return s.db.InTransaction(ctx, func(ctx context.Context, _ *gorm.DB) error {
		owner, requestID, err := s.findToken(ctx, "access_tokens", hash)
		if err != nil {
			return err
		}
		if owner != clientID {
			byRule, err := s.isByRule(ctx, requestID, clientID)
			if err != nil {
				return err
			}
			if !byRule {
				return fosite.ErrNotFound
			}
		}
		return s.RevokeGrant(ctx, requestID)
	})
}

// isByRule tells whether a grant is one by the rule.
func (s *Tokens) isByRule(ctx context.Context, requestID, ruleID string) (bool, error) {
	var id string
	err := s.db.QueryRow(ctx, `SELECT rule_id FROM {grants} WHERE id = ?`, requestID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return id == ruleID, database.Wrap(err, "read a grant")
}

// RevokeSignature ends the token with this signature, access or refresh token, and everything issued under the same
// grant, whatever state the token or its client is in. It returns the client and the [TokenID] of the token, and
// [fosite.ErrNotFound] when there is no such token.
func (s *Tokens) RevokeSignature(ctx context.Context, kind fosite.TokenType, signature string) (clientID, id string, err error) {
	err = s.db.InTransaction(ctx, func(ctx context.Context, _ *gorm.DB) error {
		owner, requestID, err := s.TokenGrant(ctx, kind, signature)
		if err != nil {
			return err
		}
		clientID = owner
		return s.RevokeGrant(ctx, requestID)
	})
	if err != nil {
		return "", "", err
	}
	return clientID, TokenID(signature), nil
}

// TokenGrant tells to which client a token was issued and under which request, whatever state the token, its grant or its
// client is in. It answers [fosite.ErrNotFound] when there is no such token. The result permits nothing. It is for revocation,
// which must also reach the other tokens of a grant when the token itself has ended.
func (s *Tokens) TokenGrant(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error) {
	if signature == "" {
		return "", "", fosite.ErrNotFound
	}
	if kind == fosite.RefreshToken {
		return s.findToken(ctx, "refresh_tokens", signatureHash(signature))
	}
	return s.findToken(ctx, "access_tokens", accessTokenKey(signature))
}

func (s *Tokens) findToken(ctx context.Context, table string, hash []byte) (clientID, requestID string, err error) {
	err = s.db.QueryRow(ctx, `SELECT client_id, request_id FROM {`+table+`} WHERE signature = ?`, hash).Scan(&clientID, &requestID)
	return clientID, requestID, notFound(err, "read a token")
}

// RevokeClient ends every token issued to the client so far, in a small statement or two however many there are. Tokens
// issued to requests that authenticate from now on are not affected.
func (s *Tokens) RevokeClient(ctx context.Context, id string) error {
	if s.external == nil {
		return s.clients.Revoke(ctx, id)
	}
	statement, args := clients.NoteRevoked(id, s.now())
	return s.revokeExternal(ctx, statement, args)
}

// RevokeClientBefore ends every token that was issued to the client before the time t.
func (s *Tokens) RevokeClientBefore(ctx context.Context, id string, t time.Time) error {
	if s.external == nil {
		return s.clients.RevokeBefore(ctx, id, t)
	}
	statement, args := clients.NoteRevokedBefore(id, t)
	return s.revokeExternal(ctx, statement, args)
}

func (s *Tokens) revokeExternal(ctx context.Context, statement string, args []any) error {
	_, err := s.db.Run(ctx, statement, args...)
	return database.Wrap(err, "revoke the tokens of a client")
}
