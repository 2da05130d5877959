package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// signatureHash is the key under which a signature is stored. It has one size for all formats of tokens (a signature has 43
// characters for HMAC, hundreds for a JWT), and a reader of the database cannot use it.
//
// Signatures of provider.TokenStrategy begin with a time: twelve hexadecimal digits and "~", which occurs in no other
// format. The key then begins with these six bytes, so that a new row stands at the end of the index. Inserts and the
// deletion of expired rows then touch few pages of a large table.
func signatureHash(signature string) []byte {
	sum := hashOf(signature)
	if len(signature) > timeDigits && signature[timeDigits] == '~' {
		var at [timeDigits / 2]byte
		if _, err := hex.Decode(at[:], []byte(signature[:timeDigits])); err == nil {
			copy(sum[len(at):], sum)
			copy(sum, at[:])
		}
	}
	return sum
}

const timeDigits = 12

// accessTokenKey is the key under which an access token with this signature is stored. The signature of a JWT of
// provider.TokenStrategy is "~" and its jti, which is the key itself: the token, its introspection and the admin API then have
// one name for it. Whoever knows the jti cannot sign a token.
func accessTokenKey(signature string) []byte {
	if jti, ok := strings.CutPrefix(signature, "~"); ok && len(jti) == tokenIDs.EncodedLen(sha256.Size) {
		if key, err := tokenIDs.DecodeString(jti); err == nil {
			return key
		}
	}
	return signatureHash(signature)
}

func hashOf(text string) []byte {
	var buffer [128]byte // what most signatures fit in
	sum := sha256.Sum256(append(buffer[:0], text...))
	return sum[:]
}

// tokenIDs is how the hash of a signature is written as a [TokenID].
var tokenIDs = base64.RawURLEncoding

// TokenID is the public name of the token with this signature. The admin API calls it token_id, introspection jti. It
// cannot be used as a token.
func TokenID(signature string) string {
	var id [43]byte // on the stack
	return string(tokenIDs.AppendEncode(id[:0], accessTokenKey(signature)))
}

// TokenUsed notes that the access token of this [TokenID] was used just now. It costs no database access.
func (s *Tokens) TokenUsed(id string) {
	var hash [sha256.Size]byte // on the stack
	if key, err := tokenIDs.AppendDecode(hash[:0], []byte(id)); err == nil && len(key) == sha256.Size {
		s.tokensUsed.Note(string(key), s.now())
	}
}

// errNoSignature is for an empty signature, which would match every other malformed token.
var errNoSignature = errors.New("storage: refusing to store a token under an empty signature")

var insertAccessToken = insertRequest(`{access_tokens}`, `signature`, `?`)

// CreateAccessTokenSession implements [oauth2.AccessTokenStorage].
func (s *Tokens) CreateAccessTokenSession(ctx context.Context, signature string, request fosite.Requester) error {
	if signature == "" {
		return errNoSignature
	}
	r, err := s.newRequest(request, fosite.AccessToken)
	if err != nil {
		return err
	}
	query, args := insertAccessToken.of(s.core, r, accessTokenKey(signature))
	if ofWorkload(request) {
		s.clients.Used(r.ClientID)
	}
	if ofMachine(request, r) || ofWorkload(request) {
		return s.insertMachineToken(ctx, query, args)
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if _, err := tx.Run(query, args...); err != nil {
			return database.Wrap(err, "store an access token")
		}
		if session := s.ruled(request); session != nil {
			return s.openRuledGrant(tx, r, session)
		}
		return s.openGrant(tx, r)
	})
	if err == nil && s.external == nil {
		s.clients.Used(r.ClientID)
	}
	return err
}

// ofMachine tells whether an access token has no parent grant: it was issued for client_credentials. The parameter grant_type
// does not prove that, because anybody can add it at the authorization endpoint.
func ofMachine(request fosite.Requester, r *model.Request) bool {
	form := request.GetRequestForm()
	return form.Get("grant_type") == "client_credentials" && !form.Has("response_type") && r.Subject == ""
}

// ofWorkload tells whether an access token was issued to a rule about an issuer. It has no parent grant: nothing is issued
// besides it, and the rule ends it.
func ofWorkload(request fosite.Requester) bool {
	c := client.Of(request.GetClient())
	return c != nil && c.Trust != nil
}

// clientSource says where statements find the client o of a token t, its secret x and its grant g. Each of them can end the
// token.
type clientSource struct {
	secretEpoch, state string // columns
	joins              string
}

const joinGrant = `
	LEFT JOIN {grants} g ON g.id = t.request_id`

// ownClients are the store's.
var ownClients = clientSource{"x.epoch", clients.StateColumns("o"), `
	LEFT JOIN {clients} o ON o.id = t.client_id
	LEFT JOIN {client_secrets} x ON x.id = t.secret_id` + joinGrant}

