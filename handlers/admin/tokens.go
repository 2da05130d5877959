package admin

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// tokenView is what is shown of an access token: never the token.
type tokenView struct {
	TokenID    string              `json:"token_id"`
	Scope      string              `json:"scope"`
	Audience   []string            `json:"audience"`
	Subject    *string             `json:"subject"`
	SecretID   *string             `json:"secret_id"`
	IssuedAt   *strictjson.Time    `json:"issued_at"`
	ExpiresAt  *strictjson.Time    `json:"expires_at"`
	LastUsedAt *strictjson.Time    `json:"last_used_at"`
	Status     storage.TokenStatus `json:"status"`
}

var tokenID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func isTokenID(id string) bool { return len(id) == 43 && tokenID.MatchString(id) }

// listTokens is GET /clients/{client_id}/tokens, and that of a rule about an issuer.
func (a *api) listTokens(r *request) (*answer, error) {
	var m strictjson.Mistakes
	filter := storage.TokenFilter{Limit: r.limit(&m), Active: r.bool("active", &m), Subject: r.query["subject"], ByRule: r.kind() == ofIssuers}
	if r.cursor(&filter.After, &m) && !isTokenID(filter.After.ID) {
		m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	client, err := a.registry(r).Find(r.Context(), r.named())
	if err != nil {
		return nil, err
	}
	tokens, more, err := a.Store.ListTokens(r.Context(), client.ID, filter)
	if err != nil {
		return nil, err
	}
	list := page[tokenView]{Items: make([]tokenView, len(tokens))}
	for i, t := range tokens {
		scope, audience := a.Narrow(client, t.Scope, t.Audience)
		list.Items[i] = tokenView{
			TokenID: t.ID, Scope: strings.Join(scope, " "), Audience: listOf(audience), Subject: textOf(t.Subject), SecretID: textOf(t.SecretID),
			IssuedAt: strictjson.TimeOf(t.IssuedAt), ExpiresAt: strictjson.TimeOf(t.ExpiresAt), LastUsedAt: strictjson.TimeOf(t.LastUsedAt), Status: t.Status,
		}
	}
	if more {
		last := tokens[len(tokens)-1]
		list.NextCursor = encodeCursor(storage.TokenCursor{IssuedAt: last.IssuedAt.UnixMilli(), ID: last.ID})
	}
	return newAnswer(http.StatusOK, list), nil
}

// revocation is what POST /clients/{client_id}/tokens/revoke says: exactly one of these.
type revocation struct {
	all          bool
	tokenID      string
	secretID     string
	subject      string
	issuedBefore time.Time
}

// revocationMembers are what revokes tokens of a client, or of a rule about an issuer.
var revocationMembers = map[*kind][]string{
	ofClients: {"all", "token_id", "secret_id", "issued_before"},
	ofIssuers: {"all", "token_id", "subject", "issued_before"},
}

func readRevocation(kind *kind, body map[string]any) (rev revocation, err error) {
	var m strictjson.Mistakes
	members := revocationMembers[kind]
	strictjson.RefuseUnknown(body, members, &m)
	given := 0
	for _, name := range members {
		v := strictjson.Member(body, name, &m)
		if v.JSON == nil {
			continue
		}
		given++
		switch name {
		case "all":
			if v.Bool(&rev.all); !rev.all && !m.At("/all") {
				m.Add("/all", "invalid", "must be true, or left out")
			}
		case "token_id":
			if v.Text(&rev.tokenID); !isTokenID(rev.tokenID) && !m.At("/token_id") {
				m.Add("/token_id", "invalid", "must be the token_id of a token list")
			}
		case "secret_id":
			if v.Text(&rev.secretID); (rev.secretID == "" || !client.IsPlain(rev.secretID)) && !m.At("/secret_id") {
				m.Add("/secret_id", "invalid", "must be the id of a secret")
			}
		case "subject":
			if v.Text(&rev.subject); (rev.subject == "" || !client.IsPlain(rev.subject)) && !m.At("/subject") {
				m.Add("/subject", "invalid", "must be the subject of a token, in full")
			}
		case "issued_before":
			v.Time(&rev.issuedBefore)
		}
	}
	if given != 1 {
		m.Add("", "one_of", "must have exactly one of the members %s and %s", strings.Join(members[:3], ", "), members[3])
	}
	return rev, m.Err()
}

// revokeTokens is POST /clients/{client_id}/tokens/revoke, and that of a rule about an issuer.
func (a *api) revokeTokens(r *request) (*answer, error) {
	rev, err := readRevocation(r.kind(), r.body)
	if err != nil {
		return nil, err
	}
	if rev.issuedBefore.After(a.Now()) {
		var m strictjson.Mistakes
		m.Add("/issued_before", "invalid", "%s", "must not be in the future; to end all tokens issued so far, send {\"all\":true}")
		return nil, m.Err()
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: "tokens.revoked", ClientID: r.named(), TokenID: rev.tokenID}
		client, err := a.registry(r).Find(ctx, event.ClientID)
		if err != nil {
			return nil, event, err
		}
		switch {
		case rev.all:
			err = a.registry(r).Revoke(ctx, client.ID)
			event.Changes, _ = added("all", true)
		case rev.tokenID != "":
			err = a.Store.RevokeTokenID(ctx, client.ID, rev.tokenID)
			event.Action = "token.revoked"
		case rev.subject != "":
			err = a.Store.RevokeSubjectOf(ctx, client.ID, rev.subject)
			event.Changes, _ = added("subject", rev.subject)
		case rev.secretID != "":
			err = a.registry(r).RevokeSecret(ctx, client.ID, rev.secretID)
			event.Changes, _ = added("secret_id", rev.secretID)
		default:
			err = a.registry(r).RevokeBefore(ctx, client.ID, rev.issuedBefore)
			event.Changes, _ = added("issued_before", strictjson.TimeOf(rev.issuedBefore))
		}
		return noContent(), event, err
	})
}

