package admin_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
)

// theirs is a host's table of clients, in memory. Its host's fosite server reads it too.
type theirs struct {
	fosite.ClientManager
	mu    sync.Mutex
	byID  map[string]client.Client // deleted ones without their Status
	clock *clock

	getsDisabled bool // a mistake
}

func (h *theirs) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := h.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Status != client.Active && !h.getsDisabled {
		return nil, fosite.ErrNotFound
	}
	c.Secrets = slices.DeleteFunc(c.Secrets, func(s client.Secret) bool {
		return !s.ExpiresAt.IsZero() && !h.clock.Now().Before(s.ExpiresAt)
	})
	return c.Fosite(), nil
}

func (h *theirs) List(_ context.Context, filter clients.Filter) (page []*client.Client, more bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.byID {
		after := cmp.Or(cmp.Compare(c.CreatedAt.UnixMilli(), filter.After.CreatedAt), strings.Compare(c.ID, filter.After.ID)) > 0
		if c.Status != "" && after && (filter.Status == "" || c.Status == filter.Status) && strings.Contains(c.ID+" "+c.Name, filter.Query) {
			page = append(page, &c)
		}
	}
	slices.SortFunc(page, func(a, b *client.Client) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	if more = len(page) > filter.Limit; more {
		page = page[:filter.Limit]
	}
	return page, more, nil
}

func (h *theirs) Find(_ context.Context, id string) (*client.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.byID[id]
	if c.Status == "" {
		return nil, fosite.ErrNotFound
	}
	c.Secrets = slices.Clone(c.Secrets)
	return &c, nil
}

func (h *theirs) Create(_ context.Context, c *client.Client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.byID[c.ID]; known {
		return clients.ErrExists
	}
	stored := *c
	stored.Secrets = slices.Clone(c.Secrets)
	h.byID[c.ID] = stored
	return nil
}

func (h *theirs) Update(_ context.Context, c *client.Client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	stored := h.byID[c.ID]
	if stored.Version != c.Version || stored.Status == "" {
		return clients.ErrStale
	}
	changed := *c
	changed.Version, changed.UpdatedAt, changed.Secrets = c.Version+1, h.clock.Now(), stored.Secrets
	h.byID[c.ID] = changed
	return nil
}

func (h *theirs) Delete(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byID[id] = client.Client{ID: id}
	return nil
}

func (h *theirs) AddSecret(_ context.Context, id string, secret *client.Secret, endPrevious time.Time) error {
	return h.changeSecrets(id, func(secrets []client.Secret) []client.Secret {
		for i, s := range secrets {
			if !endPrevious.IsZero() && (s.ExpiresAt.IsZero() || s.ExpiresAt.After(endPrevious)) {
				secrets[i].ExpiresAt = endPrevious
			}
		}
		return append([]client.Secret{*secret}, secrets...)
	})
}

func (h *theirs) DeleteSecret(_ context.Context, id, secretID string) error {
	return h.changeSecrets(id, func(secrets []client.Secret) []client.Secret {
		return slices.DeleteFunc(secrets, func(s client.Secret) bool { return s.ID == secretID })
	})
}

func (h *theirs) changeSecrets(id string, change func([]client.Secret) []client.Secret) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.byID[id]
	before := len(c.Secrets)
	if c.Secrets = change(c.Secrets); len(c.Secrets) == before {
		return fosite.ErrNotFound
	}
	h.byID[id] = c
	return nil
}
