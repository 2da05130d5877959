package storage

import (
	"context"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// AuditedTokens is a store that adds an audit event for every access token it stores, in the same transaction. Events
// take turns, so this costs throughput; use the Store itself unless every issued token must be on record.
// With [WithClients] there is no record, and no event.
type AuditedTokens struct{ *Store }

// CreateAccessTokenSession implements [oauth2.AccessTokenStorage].
func (a AuditedTokens) CreateAccessTokenSession(ctx context.Context, signature string, request fosite.Requester) error {
	after := map[string]any{"scope": strings.Join(request.GetGrantedScopes(), " ")}
	if session, ok := request.GetSession().(AssertedSession); ok && session.IsAsserted() {
		after["subject"], after["issuer"] = subject(request.GetSession()), session.GetSubjectIssuer()
	}
	changes, err := audit.After(after)
	if err != nil {
		return err
	}
	clientID := request.GetClient().GetID()
	return a.Atomically(ctx, func(ctx context.Context) error {
		if err := a.Store.CreateAccessTokenSession(ctx, signature, request); err != nil {
			return err
		}
		event := audit.Event{Actor: "client:" + clientID, Action: "token.issued", ClientID: clientID, TokenID: TokenID(signature), Changes: changes}
		return a.log.Append(ctx, event)
	})
}
