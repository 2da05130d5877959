package admin

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/clients"
)

// name fills in the ID and the CreatedAt of a new secret.
func (h *hosted) name(secret *client.Secret) {
	secret.ID, secret.CreatedAt = newID("cs_")[:15], h.moment()
}

func (h *hosted) AddSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error {
	if secret.EndsOthers {
		return unsupported("/end_previous_on_first_use", "is not offered by this server; send expires_previous_in")
	}
	c, err := h.Find(ctx, clientID)
	if err != nil {
		return err
	}
	now := h.now()
	working := slices.DeleteFunc(slices.Clone(c.Secrets), func(s client.Secret) bool { return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt) })
	if len(working) >= client.MaxSecrets {
		return clients.ErrTooManySecrets
	}
	h.name(secret)
	if err := h.theirs.AddSecret(ctx, clientID, secret, endPrevious); err != nil {
		return err
	}
	return h.checkSecrets(ctx, clientID, secret, endPrevious)
}

// checkSecrets reads what the table has made of a new secret.
func (h *hosted) checkSecrets(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error {
	c, err := h.Find(ctx, clientID)
	if err != nil {
		return err
	}
	added := false
	for _, s := range c.Secrets {
		switch {
		case s.ID == secret.ID:
			added = bytes.Equal(s.Hash, secret.Hash) && s.ExpiresAt.Equal(secret.ExpiresAt)
		case !endPrevious.IsZero() && (s.ExpiresAt.IsZero() || s.ExpiresAt.After(endPrevious)):
			return errors.New("admin: Clients.AddSecret has not ended the client's other secrets; let them expire at endPrevious")
		}
	}
	if !added {
		return errors.New("admin: Clients.Find does not return the secret that Clients.AddSecret was given; store its ID, Hash and ExpiresAt")
	}
	return nil
}

// ReplaceSecrets ends all tokens of the client: each was issued with one of the secrets that go.
func (h *hosted) ReplaceSecrets(ctx context.Context, clientID string, secret *client.Secret) error {
	c, err := h.Find(ctx, clientID)
	if err != nil {
		return err
	}
	for _, old := range c.Secrets {
		if err := h.DeleteSecret(ctx, clientID, old.ID, false); err != nil {
			return err
		}
	}
	if err := h.AddSecret(ctx, clientID, secret, time.Time{}); err != nil {
		return err
	}
	return h.Revoke(ctx, clientID)
}

func (h *hosted) DeleteSecret(ctx context.Context, clientID, secretID string, revokeTokens bool) error {
	if revokeTokens {
		return unsupported("?revoke_tokens", "is not offered by this server, which does not know the secret of a token; revoke all tokens of the client")
	}
	if err := h.theirs.DeleteSecret(ctx, clientID, secretID); err != nil {
		return err
	}
	c, err := h.Find(ctx, clientID)
	if err == nil && slices.ContainsFunc(c.Secrets, func(s client.Secret) bool { return s.ID == secretID }) {
		return errors.New("admin: Clients.Find returns a secret after Clients.DeleteSecret; leave it out")
	}
	return err
}

func (h *hosted) RevokeSecret(context.Context, string, string) error {
	return unsupported("/secret_id", "is not offered by this server, which does not know the secret of a token; send {\"all\":true}")
}

// unsupported is a mistake in a request to a server whose clients are a host's.
func unsupported(pointer, detail string) error {
	var m strictjson.Mistakes
	m.Add(pointer, "invalid", "%s", detail)
	return m.Err()
}
