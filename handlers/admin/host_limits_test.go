package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

func TestAHostAuthenticatesInItsOwnWay(t *testing.T) {
	outage := errors.New("the directory does not answer: ldap://10.0.0.1")
	actors := map[string]struct {
		actor admin.Actor
		err   error
	}{
		"ada":      {actor: admin.Actor{Name: "ada", Role: audit.RoleClients}},
		"bob":      {actor: admin.Actor{Name: "bob", Role: audit.RoleRead}},
		"no role":  {actor: admin.Actor{Name: "eve"}},
		"no name":  {actor: admin.Actor{Role: audit.RoleAdmin}},
		"stranger": {err: fmt.Errorf("who is this: %w", &admin.Refusal{Challenge: `Session realm="host"`, Detail: "Log in at /login."})},
		"silent":   {err: &admin.Refusal{}},
		"outage":   {err: outage},
	}
	h := newHost(t, sqliteIn(t))
	h.server.Authenticate = func(r *http.Request) (admin.Actor, error) {
		known := actors[r.Header.Get("X-User")]
		return known.actor, known.err
	}
	h.remount()
	for user, want := range map[string]struct{ read, write int }{
		"ada": {200, 201}, "bob": {200, 403}, "no role": {403, 403}, "no name": {503, 503}, "stranger": {401, 401}, "silent": {401, 401}, "outage": {503, 503},
	} {
		header := map[string]string{"X-User": user, "Authorization": ""}
		read := h.do(call{method: "GET", path: "/clients", header: header})
		write := h.do(call{method: "POST", path: "/clients", body: `{"client_name":"by ` + user + `"}`, header: header})
		if read.StatusCode != want.read || write.StatusCode != want.write {
			t.Errorf("%s reads with %d and writes with %d, want %d and %d", user, read.StatusCode, write.StatusCode, want.read, want.write)
		}
		challenge := map[string]string{"stranger": `Session realm="host"`, "silent": `Bearer realm="admin"`}[user]
		if got := read.Header.Get("WWW-Authenticate"); got != challenge {
			t.Errorf("the challenge for %s is %q, want %q", user, got, challenge)
		}
		if strings.Contains(read.text, "ldap") || want.read == 503 && read.Header.Get("Retry-After") == "" {
			t.Errorf("the answer to %s is %s with the header %v", user, read.text, read.Header)
		}
	}
	if len(h.events) != 1 || h.events[0].Actor != "ada" {
		t.Errorf("the events are %+v, want one of ada's", h.events)
	}
	for _, cause := range []string{outage.Error(), "Actor without a Name"} {
		if !strings.Contains(h.log.String(), cause) {
			t.Errorf("the log does not tell of %q", cause)
		}
	}
}

// The keys of the store's own API work as before beside a receiver of the host's, which no failed login gets past.
func TestWhoeverTriesCredentialsIsSlowedDown(t *testing.T) {
	h := newHost(t, sqliteIn(t))
	wrong := map[string]string{"Authorization": "Bearer wrong"}
	for range 10 {
		h.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusUnauthorized)
	}
	h.do(call{method: "GET", path: "/clients", header: wrong}).want(t, http.StatusTooManyRequests)
	h.get("/clients").want(t, http.StatusOK)
	if len(h.events) != 10 || h.events[0].Action != "admin.login_failed" || h.events[0].Outcome != audit.OutcomeFailure {
		t.Errorf("%d events, want the 10 failed logins", len(h.events))
	}
}

func TestWhatIsNotThereIsNotAnnounced(t *testing.T) {
	h := newHost(t, sqliteIn(t))
	text := h.get("/openapi.json").want(t, http.StatusOK).text
	for _, word := range []string{"/audit", "dempotency", "adminKey", "admin key", "KeyReused", "revoke_tokens", "AuditList", "AllTokens", "With all"} {
		if strings.Contains(text, word) {
			t.Errorf("the document announces %s", word)
		}
	}
	for template, item := range h.document.Paths {
		if path := strings.NewReplacer("{client_id}", "x", "{secret_id}", "y").Replace(template); item["get"] != nil && !strings.Contains(template, "{") {
			h.get(path).want(t, http.StatusOK)
		}
	}
	h.get("/audit").want(t, http.StatusNotFound)

	id, secret := h.client(`{"client_name":"ci"}`)
	token := h.mustToken(id, secret)
	secretID, _ := h.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
	for name, c := range map[string]call{
		"an idempotency key":   {method: "POST", path: "/clients", body: `{"client_name":"x"}`, header: map[string]string{"Idempotency-Key": "k"}},
		"an end on first use":  {method: "POST", path: "/clients/" + id + "/secrets", body: `{"end_previous_on_first_use":true}`},
		"a secret's tokens":    {method: "POST", path: "/clients/" + id + "/tokens/revoke", body: `{"secret_id":"` + secretID + `"}`},
		"all tokens":           {method: "POST", path: "/tokens/revoke", body: `{"all":true}`},
		"a secret with tokens": {method: "DELETE", path: "/clients/" + id + "/secrets/" + secretID + "?revoke_tokens=true"},
	} {
		if answer := h.do(c); answer.StatusCode != http.StatusBadRequest || answer.str("detail") == "" {
			t.Errorf("%s: %d %s", name, answer.StatusCode, answer.text)
		}
	}
	h.wantActive(t, token, true)
	h.wantToken(t, id, secret, true)
	if items := h.get("/clients").items(); len(items) != 1 {
		t.Errorf("%d clients, want 1", len(items))
	}
	h.delete("/clients/"+id+"/secrets/"+secretID).want(t, http.StatusNoContent)
	h.wantToken(t, id, secret, false)
}