// revokeAnyTokens is POST /tokens/revoke: a leaked token by its value, or all tokens of all clients.
func (a *api) revokeAnyTokens(r *request) (*answer, error) {
	for _, member := range []string{"all", "issued_before"} {
		if _, given := r.body[member]; given {
			return a.revokeAllTokens(r)
		}
	}
	return a.revokeToken(r)
}

// revokeAllTokens ends all tokens of all clients and people, those issued before a time or all issued so far. It must be told so
// in so many words, and a key that manages clients is not enough.
func (a *api) revokeAllTokens(r *request) (*answer, error) {
	if err := a.allowed(r.caller, &operation{role: audit.RoleAdmin}); err != nil {
		return nil, err
	}
	if a.hosted != nil {
		return nil, unsupported("/all", "is not offered by this server, which does not know all clients; revoke the tokens of each client")
	}
	var m strictjson.Mistakes
	var all bool
	var before time.Time
	strictjson.RefuseUnknown(r.body, []string{"all", "issued_before"}, &m)
	if strictjson.Member(r.body, "all", &m).Bool(&all); !all && !m.At("/all") {
		m.Add("/all", "required", "must be true: this ends tokens of every client and person")
	}
	issuedBefore := strictjson.Member(r.body, "issued_before", &m)
	if issuedBefore.JSON != nil {
		issuedBefore.Time(&before)
	} else if _, given := r.body["issued_before"]; given {
		issuedBefore.Wrong("a time such as 2026-01-31T12:00:00Z; leave it out to end all tokens issued so far")
	}
	if before.After(a.Now()) {
		m.Add("/issued_before", "invalid", "must not be in the future; leave it out to end all tokens issued so far")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: "tokens.revoked"}
		if before.IsZero() {
			event.Changes, _ = added("all_clients", true)
			return noContent(), event, a.Store.RevokeAll(ctx)
		}
		event.Changes, _ = added("all_clients", true, "issued_before", strictjson.TimeOf(before))
		return noContent(), event, a.Store.RevokeAllBefore(ctx, before)
	})
}

// revokeToken revokes an access or refresh token by its value. Unlike a client's own
// revocation (RFC 7009 §2.2), which never says so, an unknown value is an error: whoever revokes a leaked token must
// know when nothing was revoked.
func (a *api) revokeToken(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var token string
	strictjson.RefuseUnknown(r.body, []string{"token"}, &m)
	if r.body["token"] == nil {
		m.Add("/token", "required", "is missing: the value of the token to revoke")
	} else if strictjson.Member(r.body, "token", &m).Text(&token); token == "" && !m.At("/token") {
		m.Add("/token", "invalid", "must not be empty")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		for kind, signature := range map[fosite.TokenType]string{
			fosite.AccessToken: a.AccessTokenSignature(ctx, token), fosite.RefreshToken: a.RefreshTokenSignature(ctx, token),
		} {
			clientID, id, err := a.Store.RevokeSignature(ctx, kind, signature)
			if errors.Is(err, fosite.ErrNotFound) {
				continue
			}
			if err == nil && !r.mayTouch(clientID) {
				return nil, audit.Event{}, unknownToken() // and the transaction is undone
			}
			return noContent(), audit.Event{Action: "token.revoked", ClientID: clientID, TokenID: id}, err
		}
		if err := a.missingSecret(ctx, r, token); err != nil {
			return nil, audit.Event{}, err
		}
		return nil, audit.Event{}, unknownToken()
	})
}

func unknownToken() error {
	return notFound("This is no token of this server, or it expired and was cleaned up: nothing was revoked. " +
		"Check that the value is whole: mcp_at_…, mcp_rt_…, or eyJ… for a JWT.")
}

// missingSecret is a problem where the token is one of this server that cannot be checked here: it is not revoked, and it
// is not unknown.
func (a *api) missingSecret(ctx context.Context, r *request, token string) error {
	if a.UnverifiedSignature == nil {
		return nil
	}
	kind, signature := a.UnverifiedSignature(token)
	owner, _, err := a.Store.TokenGrant(ctx, kind, signature)
	if errors.Is(err, fosite.ErrNotFound) || err == nil && !r.mayTouch(owner) {
		return nil
	}
	if err != nil {
		return err
	}
	a.Log.ErrorContext(ctx, "a token was made with a system secret that this replica does not have", "request_id", r.id)
	if a.OnMissingSecret != nil {
		a.OnMissingSecret(ctx, kind)
	}
	return newProblem(http.StatusServiceUnavailable, "missing-secret", "The token cannot be checked here", "The token was made with a system secret that this replica does not have: "+
		"nothing was revoked. Try again at another replica, or revoke the token by its token_id.").with("Retry-After", handlers.RetryAfter)
}
