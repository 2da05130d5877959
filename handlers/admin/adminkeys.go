package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// keyView is what is shown of an admin key: everything but the key, and with it once.
type keyView struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	AdminKey   string           `json:"admin_key,omitempty"`
	Role       audit.Role       `json:"role"`
	ClientIDs  []string         `json:"client_ids"`
	Status     string           `json:"status"`
	Hint       string           `json:"hint"`
	CreatedAt  *strictjson.Time `json:"created_at"`
	ExpiresAt  *strictjson.Time `json:"expires_at"`
	RevokedAt  *strictjson.Time `json:"revoked_at"`
	LastUsedAt *strictjson.Time `json:"last_used_at"`
}

func (a *api) keyViewOf(k *audit.AdminKey) keyView {
	return keyView{
		ID: k.ID, Name: k.Name, Role: k.Role, ClientIDs: k.Clients, Status: k.Status(a.Now()), Hint: k.Hint, CreatedAt: strictjson.TimeOf(k.CreatedAt),
		ExpiresAt: strictjson.TimeOf(k.ExpiresAt), RevokedAt: strictjson.TimeOf(k.RevokedAt), LastUsedAt: strictjson.TimeOf(k.LastUsedAt),
	}
}

// keyCursor is the place after an admin key.
type keyCursor struct {
	Name string `json:"name"`
}

// listKeys is GET /keys: every key there is and was, the oldest first.
func (a *api) listKeys(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var after keyCursor
	limit, resumes := r.limit(&m), r.cursor(&after, &m)
	if err := m.Err(); err != nil {
		return nil, err
	}
	keys, err := a.Store.AdminKeys().List(r.Context())
	if err != nil {
		return nil, err
	}
	if resumes {
		seen := slices.IndexFunc(keys, func(k audit.AdminKey) bool { return k.Name == after.Name })
		if seen < 0 { // keys are never deleted
			m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
			return nil, m.Err()
		}
		keys = keys[seen+1:]
	}
	list := page[keyView]{Items: []keyView{}}
	for i := range keys[:min(limit, len(keys))] {
		list.Items = append(list.Items, a.keyViewOf(&keys[i]))
	}
	if len(keys) > limit {
		list.NextCursor = encodeCursor(keyCursor{keys[limit-1].Name})
	}
	return newAnswer(http.StatusOK, list), nil
}

// getKey is GET /keys/{name}.
func (a *api) getKey(r *request) (*answer, error) {
	key, err := a.Store.AdminKeys().Named(r.Context(), r.named())
	if err != nil {
		return nil, err
	}
	return newAnswer(http.StatusOK, a.keyViewOf(key)), nil
}

func (a *api) readKey(body map[string]any) (*audit.AdminKey, error) {
	var m strictjson.Mistakes
	k := new(audit.AdminKey)
	strictjson.RefuseUnknown(body, []string{"name", "role", "client_ids", "expires_at"}, &m)
	role := ""
	for name, into := range map[string]*string{"name": &k.Name, "role": &role} {
		if v := strictjson.Member(body, name, &m); v.JSON == nil {
			m.Add("/"+name, "required", "is missing")
		} else {
			v.Text(into)
		}
	}
	k.Role = audit.Role(role)
	if v := strictjson.Member(body, "client_ids", &m); v.JSON != nil {
		if v.List(&k.Clients); len(k.Clients) == 0 && !m.At("/client_ids") {
			m.Add("/client_ids", "invalid", "must name the clients that the key is for; leave it out for all")
		}
	}
	if v := strictjson.Member(body, "expires_at", &m); v.JSON != nil {
		if v.Time(&k.ExpiresAt); !k.ExpiresAt.After(a.Now()) && !m.At("/expires_at") {
			m.Add("/expires_at", "invalid", "must be in the future")
		}
	}
	if m.Err() == nil {
		for pointer, err := range k.Mistakes() {
			m.Add("/"+pointer, "invalid", "%s", strings.TrimPrefix(err.Error(), "storage: "))
		}
	}
	return k, m.Err()
}

// createKey is POST /keys. The key in its answer is shown nowhere else and never again.
func (a *api) createKey(r *request) (*answer, error) {
	if _, err := a.readKey(r.body); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		k, err := a.readKey(r.body)
		if err != nil {
			return nil, audit.Event{}, err
		}
		if err := a.checkKeyEnd(ctx, r.caller.Name, k); err != nil {
			return nil, audit.Event{}, err
		}
		if err := a.checkKeyClients(ctx, k.Clients); err != nil {
			return nil, audit.Event{}, err
		}
		secret := NewKey()
		if err := a.Store.AdminKeys().Create(ctx, k, secret); err != nil { // and its event
			return nil, audit.Event{}, err
		}
		kept := a.keyViewOf(k)
		full := kept
		full.AdminKey = secret
		answer := newAnswer(http.StatusCreated, full)
		answer.kept = kept
		answer.header.Set("Location", ofAdminKeys.path+url.PathEscape(k.Name))
		return answer, audit.Event{}, nil
	})
}

// checkKeyEnd keeps a key from making one that outlives it.
func (a *api) checkKeyEnd(ctx context.Context, caller string, k *audit.AdminKey) error {
	used, err := a.Store.AdminKeys().Named(ctx, caller)
	if err != nil {
		return err
	}
	if end := used.ExpiresAt; !end.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(end)) {
		var m strictjson.Mistakes
		m.Add("/expires_at", "invalid", "must not be after %s, when the key that you use expires", end.UTC().Format(time.RFC3339))
		return m.Err()
	}
	return nil
}

// checkKeyClients refuses ids of no client: whoever mistypes one would hand out a key for nothing.
func (a *api) checkKeyClients(ctx context.Context, ids []string) error {
	var m strictjson.Mistakes
	for i, id := range ids {
		_, err := a.Store.Clients().Find(ctx, id)
		if errors.Is(err, fosite.ErrNotFound) {
			_, err = a.Store.Issuers().Find(ctx, id)
		}
		switch {
		case errors.Is(err, fosite.ErrNotFound):
			m.Add("/client_ids/"+strconv.Itoa(i), "invalid", "is the id of no client and of no rule about an issuer")
		case err != nil:
			return err
		}
	}
	return m.Err()
}

// revokeKey is DELETE /keys/{name}.
func (a *api) revokeKey(r *request) (*answer, error) {
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		return noContent(), audit.Event{}, a.Store.AdminKeys().RevokeButLast(ctx, r.named())
	})
}
