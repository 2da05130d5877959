package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
)

// listClients is GET /clients, and GET /issuers, as the operations below are those of both.
func (a *api) listClients(r *request) (*answer, error) {
	var m strictjson.Mistakes
	filter := clients.Filter{
		Limit: r.limit(&m), Query: strings.TrimSpace(r.query["q"]), Status: client.Status(r.query["status"]), Owner: r.query["owner"], IDs: r.caller.Clients,
	}
	if _, given := r.query["status"]; given && !slices.Contains([]client.Status{client.Active, client.Disabled, client.Expired}, filter.Status) {
		m.Add("?status", "invalid", "must be active, disabled or expired")
	}
	if span := r.span("unused_for", &m); span > 0 {
		filter.UnusedSince = a.Now().Add(-span)
	}
	if span := r.span("expires_within", &m); span > 0 {
		filter.ExpiresBefore = a.Now().Add(span)
	}
	if r.cursor(&filter.After, &m) && !client.IsPlain(filter.After.ID) {
		m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	found, more, err := a.registry(r).List(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	list := page[json.Marshaler]{Items: make([]json.Marshaler, len(found))}
	for i, c := range found {
		list.Items[i] = c.ShownAt(a.Now())
	}
	if more {
		last := found[len(found)-1]
		list.NextCursor = encodeCursor(clients.Cursor{CreatedAt: last.CreatedAt.UnixMilli(), ID: last.ID})
	}
	return newAnswer(http.StatusOK, list), nil
}

// createClient is POST /clients. The secret in its answer is shown nowhere else and never again.
func (a *api) createClient(r *request) (*answer, error) {
	kind, now := r.kind(), a.Now().UTC().Truncate(time.Millisecond)
	if _, _, err := a.newClient(kind, r.body, now); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: kind.events + "registered"}
		c, secretEnd, err := a.newClient(kind, r.body, now)
		if err != nil {
			return nil, event, err
		}
		secret := ""
		if c.UsesSecret() {
			fresh, err := a.newSecret(ctx, &secret)
			if err != nil {
				return nil, event, err
			}
			fresh.ExpiresAt = secretEnd
			c.Secrets = []client.Secret{*fresh}
		}
		if err := a.registry(r).Create(ctx, c); err != nil {
			return nil, event, err
		}
		event.ClientID = c.ID
		if r.dryRun {
			return newAnswer(http.StatusOK, c.ShownAt(now)), event, nil
		}
		event.Changes, err = firstDifferences(c, secretEnd)
		return registered(kind, c, secret), event, err
	})
}

// registered is the answer to a registration.
func registered(kind *kind, c *client.Client, secret string) *answer {
	answer := newAnswer(http.StatusCreated, c)
	if kind == ofClients {
		answer.body, answer.kept = client.Registered{Client: c, Secret: secret}, client.Registered{Client: c}
	}
	answer.header.Set("Location", kind.path+url.PathEscape(c.ID))
	answer.header.Set("ETag", etag(c))
	return answer
}

// newSecret makes a secret, puts it into secret, and returns what is stored of it.
func (a *api) newSecret(ctx context.Context, secret *string) (*client.Secret, error) {
	*secret = a.NewSecret()
	hash, err := a.Hasher.Hash(ctx, []byte(*secret))
	if err != nil {
		return nil, fmt.Errorf("hash a client secret: %w", err)
	}
	return &client.Secret{Hash: hash, Hint: (*secret)[len(*secret)-4:]}, nil
}

func (a *api) shownClient(c *client.Client) *answer {
	answer := newAnswer(http.StatusOK, c.ShownAt(a.Now()))
	answer.header.Set("ETag", etag(c))
	return answer
}

// getClient is GET /clients/{client_id}.
func (a *api) getClient(r *request) (*answer, error) {
	client, err := a.registry(r).Find(r.Context(), r.named())
	if err != nil {
		return nil, err
	}
	shown := a.shownClient(client)
	if names(r.Header.Values("If-None-Match"), etag(client)) {
		shown.status, shown.body = http.StatusNotModified, nil
	}
	return shown, nil
}

// patchClient is PATCH /clients/{client_id}: of two callers who have read the same version, one succeeds.
func (a *api) patchClient(r *request) (*answer, error) {
	if err := r.demandCondition(); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: r.kind().events + "changed", ClientID: r.named()}
		c, err := a.registry(r).Find(ctx, event.ClientID)
		if err != nil {
			return nil, event, err
		}
		if err := r.checkConditions(etag(c)); err != nil {
			return nil, event, err
		}
		changed, err := a.Rules.Change(c, r.body)
		if err != nil {
			return nil, event, err
		}
		if err := r.checkWidened(c, changed); err != nil {
			return nil, event, err
		}
		event.Changes, err = client.Differences(c, changed)
		if err != nil {
			return nil, event, err
		}
		if event.Changes == nil {
			return a.shownClient(c), audit.Event{}, nil
		}
		if err := a.registry(r).Update(ctx, changed); err != nil {
			return nil, event, err
		}
		if c.Trust != nil {
			if err := a.endWhatChanged(ctx, c, changed); err != nil {
				return nil, event, err
			}
		}
		return a.shownClient(changed), event, nil
	})
}

// deleteClient is DELETE /clients/{client_id}.
func (a *api) deleteClient(r *request) (*answer, error) {
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: r.kind().events + "deleted", ClientID: r.named()}
		c, err := a.registry(r).Find(ctx, event.ClientID)
		if err != nil {
			return nil, event, err
		}
		if err := r.checkConditions(etag(c)); err != nil {
			return nil, event, err
		}
		if event.Changes, err = client.Differences(c, nil); err != nil {
			return nil, event, err
		}
		return noContent(), event, a.registry(r).Delete(ctx, c.ID)
	})
}

// disableClient is POST /clients/{client_id}/disable.
func (a *api) disableClient(r *request) (*answer, error) {
	return a.setStatus(r, client.Disabled, "disabled")
}

// enableClient is POST /clients/{client_id}/enable.
func (a *api) enableClient(r *request) (*answer, error) {
	return a.setStatus(r, client.Active, "enabled")
}

func (a *api) setStatus(r *request, status client.Status, action string) (*answer, error) {
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		event := audit.Event{Action: r.kind().events + action, ClientID: r.named()}
		before, err := a.registry(r).Find(ctx, event.ClientID)
		if err != nil {
			return nil, event, err
		}
		if err := r.checkConditions(etag(before)); err != nil {
			return nil, event, err
		}
		wanted := *before
		wanted.Status = status
		if err := r.checkWidened(before, &wanted); err != nil {
			return nil, event, err
		}
		seen := int64(0)
		if r.Header.Get("If-Match") != "" {
			seen = before.Version
		}
		changed, err := a.registry(r).SetStatus(ctx, before.ID, status, seen)
		if err != nil || !changed {
			return a.shownClient(before), audit.Event{}, err
		}
		after, err := a.registry(r).Find(ctx, before.ID)
		if err != nil {
			return nil, event, err
		}
		event.Changes, err = client.Differences(before, after)
		return a.shownClient(after), event, err
	})
}
