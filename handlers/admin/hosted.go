package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
)

// hosted is a registry over a host's table. It fills in what our registry fills in, ends tokens in the store, and checks what
// the table has kept.
type hosted struct {
	theirs Clients
	store  *storage.Store
	now    func() time.Time
}

func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// moment is now, as exactly as it is stored.
func (h *hosted) moment() time.Time { return h.now().UTC().Truncate(time.Millisecond) }

// List refuses the filters that a host's table may not know: one that is left out shows too much.
func (h *hosted) List(ctx context.Context, filter clients.Filter) (page []*client.Client, more bool, err error) {
	var m strictjson.Mistakes
	for at, given := range map[string]bool{
		"?owner": filter.Owner != "", "?unused_for": !filter.UnusedSince.IsZero(), "?expires_within": !filter.ExpiresBefore.IsZero(),
	} {
		if given {
			m.Add(at, "unknown_parameter", "is not offered by this server, whose clients are in a table of its own")
		}
	}
	if filter.Status == client.Expired {
		m.Add("?status", "invalid", "must be active or disabled")
	}
	if err := m.Err(); err != nil {
		return nil, false, err
	}
	page, more, err = h.theirs.List(ctx, filter)
	if filter.IDs != nil && slices.ContainsFunc(page, func(c *client.Client) bool { return !slices.Contains(filter.IDs, c.ID) }) {
		return nil, false, errors.New("admin: Clients.List returns a client that Filter.IDs leaves out; return those alone unless it is nil")
	}
	return page, more, err
}

func (h *hosted) Find(ctx context.Context, id string) (*client.Client, error) {
	c, err := h.theirs.Find(ctx, id)
	if c == nil && err == nil {
		return nil, errors.New("admin: Clients.Find has returned neither a client nor an error; let it answer fosite.ErrNotFound")
	}
	return c, err
}

func (h *hosted) Create(ctx context.Context, c *client.Client) error {
	if c.ID == "" {
		c.ID = newID("mcp_")
	}
	if c.Status == "" {
		c.Status = client.Active
	}
	now := h.moment()
	c.Version, c.CreatedAt, c.UpdatedAt = 1, now, now
	for i := range c.Secrets {
		h.name(&c.Secrets[i])
	}
	if err := h.theirs.Create(ctx, c); err != nil {
		return err
	}
	kept, err := h.readBack(ctx, "Create", c)
	if err != nil {
		return err
	}
	if kept.Version != c.Version || len(kept.Secrets) != len(c.Secrets) {
		return errors.New("admin: Clients.Find does not return the Version and the Secrets that Clients.Create was given; store them")
	}
	for i := range kept.Secrets { // of which there is one
		if !kept.Secrets[i].ExpiresAt.Equal(c.Secrets[i].ExpiresAt) {
			return errors.New("admin: Clients.Find does not return the ExpiresAt of the secret that Clients.Create was given; store it")
		}
	}
	return nil
}

func (h *hosted) Update(ctx context.Context, c *client.Client) error {
	seen := c.Version
	if err := h.theirs.Update(ctx, c); err != nil {
		return err
	}
	kept, err := h.readBack(ctx, "Update", c)
	if err != nil {
		return err
	}
	if kept.Version == seen {
		return errors.New("admin: Clients.Update has not raised Version; add one, or nobody notices that the client has changed")
	}
	c.Version, c.UpdatedAt = kept.Version, kept.UpdatedAt
	return nil
}

// readBack reads what a method has stored. Members that the table does not keep are mistakes of the caller: an answer must
// not show them.
func (h *hosted) readBack(ctx context.Context, method string, c *client.Client) (*client.Client, error) {
	kept, err := h.Find(ctx, c.ID)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, fmt.Errorf("admin: Clients.Find does not find what Clients.%s has stored; read in the transaction of the context: "+
			"storage.Store.InTransaction", method)
	}
	if err != nil {
		return nil, err
	}
	changes, err := client.Differences(kept, c)
	if err != nil || changes == nil {
		return kept, err
	}
	var lost map[string]json.RawMessage
	if err := json.Unmarshal(changes, &lost); err != nil {
		return nil, fmt.Errorf("admin: compare a client with what was stored: %w", err)
	}
	var m strictjson.Mistakes
	for name := range lost {
		m.Add("/"+name, "invalid", "is not kept as it was sent: the clients of this server have no such member, or not with this value")
	}
	return nil, m.Err()
}

func (h *hosted) Delete(ctx context.Context, id string) error {
	if err := h.theirs.Delete(ctx, id); err != nil {
		return err
	}
	switch _, err := h.Find(ctx, id); {
	case err == nil:
		return errors.New("admin: Clients.Find finds a client after Clients.Delete; let it answer fosite.ErrNotFound")
	case !errors.Is(err, fosite.ErrNotFound):
		return err
	}
	return h.Revoke(ctx, id)
}

func (h *hosted) SetStatus(ctx context.Context, id string, status client.Status, version int64) (changed bool, err error) {
	c, err := h.Find(ctx, id)
	switch {
	case err != nil:
		return false, err
	case version != 0 && c.Version != version:
		return false, clients.ErrStale
	case c.Status == status:
		return false, nil
	}
	c.Status = status
	return true, h.Update(ctx, c)
}

func (h *hosted) Revoke(ctx context.Context, id string) error { return h.store.RevokeClient(ctx, id) }

func (h *hosted) RevokeBefore(ctx context.Context, id string, t time.Time) error {
	return h.store.RevokeClientBefore(ctx, id, t)
}

// checkAgreement compares what the API knows of a client with what the authorization server sees of it.
func (h *hosted) checkAgreement(ctx context.Context, id string) error {
	c, err := h.Find(ctx, id)
	if err != nil && !errors.Is(err, fosite.ErrNotFound) {
		return err
	}
	active := err == nil && c.Status == client.Active && (c.ExpiresAt.IsZero() || h.now().Before(c.ExpiresAt))
	_, err = h.store.GetClient(ctx, id)
	if err != nil && !errors.Is(err, fosite.ErrNotFound) {
		return err
	}
	switch found := err == nil; {
	case active && !found:
		return errors.New("admin: the fosite.ClientManager of storage.WithClients does not find an active client of Clients; let both read the same table")
	case !active && found:
		return errors.New("admin: the fosite.ClientManager of storage.WithClients finds a client that is disabled, expired or deleted; " +
			"let GetClient answer fosite.ErrNotFound")
	}
	return nil
}
