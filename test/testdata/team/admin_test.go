package team

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"gorm.io/gorm"
)

// administration is the admin API over the team's own clients, beside its OAuth endpoints.
type administration struct {
	*team
	http.Handler
	machines *machines
	staff    func(r *http.Request) (name string, err error) // the team's way to know its people
	full     error                                          // what the team's own record fails with
}

func yourStore(db *gorm.DB) (*machines, *storage.Store) {
	clients := &machines{db: db}
	store := storage.New(db, storage.WithClients(clients), storage.WithSessions(&provider.Session{}))
	clients.store = store
	return clients, store
}

var errNotStaff = errors.New("nobody of the staff")

// authenticate is the team's way to know its people.
func (a *administration) authenticate(r *http.Request) (admin.Actor, error) {
	name, err := a.staff(r)
	if errors.Is(err, errNotStaff) {
		return admin.Actor{}, &admin.Refusal{Challenge: `Bearer realm="staff"`, Detail: "Send a token of the staff."}
	}
	return admin.Actor{Name: name, Role: audit.RoleAdmin}, err // any other error is an outage
}

// record puts an event into the team's own table.
func (a *administration) record(ctx context.Context, event audit.Event) error {
	err := a.machines.store.InTransaction(ctx, func(_ context.Context, tx *gorm.DB) error {
		return tx.Create(&AuditEvent{ID: rand.Text(), Text: event.Actor + " " + event.Action + " " + event.ClientID}).Error
	})
	return errors.Join(err, a.full)
}

// administer mounts the admin API.
func (a *administration) administer(router *mux.Router, store *storage.Store, oauth *provider.Provider) error {
	rules := client.Rules{Scopes: []string{"mcp:search"}, Resources: []string{docs}, DefaultResource: docs}
	api := &admin.API{
		Store:                 store,
		Clients:               a.machines,
		Authenticate:          a.authenticate,
		Record:                a.record,
		NewSecret:             client.NewSecret,
		Hasher:                oauth.Config.ClientSecretsHasher,
		AccessTokenSignature:  oauth.Strategy.AccessTokenSignature,
		RefreshTokenSignature: oauth.Strategy.RefreshTokenSignature,
		Rules:                 rules,
	}
	return api.Mount(router.PathPrefix("/admin/v1").Subrouter())
}

func newAdministration(t *testing.T, db *team) *administration {
	t.Helper()
	machines, store := yourStore(db.DB)
	if err := errors.Join(db.AutoMigrate(&Machine{}, &Password{}), store.Migrate(t.Context())); err != nil {
		t.Fatal(err)
	}
	oauth, err := provider.New(store, provider.Options{
		SystemSecret: []byte(strings.Repeat("s", 32)), Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/oauth2/token",
		Resources: provider.Resources{Known: []string{docs}, Default: docs},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &administration{team: db, machines: machines, staff: func(r *http.Request) (string, error) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "ada's" {
			return "", errNotStaff
		}
		return "ada", nil
	}}
	router := mux.NewRouter().SkipClean(true)
	endpoints := &handlers.Server{Provider: oauth, NewSession: func() fosite.Session { return provider.NewSession() }}
	if err := errors.Join(endpoints.Mount(router.PathPrefix("/oauth2").Subrouter()), a.administer(router, store, oauth)); err != nil {
		t.Fatal(err)
	}
	a.Handler = router
	return a
}

// call asks the admin API as one of the staff.
func (a *administration) call(t *testing.T, method, path, etag, body string, want int) (members map[string]any, header http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer ada's")
	r.Header.Set("Content-Type", "application/json")
	if etag != "" {
		r.Header.Set("If-Match", etag)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, want)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil {
			t.Fatalf("%s %s: %s", method, path, w.Body)
		}
	}
	return members, w.Header()
}

// token asks the token endpoint.
func (a *administration) token(id, secret string) (status int) {
	r := request(url.Values{"grant_type": {"client_credentials"}})
	r.URL.Path = "/oauth2/token"
	r.SetBasicAuth(id, secret)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code
}

func (a *administration) wantToken(t *testing.T, id, secret string, want int) {
	t.Helper()
	if got := a.token(id, secret); got != want {
		t.Errorf("a token request is answered with %d, want %d", got, want)
	}
}

// rows are the team's clients and audit rows.
func (a *administration) rows(t *testing.T) (machines int64, events []string) {
	t.Helper()
	if err := errors.Join(a.Model(&Machine{}).Count(&machines).Error, a.Model(&AuditEvent{}).Pluck("text", &events).Error); err != nil {
		t.Fatal(err)
	}
	slices.Sort(events)
	return machines, events
}

func text(members map[string]any, name string) string { s, _ := members[name].(string); return s }

