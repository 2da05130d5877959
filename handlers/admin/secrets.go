package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
)

// secretView is what is shown of a secret: everything but the secret, and with it once.
type secretView struct {
	ID           string           `json:"id"`
	ClientSecret string           `json:"client_secret,omitempty"`
	Hint         string           `json:"hint"`
	CreatedAt    *strictjson.Time `json:"created_at"`
	ExpiresAt    *strictjson.Time `json:"expires_at"`
}

// usedSecretView is a secret in a list.
type usedSecretView struct {
	secretView
	LastUsedAt             *strictjson.Time `json:"last_used_at"`
	EndsPreviousOnFirstUse bool             `json:"end_previous_on_first_use"`
}

// newSecretView is the answer to a rotation: the secret, and what becomes of the client's other ones.
type newSecretView struct {
	secretView
	PreviousExpireAt *strictjson.Time `json:"previous_expire_at"`
	TokensRevoked    bool             `json:"tokens_revoked"`
}

func secretViewOf(s *client.Secret) secretView {
	return secretView{ID: s.ID, Hint: s.Hint, CreatedAt: strictjson.TimeOf(s.CreatedAt), ExpiresAt: strictjson.TimeOf(s.ExpiresAt)}
}

// listSecrets is GET /clients/{client_id}/secrets.
func (a *api) listSecrets(r *request) (*answer, error) {
	client, err := a.clients.Find(r.Context(), r.vars["client_id"])
	if err != nil {
		return nil, err
	}
	list := page[usedSecretView]{Items: make([]usedSecretView, len(client.Secrets))}
	for i := range client.Secrets {
		secret := &client.Secrets[i]
		list.Items[i] = usedSecretView{secretViewOf(secret), strictjson.TimeOf(secret.LastUsedAt), secret.EndsOthers}
	}
	return newAnswer(http.StatusOK, list), nil
}

// createSecret is POST /clients/{client_id}/secrets.
func (a *api) createSecret(r *request) (*answer, error) {
	wanted, err := a.rotation(r.body)
	if err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: "secret.created", ClientID: r.vars["client_id"]}
		client, err := a.clients.Find(ctx, event.ClientID)
		if err != nil {
			return nil, event, err
		}
		if !client.UsesSecret() {
			return nil, event, conflict("no-secret", "A client with token_endpoint_auth_method "+client.TokenEndpointAuthMethod+" has no use for a secret. Change the method first.")
		}
		var secret string
		fresh, err := a.newSecret(ctx, &secret)
		if err != nil {
			return nil, event, err
		}
		fresh.ExpiresAt, fresh.EndsOthers = wanted.expiresAt, wanted.onFirstUse
		if wanted.leaked {
			err = a.clients.ReplaceSecrets(ctx, client.ID, fresh)
		} else {
			err = a.clients.AddSecret(ctx, client.ID, fresh, wanted.endPrevious)
		}
		if err != nil {
			return nil, event, err
		}
		kept := newSecretView{secretViewOf(fresh), strictjson.TimeOf(wanted.endPrevious), wanted.leaked}
		full := kept
		full.ClientSecret = secret
		answer := newAnswer(http.StatusCreated, full)
		answer.kept = kept
		answer.header.Set("Location", ofClients.path+url.PathEscape(client.ID)+"/secrets/"+fresh.ID)
		event.Changes, err = added("secret_id", fresh.ID, "expires_at", strictjson.TimeOf(fresh.ExpiresAt),
			"previous_expire_at", strictjson.TimeOf(wanted.endPrevious), "end_previous_on_first_use", wanted.onFirstUse,
			"tokens_revoked", wanted.leaked)
		return answer, event, err
	})
}

// added tells an audit event about things that were not there before: names and values in turn.
func added(pairs ...any) (json.RawMessage, error) {
	changes := map[string]map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		changes[pairs[i].(string)] = map[string]any{"before": nil, "after": pairs[i+1]}
	}
	return json.Marshal(changes)
}

// deleteSecret is DELETE /clients/{client_id}/secrets/{secret_id}.
func (a *api) deleteSecret(r *request) (*answer, error) {
	var m strictjson.Mistakes
	revokeTokens := r.bool("revoke_tokens", &m)
	if err := m.Err(); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: "secret.deleted", ClientID: r.vars["client_id"]}
		revoke := revokeTokens != nil && *revokeTokens
		if err := a.clients.DeleteSecret(ctx, event.ClientID, r.vars["secret_id"], revoke); err != nil {
			return nil, event, err
		}
		changes, err := json.Marshal(map[string]map[string]any{
			"secret_id":      {"before": r.vars["secret_id"], "after": nil},
			"tokens_revoked": {"before": false, "after": revoke},
		})
		event.Changes = changes
		return noContent(), event, err
	})
}
