package storage

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// The kinds of rows in authorize_sessions.
const (
	kindCode   = "code"
	kindPKCE   = "pkce"
	kindOpenID = "openid"
	kindPAR    = "par"
	kindKept   = "kept"
)

// loginLifespan is how long authorization sessions are kept whose fosite session has no expiry.
const loginLifespan = 24 * time.Hour

var insertAuthorizeSession = insertRequest(`{authorize_sessions}`, `kind, signature, details`, `?, ?, ?`)

// createAuthorizeSession stores a request under the hash of key. It ends with the code of its session.
func (s *AuthorizeSessions) createAuthorizeSession(ctx context.Context, kind, key string, request fosite.Requester) error {
	until := expiry(request.GetSession(), fosite.AuthorizeCode)
	if kind == kindPKCE && !until.IsZero() {
		// The PKCE session must outlive the code. Without it the code could be redeemed without a verifier.
		until = until.Add(loginLifespan)
	}
	return s.storeAuthorizeSession(ctx, kind, key, request, until, "")
}

func (s *AuthorizeSessions) storeAuthorizeSession(ctx context.Context, kind, key string, request fosite.Requester, until time.Time, details model.Text) error {
	if key == "" {
		return errNoSignature
	}
	r, err := s.newRequest(request, fosite.AuthorizeCode)
	if err != nil {
		return err
	}
	if until.IsZero() {
		until = s.now().Add(loginLifespan)
	}
	r.ExpiresAt = model.At(until)
	query, args := insertAuthorizeSession.of(s.core, r, kind, signatureHash(key), details)
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if kind == kindKept { // a browser may use its key again
			if _, err := tx.Run(`DELETE FROM {authorize_sessions} WHERE kind = ? AND signature = ? AND expires_at <= ?`,
				kind, signatureHash(key), model.Millis(s.now())); err != nil {
				return database.Wrap(err, "replace an authorization request")
			}
		}
		if kind == kindCode {
			if err := s.openGrant(tx, r); err != nil { // first: see people.Users.Allow
				return err
			}
			if err := s.accountAllows(tx, string(r.Subject)); err != nil {
				return err
			}
		}
		_, err := tx.Run(query, args...)
		return database.Wrap(err, "store a "+kind+" session")
	})
}

// authorizeSession is a row of authorize_sessions, read back.
type authorizeSession struct {
	*restoredRequest
	usedAt  model.Time
	details model.Text
}

func (s *AuthorizeSessions) authorizeSession(ctx context.Context, kind, key string, session fosite.Session) (*authorizeSession, error) {
	if key == "" {
		return nil, fosite.ErrNotFound
	}
	a := new(authorizeSession)
	queries, _ := s.queries()
	var err error
	a.restoredRequest, err = s.restore(ctx, session, []any{&a.usedAt, &a.details}, "read a "+kind+" session",
		queries.authorizeSession, kind, signatureHash(key))
	if kind != kindPKCE { // there, "not found" would mean that there is no challenge
		err = orNotFound(err)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// deleteAuthorizeSession answers [fosite.ErrNotFound] if somebody else was faster.
func (s *AuthorizeSessions) deleteAuthorizeSession(ctx context.Context, kind, key string) error {
	n, err := s.db.Run(ctx, `DELETE FROM {authorize_sessions} WHERE kind = ? AND signature = ?`, kind, signatureHash(key))
	return database.MustChange(n, err, "delete a "+kind+" session", fosite.ErrNotFound)
}

// CreateAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage].
func (s *AuthorizeSessions) CreateAuthorizeCodeSession(ctx context.Context, code string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindCode, code, request)
}

// GetAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage]. A code that was used, or whose grant was
// revoked, comes back together with [fosite.ErrInvalidatedAuthorizeCode].
func (s *AuthorizeSessions) GetAuthorizeCodeSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	a, err := s.authorizeSession(ctx, kindCode, code, session)
	if err != nil {
		return nil, err
	}
	if !a.usedAt.IsZero() || !a.valid {
		return a.Request, fosite.ErrInvalidatedAuthorizeCode
	}
	return a.Request, nil
}

// InvalidateAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage]: exactly one caller succeeds, all others
// get [fosite.ErrInvalidatedAuthorizeCode]. The row stays until it expires, so that reuse is noticed.
func (s *AuthorizeSessions) InvalidateAuthorizeCodeSession(ctx context.Context, code string) error {
	n, err := s.db.Run(ctx, `UPDATE {authorize_sessions} SET used_at = ? WHERE kind = 'code' AND signature = ? AND used_at IS NULL`,
		model.Millis(s.now()), signatureHash(code))
	return database.MustChange(n, err, "use up an authorization code", fosite.ErrInvalidatedAuthorizeCode)
}

// CreatePKCERequestSession implements [pkce.PKCERequestStorage].
func (s *AuthorizeSessions) CreatePKCERequestSession(ctx context.Context, signature string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindPKCE, signature, request)
}

// GetPKCERequestSession implements [pkce.PKCERequestStorage]. [fosite.ErrNotFound] means that no challenge was
// ever stored, which lets fosite consider doing without: nothing else may be answered that way.
func (s *AuthorizeSessions) GetPKCERequestSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	a, err := s.authorizeSession(ctx, kindPKCE, signature, session)
	if err != nil {
		return nil, err
	}
	return a.Request, nil
}

// DeletePKCERequestSession implements [pkce.PKCERequestStorage]. It keeps the row: fosite deletes it before it
// looks at the verifier, and a second try must meet the challenge again. Clean-up takes it away.
func (s *AuthorizeSessions) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage]. It gets the whole code, not its
// signature; the code is hashed like one.
func (s *AuthorizeSessions) CreateOpenIDConnectSession(ctx context.Context, code string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindOpenID, code, request)
}

// GetOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage].
func (s *AuthorizeSessions) GetOpenIDConnectSession(ctx context.Context, code string, request fosite.Requester) (fosite.Requester, error) {
	var session fosite.Session
	if request != nil {
		session = request.GetSession()
	}
	a, err := s.authorizeSession(ctx, kindOpenID, code, session)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, openid.ErrNoSessionFound
	}
	if err != nil {
		return nil, err
	}
	return a.Request, nil
}

// DeleteOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage].
func (s *AuthorizeSessions) DeleteOpenIDConnectSession(ctx context.Context, code string) error {
	err := s.deleteAuthorizeSession(ctx, kindOpenID, code)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil
	}
	return err
}
