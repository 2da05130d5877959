package storage

import (
	"context"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

// AuditedTokens is a store that adds an audit event for every access token it stores, in the same transaction. Events
// take turns, so this costs throughput; use the Store itself unless every issued token must be on record.
// With [WithClients] there is no record, and no event.
type AuditedTokens struct{ *Store }

// CreateAccessTokenSession implements [oauth2.AccessTokenStorage].
func (a AuditedTokens) CreateAccessTokenSession(ctx context.Context, signature string, request fosite.Requester) error {
	changes, err := audit.After(issued(request))
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

// issued is what the event tells of a token: what it is for, whose it is, and the secret that it was asked for with.
func issued(request fosite.Requester) map[string]any {
	after := map[string]any{"scope": strings.Join(request.GetGrantedScopes(), " ")}
	if audience := request.GetGrantedAudience(); len(audience) > 0 {
		after["audience"] = audience
	}
	if subject := subject(request.GetSession()); subject != "" {
		after["subject"] = subject
	}
	if session, ok := request.GetSession().(AssertedSession); ok && session.IsAsserted() {
		after["issuer"] = session.GetSubjectIssuer()
	}
	if c := client.Of(request.GetClient()); c != nil && c.UsedSecret() != nil {
		after["secret_id"] = c.UsedSecret().ID
	}
	return after
}