// hostsClients are kept elsewhere, with their secrets: see [WithClients].
var hostsClients = clientSource{"CAST(NULL AS BIGINT)", "NULL, NULL, NULL, o.epoch, o.revoked_before, NULL", `
	LEFT JOIN {client_revocations} o ON o.id = t.client_id` + joinGrant}

// tokenQueries read a stored request.
type tokenQueries struct{ accessToken, refreshToken, authorizeSession, tokens string }

// columns are read into a storedRequest. ended tells that its token does not count any more.
func (c clientSource) columns(ended string) string {
	return ended + `, ` + storedColumns + `, ` + c.state
}

func (c clientSource) tokenQueries() tokenQueries {
	return tokenQueries{
		accessToken:  `SELECT ` + c.columns(c.revoked()) + ` FROM {access_tokens} t` + c.joins + ` WHERE t.signature = CAST(? AS BLOB)`,
		refreshToken: `SELECT ` + rotationColumns + `, ` + c.columns(c.ended()) + ` FROM {refresh_tokens} t` + c.joins + ` WHERE t.signature = CAST(? AS BLOB)`,
		authorizeSession: `SELECT t.used_at, t.details, ` + c.columns(c.ended()) + ` FROM {authorize_sessions} t` + c.joins + `
			WHERE t.kind = CAST(? AS TEXT) AND t.signature = CAST(? AS BLOB)`,
		tokens: `SELECT t.signature, t.scope, t.audience, t.subject, t.secret_id, t.issued_at, t.expires_at, t.last_used_at,
			CASE WHEN ` + c.revoked() + ` THEN 1 ELSE 0 END AS revoked FROM {access_tokens} t` + c.joins + ` WHERE `,
	}
}

// revoked is the condition for a token that was revoked by any means.
func (c clientSource) revoked() string { return `(t.revoked_at IS NOT NULL OR ` + c.ended() + `)` }

// ended is the condition for a token that was ended with others: with its grant, with those of its secret, or with those of its
// client.
func (c clientSource) ended() string {
	return `(g.revoked_at IS NOT NULL OR t.epoch <> COALESCE(o.epoch, 0) + COALESCE(` + c.secretEpoch + `, 0)
		OR t.issued_at < COALESCE(o.revoked_before, 0))`
}

var ownQueries, hostsQueries = ownClients.tokenQueries(), hostsClients.tokenQueries()

// queries are those for the place where the store's clients are.
func (s *core) queries() (*tokenQueries, clientSource) {
	if s.external != nil {
		return &hostsQueries, hostsClients
	}
	return &ownQueries, ownClients
}

// GetAccessTokenSession implements [oauth2.AccessTokenStorage]. It answers [fosite.ErrNotFound] for a token that
// was never issued, has been revoked by whatever means, or whose client is disabled, expired or deleted.
// Expiry is left to fosite's strategy, which knows the clock and the lifespans.
func (s *Tokens) GetAccessTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if signature == "" {
		return nil, fosite.ErrNotFound
	}
	token := readAheadOf(ctx).take(s.core, signature)
	if token == nil {
		row := tokenRows.Get().(*tokenRow)
		defer tokenRows.Put(row)
		queries, _ := s.queries()
		if err := s.db.QueryRow(ctx, queries.accessToken, accessTokenKey(signature)).Scan(row.targets...); err != nil {
			return nil, notFound(err, "read an access token")
		}
		token = &row.token
	}
	if !token.found() { // by the joins of a read ahead
		return nil, fosite.ErrNotFound
	}
	client, valid, err := s.validity(ctx, token)
	if err != nil {
		return nil, err
	}
	if !valid {
		return nil, fosite.ErrNotFound
	}
	request, err := s.request(ctx, &token.Request, client, session)
	if err != nil {
		return nil, err
	}
	setExpiry(request.Session, fosite.AccessToken, token.ExpiresAt)
	return request, nil
}

// DeleteAccessTokenSession implements [oauth2.AccessTokenStorage]. The row stays, revoked, until it expires.
func (s *Tokens) DeleteAccessTokenSession(ctx context.Context, signature string) error {
	_, err := s.db.Run(ctx, `UPDATE {access_tokens} SET revoked_at = ? WHERE signature = ? AND revoked_at IS NULL`,
		model.Millis(s.now()), accessTokenKey(signature))
	return database.Wrap(err, "revoke an access token")
}

// validity tells whether nothing has ended the token of t, and returns its client.
func (s *core) validity(ctx context.Context, t *storedRequest) (fosite.Client, bool, error) {
	state, valid := &t.client, !t.ended.Bool
	if t.ClientID == "" { // RFC 7521 §4.1: an assertion may be exchanged without a client
		return &fosite.DefaultClient{}, valid, nil
	}
	if s.external != nil {
		client, err := s.external.GetClient(ctx, t.ClientID)
		return client, valid, err
	}
	if !state.Version.Valid {
		return nil, false, nil
	}
	client, err := s.clients.Complete(ctx, t.ClientID, state)
	if err != nil {
		return nil, false, err
	}
	return client, valid && state.Live(s.now()), nil
}