func TestTheAdminAPIOverTheirOwnClients(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		a := newAdministration(t, db)
		created, _ := a.call(t, "POST", "/clients", "", `{"client_name":"ci","owner":"acme"}`, http.StatusCreated)
		id, secret := text(created, "client_id"), text(created, "client_secret")
		a.wantToken(t, id, secret, http.StatusOK)
		var row Machine
		if err := a.First(&row, "id = ?", id).Error; err != nil || row.Customer != "acme" {
			t.Errorf("the team's row is %+v, error %v", row, err)
		}
		listed, _ := a.call(t, "GET", "/clients?q=CI&status=active&limit=1", "", "", http.StatusOK)
		if items, _ := listed["items"].([]any); len(items) != 1 || listed["next_cursor"] != nil {
			t.Errorf("listed are %v", listed)
		}

		_, header := a.call(t, "GET", "/clients/"+id, "", "", http.StatusOK)
		seen := header.Get("ETag")
		a.call(t, "PATCH", "/clients/"+id, seen, `{"client_name":"build"}`, http.StatusOK)
		a.call(t, "PATCH", "/clients/"+id, seen, `{"client_name":"late"}`, http.StatusPreconditionFailed)

		rotated, _ := a.call(t, "POST", "/clients/"+id+"/secrets", "", `{"expires_previous_in":0}`, http.StatusCreated)
		a.wantToken(t, id, secret, http.StatusUnauthorized)
		a.wantToken(t, id, text(rotated, "client_secret"), http.StatusOK)
		leaked, _ := a.call(t, "POST", "/clients/"+id+"/secrets", "", `{"leaked":true}`, http.StatusCreated)
		a.wantToken(t, id, text(rotated, "client_secret"), http.StatusUnauthorized)
		tokens, _ := a.call(t, "GET", "/clients/"+id+"/tokens?active=true", "", "", http.StatusOK)
		if items, _ := tokens["items"].([]any); len(items) != 0 {
			t.Errorf("active after the leak: %v", items)
		}

		secret = text(leaked, "client_secret")
		a.call(t, "POST", "/clients/"+id+"/disable", "", "", http.StatusOK)
		a.wantToken(t, id, secret, http.StatusUnauthorized)
		a.call(t, "POST", "/clients/"+id+"/enable", "", "", http.StatusOK)
		a.wantToken(t, id, secret, http.StatusOK)
		a.call(t, "DELETE", "/clients/"+id, "", "", http.StatusNoContent)
		a.wantToken(t, id, secret, http.StatusUnauthorized)
		a.call(t, "GET", "/clients/"+id, "", "", http.StatusNotFound)
		a.call(t, "POST", "/clients", "", `{"client_name":"again","client_id":"`+id+`"}`, http.StatusConflict)
	})
}

// The team's audit row and the team's client are there together, or neither is.
func TestTheirOwnAuditRowIsInTheTransactionOfTheRegistration(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		a := newAdministration(t, db)
		a.full = errors.New("the archive is full")
		a.call(t, "POST", "/clients", "", `{"client_name":"ci","client_id":"ci"}`, http.StatusServiceUnavailable)
		if machines, events := a.rows(t); machines != 0 || len(events) != 0 {
			t.Errorf("%d clients and the events %q after a failure, want none", machines, events)
		}
		a.full = nil
		mistake, _ := a.call(t, "POST", "/clients", "", `{"client_name":"ci","client_id":"ci","metadata":{"no":"column"}}`, http.StatusBadRequest)
		if all, _ := mistake["errors"].([]any); len(all) != 1 || all[0].(map[string]any)["pointer"] != "/metadata" {
			t.Errorf("the mistakes are %v, want /metadata", mistake["errors"])
		}
		if machines, events := a.rows(t); machines != 0 || len(events) != 0 {
			t.Errorf("%d clients and the events %q after a mistake, want none", machines, events)
		}
		a.call(t, "POST", "/clients", "", `{"client_name":"ci","client_id":"ci"}`, http.StatusCreated)
		if machines, events := a.rows(t); machines != 1 || !slices.Equal(events, []string{"ada client.registered ci"}) {
			t.Errorf("%d clients and the events %q, want one of each", machines, events)
		}
	})
}

// Who may come in is the team's to say; an outage of theirs is no refusal.
func TestTheAdminAPIAsksTheTeamWhoCalls(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		a := newAdministration(t, db)
		known := a.staff
		for want, failure := range map[int]error{http.StatusOK: nil, http.StatusUnauthorized: errNotStaff, http.StatusServiceUnavailable: errors.New("no directory")} {
			a.staff = func(r *http.Request) (string, error) {
				name, err := known(r)
				return name, errors.Join(err, failure)
			}
			_, header := a.call(t, "GET", "/clients", "", "", want)
			if challenge := header.Get("WWW-Authenticate"); (challenge == `Bearer realm="staff"`) != (want == http.StatusUnauthorized) {
				t.Errorf("%d has the challenge %q", want, challenge)
			}
		}
	})
}