// broken is a host's table, or its fosite.ClientManager, with one of its methods replaced.
type broken struct {
	*theirs
	find   func(ctx context.Context, id string) (*client.Client, error)
	update func(ctx context.Context, c *client.Client) error
	add    func(ctx context.Context, id string, secret *client.Secret, endPrevious time.Time) error
	delete func(ctx context.Context, id string) error
}

func (b *broken) Find(ctx context.Context, id string) (*client.Client, error) {
	if b.find != nil {
		return b.find(ctx, id)
	}
	return b.theirs.Find(ctx, id)
}

func (b *broken) Update(ctx context.Context, c *client.Client) error {
	if b.update != nil {
		return b.update(ctx, c)
	}
	return b.theirs.Update(ctx, c)
}

func (b *broken) AddSecret(ctx context.Context, id string, secret *client.Secret, endPrevious time.Time) error {
	if b.add != nil {
		return b.add(ctx, id, secret, endPrevious)
	}
	return b.theirs.AddSecret(ctx, id, secret, endPrevious)
}

func (b *broken) Delete(ctx context.Context, id string) error {
	if b.delete != nil {
		return b.delete(ctx, id)
	}
	return b.theirs.Delete(ctx, id)
}

// Each of these would be answered 201 or 200 otherwise, and be wrong.
func TestATableThatDoesNotKeepItsPromisesIsNoticed(t *testing.T) {
	create := call{method: "POST", path: "/clients", body: `{"client_name":"new"}`}
	for name, mistake := range map[string]struct {
		make func(h *hostWorld, b *broken)
		call
		want string // in the log
	}{
		"another table": {func(h *hostWorld, b *broken) { b.theirs = &theirs{byID: map[string]client.Client{}, clock: h.clock} },
			create, "let both read the same table"},
		"reads elsewhere": {func(_ *hostWorld, b *broken) {
			b.find = func(context.Context, string) (*client.Client, error) { return nil, fosite.ErrNotFound }
		}, create, "storage.Store.InTransaction"},
		"finds nothing": {func(_ *hostWorld, b *broken) {
			b.find = func(context.Context, string) (*client.Client, error) { return nil, nil }
		}, create, "neither a client nor an error"},
		"no secrets": {func(_ *hostWorld, b *broken) {
			b.find = func(ctx context.Context, id string) (*client.Client, error) {
				c, err := b.theirs.Find(ctx, id)
				if err == nil {
					c.Secrets = nil
				}
				return c, err
			}
		}, create, "the Secrets that Clients.Create was given"},
		"no version": {func(_ *hostWorld, b *broken) {
			b.update = func(ctx context.Context, c *client.Client) error {
				stored := b.byID[c.ID]
				stored.Name = c.Name
				b.byID[c.ID] = stored
				return nil
			}
		}, call{method: "PATCH", path: "/clients/ci", body: `{"client_name":"x"}`, header: map[string]string{"If-Match": "*"}}, "has not raised Version"},
		"secrets do not end": {func(_ *hostWorld, b *broken) {
			b.add = func(ctx context.Context, id string, secret *client.Secret, _ time.Time) error {
				return b.theirs.AddSecret(ctx, id, secret, time.Time{})
			}
		}, call{method: "POST", path: "/clients/ci/secrets", body: `{"expires_previous_in":0}`}, "let them expire at endPrevious"},
		"nothing is deleted": {func(_ *hostWorld, b *broken) {
			b.delete = func(context.Context, string) error { return nil }
		}, call{method: "DELETE", path: "/clients/ci"}, "after Clients.Delete"},
		"disabled clients go on": {func(h *hostWorld, _ *broken) {
			h.theirs.getsDisabled = true
		}, call{method: "POST", path: "/clients/ci/disable"}, "let GetClient answer fosite.ErrNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, sqliteIn(t))
			h.client(`{"client_name":"ci","client_id":"ci"}`)
			b := &broken{theirs: h.theirs}
			mistake.make(h, b)
			h.server.Clients = b
			h.remount()
			answer := h.do(mistake.call).want(t, http.StatusServiceUnavailable)
			if strings.Contains(answer.text, "mcp_cs_") || !strings.Contains(h.log.String(), mistake.want) {
				t.Errorf("the answer is %s\nand the log %s", answer.text, h.log)
			}
		})
	}
}

// A member without a column is told to the caller.
func TestAMemberThatIsNotKeptIsAMistake(t *testing.T) {
	h := newHost(t, sqliteIn(t))
	h.client(`{"client_name":"ci","client_id":"ci"}`)
	b := &broken{theirs: h.theirs}
	b.find = func(ctx context.Context, id string) (*client.Client, error) {
		c, err := b.theirs.Find(ctx, id)
		if err == nil {
			c.Owner, c.Metadata = "", nil
		}
		return c, err
	}
	h.server.Clients = b
	h.remount()
	for name, answer := range map[string]*reply{
		"registered": h.post("/clients", `{"client_name":"x","owner":"ada","metadata":{"a":1}}`),
		"changed":    h.patch("/clients/ci", "*", `{"owner":"ada","metadata":{"a":1}}`),
	} {
		problems := answer.want(t, http.StatusBadRequest).problems()
		if len(problems) != 2 || problems["/owner"] != "invalid" || problems["/metadata"] != "invalid" {
			t.Errorf("%s: %s", name, answer.text)
		}
	}
}
