package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"

	"fosite-mcp/storage/internal/database"
)

// The kinds of rows in authorize_sessions.
const (
	kindCode   = "code"
	kindPKCE   = "pkce"
	kindOpenID = "openid"
	kindPAR    = "par"
)

// loginHours is how long the halves of a login are kept when their session does not say when they end.
const loginHours = 24 * time.Hour

const insertAuthorizeSession = `INSERT INTO {authorize_sessions} (kind, signature, ` + recordColumns + `, details)
	VALUES (?, ?, ` + recordPlaceholders + `, ?)`

const insertAuthorizeSessionOfStranger = `INSERT INTO {authorize_sessions} (kind, signature, ` + recordColumns + `, details)
	VALUES (?, ?, ?, ?, ?, COALESCE((SELECT epoch FROM {clients} WHERE id = ?), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (s *Store) createAuthorizeSession(ctx context.Context, kind, key string, request fosite.Requester, details string) error {
	if key == "" {
		return errNoSignature
	}
	r, err := s.newRecord(request, fosite.AuthorizeCode)
	if err != nil {
		return err
	}
	switch {
	case kind == kindPAR:
		r.expiresAt = nullMillis(expiry(request.GetSession(), fosite.PushedAuthorizeRequestContext))
	case kind == kindPKCE && r.expiresAt.Valid:
		// The PKCE half must outlive the code: were it gone first, the code could be redeemed without a verifier.
		r.expiresAt.Int64 += loginHours.Milliseconds()
	}
	if !r.expiresAt.Valid {
		r.expiresAt = nullMillis(s.now().Add(loginHours))
	}
	query, args := insertAuthorizeSession, append([]any{kind, signatureHash(key)}, r.values()...)
	args = append(args, nullString(details))
	if s.clients != nil {
		query = insertAuthorizeSessionOfStranger
		args[5] = r.clientID // in place of the epoch
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if kind == kindCode {
			if err := accountAllows(ctx, tx, r.subject.String); err != nil {
				return err
			}
			if err := openGrant(ctx, tx, r, millis(s.now())); err != nil {
				return err
			}
		}
		if _, err := tx.Run(query, args...); err != nil {
			return fmt.Errorf("storage: store a %s session: %w", kind, err)
		}
		return nil
	})
}

var authorizeSessionQuery = `SELECT t.used_at, t.details, x.epoch, g.revoked_at, ` + qualified("t", recordColumns) + `, ` + qualified("o", clientStateColumns) + `
	FROM {authorize_sessions} t` + gateJoins + `
	WHERE t.kind = CAST(? AS TEXT) AND t.signature = CAST(? AS BLOB)`

// authorizeSession is a row of authorize_sessions, read back.
type authorizeSession struct {
	*storedRequest
	used, alive bool
	details     string
}

func (s *Store) authorizeSession(ctx context.Context, kind, key string, session fosite.Session) (*authorizeSession, error) {
	if key == "" {
		return nil, fosite.ErrNotFound
	}
	hash := signatureHash(key)
	var g gates
	var state clientState
	var r record
	var usedAt sql.NullInt64
	var details sql.NullString
	targets := append([]any{&usedAt, &details, &g.secretEpoch, &g.grantRevokedAt}, r.targets()...)
	err := s.db.Read(ctx).QueryRow(authorizeSessionQuery, kind, hash).Scan(append(targets, state.targets()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: read a %s session: %w", kind, err)
	}
	client, open, err := s.gatesOpen(ctx, &g, &r, &state)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, fosite.ErrNotFound
	}
	request, err := s.request(ctx, &r, client, session)
	if err != nil {
		return nil, err
	}
	return &authorizeSession{&storedRequest{request, hash}, usedAt.Valid, open, details.String}, nil
}

func (s *Store) deleteAuthorizeSession(ctx context.Context, kind, key string) (int64, error) {
	n, err := s.db.Run(ctx, `DELETE FROM {authorize_sessions} WHERE kind = ? AND signature = ?`, kind, signatureHash(key))
	if err != nil {
		return 0, fmt.Errorf("storage: delete a %s session: %w", kind, err)
	}
	return n, nil
}

// CreateAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage].
func (s *Store) CreateAuthorizeCodeSession(ctx context.Context, code string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindCode, code, request, "")
}

// GetAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage]. A code that was used, or whose grant was
// revoked, comes back together with [fosite.ErrInvalidatedAuthorizeCode].
func (s *Store) GetAuthorizeCodeSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	a, err := s.authorizeSession(ctx, kindCode, code, session)
	if err != nil {
		return nil, err
	}
	if a.used || !a.alive {
		return a.storedRequest, fosite.ErrInvalidatedAuthorizeCode
	}
	return a.storedRequest, nil
}

// InvalidateAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage]: exactly one caller succeeds, all others
// get [fosite.ErrInvalidatedAuthorizeCode]. The row stays until it expires, so that reuse is noticed.
func (s *Store) InvalidateAuthorizeCodeSession(ctx context.Context, code string) error {
	n, err := s.db.Run(ctx, `UPDATE {authorize_sessions} SET used_at = ? WHERE kind = 'code' AND signature = ? AND used_at IS NULL`,
		millis(s.now()), signatureHash(code))
	if err != nil {
		return fmt.Errorf("storage: use up an authorization code: %w", err)
	}
	if n == 0 {
		return fosite.ErrInvalidatedAuthorizeCode
	}
	return nil
}

// CreatePKCERequestSession implements [pkce.PKCERequestStorage].
func (s *Store) CreatePKCERequestSession(ctx context.Context, signature string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindPKCE, signature, request, "")
}

// GetPKCERequestSession implements [pkce.PKCERequestStorage]. [fosite.ErrNotFound] means that no challenge was
// ever stored, which lets fosite consider doing without: nothing else may be answered that way.
func (s *Store) GetPKCERequestSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	a, err := s.authorizeSession(ctx, kindPKCE, signature, session)
	if err != nil {
		return nil, err
	}
	return a.storedRequest, nil
}

// DeletePKCERequestSession implements [pkce.PKCERequestStorage]. It keeps the row: fosite deletes it before it
// looks at the verifier, and a second try must meet the challenge again. Clean-up takes it away.
func (s *Store) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage]. It gets the whole code, not its
// signature; the code is hashed like one.
func (s *Store) CreateOpenIDConnectSession(ctx context.Context, code string, request fosite.Requester) error {
	return s.createAuthorizeSession(ctx, kindOpenID, code, request, "")
}

// GetOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage].
func (s *Store) GetOpenIDConnectSession(ctx context.Context, code string, request fosite.Requester) (fosite.Requester, error) {
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
	return a.storedRequest, nil
}

// DeleteOpenIDConnectSession implements [openid.OpenIDConnectRequestStorage].
func (s *Store) DeleteOpenIDConnectSession(ctx context.Context, code string) error {
	_, err := s.deleteAuthorizeSession(ctx, kindOpenID, code)
	return err
}

// pushedDetails is what an authorization request has beyond any other request.
type pushedDetails struct {
	ResponseTypes       []string                `json:"response_types,omitempty"`
	RedirectURI         string                  `json:"redirect_uri,omitempty"`
	State               string                  `json:"state,omitempty"`
	ResponseMode        fosite.ResponseModeType `json:"response_mode,omitempty"`
	DefaultResponseMode fosite.ResponseModeType `json:"default_response_mode,omitempty"`
}

// CreatePARSession implements [fosite.PARStorage] (RFC 9126). Credentials that fosite leaves in the form are
// not stored.
func (s *Store) CreatePARSession(ctx context.Context, requestURI string, request fosite.AuthorizeRequester) error {
	form := url.Values{}
	for name, values := range request.GetRequestForm() {
		if name != "client_secret" && name != "client_assertion" {
			form[name] = values
		}
	}
	details := pushedDetails{
		ResponseTypes: request.GetResponseTypes(), State: request.GetState(),
		ResponseMode: request.GetResponseMode(), DefaultResponseMode: request.GetDefaultResponseMode(),
	}
	if uri := request.GetRedirectURI(); uri != nil {
		details.RedirectURI = uri.String()
	}
	encoded, err := json.Marshal(details)
	if err != nil {
		return fmt.Errorf("storage: encode a pushed authorization request: %w", err)
	}
	return s.createAuthorizeSession(ctx, kindPAR, requestURI, &requestWithForm{request, form}, string(encoded))
}

type requestWithForm struct {
	fosite.Requester
	form url.Values
}

func (r *requestWithForm) GetRequestForm() url.Values { return r.form }

// GetPARSession implements [fosite.PARStorage]. One that has expired is not found, which fosite does not check.
func (s *Store) GetPARSession(ctx context.Context, requestURI string) (fosite.AuthorizeRequester, error) {
	a, err := s.authorizeSession(ctx, kindPAR, requestURI, nil)
	if err != nil {
		return nil, err
	}
	if end := expiry(a.Session, fosite.PushedAuthorizeRequestContext); !a.alive || !end.IsZero() && !s.now().Before(end) {
		return nil, fosite.ErrNotFound
	}
	var details pushedDetails
	if err := json.Unmarshal([]byte(a.details), &details); err != nil {
		return nil, fmt.Errorf("storage: decode a pushed authorization request: %w", err)
	}
	redirectURI, err := url.Parse(details.RedirectURI)
	if err != nil {
		return nil, fmt.Errorf("storage: decode a pushed authorization request: %w", err)
	}
	return &fosite.AuthorizeRequest{
		ResponseTypes: details.ResponseTypes, RedirectURI: redirectURI, State: details.State,
		ResponseMode: details.ResponseMode, DefaultResponseMode: details.DefaultResponseMode, Request: *a.Request,
	}, nil
}

// DeletePARSession implements [fosite.PARStorage]. A request is used once (RFC 9126 §7.3): of any number of concurrent
// calls one succeeds, the others get [fosite.ErrNotFound].
func (s *Store) DeletePARSession(ctx context.Context, requestURI string) error {
	n, err := s.deleteAuthorizeSession(ctx, kindPAR, requestURI)
	if err == nil && n == 0 {
		return fosite.ErrNotFound
	}
	return err
}
