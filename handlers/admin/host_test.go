package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// hostWorld is an admin API over a host's clients, and the events that the host received.
type hostWorld struct {
	*world
	theirs *theirs
	mu     sync.Mutex
	events []audit.Event
}

// onHosts runs a test of a host's clients on SQLite, and on PostgreSQL where there is one.
func onHosts(t *testing.T, test func(t *testing.T, h *hostWorld)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newHost(t, sqliteIn(t))) })
	if url := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); url != "" {
		t.Run("postgres", func(t *testing.T) { test(t, newHost(t, openPostgres(t, url))) })
	}
}

func sqliteIn(t testing.TB) gorm.Dialector {
	return sqlite.Open("file:" + filepath.Join(t.TempDir(), "test.db") + "?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=1")
}

func newHost(t testing.TB, dialector gorm.Dialector) *hostWorld {
	t.Helper()
	h := &hostWorld{theirs: &theirs{byID: map[string]client.Client{}}}
	h.world = newWorldOn(t, dialector, "", storage.WithClients(h.theirs))
	h.theirs.clock = h.clock
	h.server.Clients, h.server.Record = h.theirs, h.record
	h.server.Authenticate = func(r *http.Request) (admin.Actor, error) {
		if r.Header.Get("Authorization") == "Bearer "+h.key {
			return admin.Actor{Name: "ada", Role: audit.RoleAdmin}, nil
		}
		return admin.Actor{}, &admin.Refusal{Challenge: `Session realm="host"`, Detail: "Log in at /login."}
	}
	h.remount()
	return h
}

func (h *hostWorld) record(_ context.Context, event audit.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
	return nil
}

// itsDocument is the document that the API of this world serves.
func (w *world) itsDocument() *document {
	w.t.Helper()
	if w.document != nil {
		return w.document
	}
	return theDocument(w.t)
}

// remount mounts the API as it is set now. Its answers are checked against the document that it serves from here on.
func (w *world) remount() {
	w.t.Helper()
	w.mount()
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/admin/v1/openapi.json", nil))
	w.document = &document{}
	if err := json.Unmarshal(answer.Body.Bytes(), w.document); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatAHostsStoreCannotDoIsRefusedAtMount(t *testing.T) {
	for name, mistake := range map[string]struct {
		make func(a *admin.API)
		want []string
	}{
		"no clients":    {func(a *admin.API) { a.Clients = nil }, []string{"storage.WithClients", "API.Clients"}},
		"no admin keys": {func(a *admin.API) { a.Authenticate = nil }, []string{"storage.WithClients", "API.Authenticate"}},
		"no audit log":  {func(a *admin.API) { a.Record = nil }, []string{"storage.WithClients", "API.Record"}},
		"none of these": {func(a *admin.API) {
			*a = admin.API{Store: a.Store, NewSecret: a.NewSecret, Hasher: a.Hasher, AccessTokenSignature: a.AccessTokenSignature, RefreshTokenSignature: a.RefreshTokenSignature}
		}, []string{"API.Clients", "API.Authenticate", "API.Record"}},
		"two sets of clients": {func(a *admin.API) { a.Store = newWorld(t).store }, []string{"API.Clients", "storage.WithClients"}},
		"no hasher":           {func(a *admin.API) { a.Hasher = nil }, []string{"Hasher"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, sqliteIn(t))
			mistake.make(h.server)
			router := mux.NewRouter()
			err := h.server.Mount(router)
			for _, remedy := range mistake.want {
				if err == nil || !strings.Contains(err.Error(), remedy) {
					t.Errorf("error %v, want one that names %s", err, remedy)
				}
			}
			if router.Match(httptest.NewRequest(http.MethodGet, "/clients", nil), &mux.RouteMatch{}) {
				t.Error("a route is mounted")
			}
		})
	}
}

func TestTheAPIOverAHostsClients(t *testing.T) {
	onHosts(t, func(t *testing.T, h *hostWorld) {
		id, secret := h.client(`{"client_name":"ci"}`)
		token := h.mustToken(id, secret)
		other, _ := h.client(`{"client_name":"other"}`)
		page := h.get("/clients?limit=1").want(t, http.StatusOK)
		if items := page.items(); len(items) != 1 || page.str("next_cursor") == "" {
			t.Errorf("the first page is %s", page.text)
		}
		rest := h.get("/clients?cursor="+page.str("next_cursor")).want(t, http.StatusOK).items()
		if listed := append(page.items(), rest...); len(listed) != 2 || listed[0]["client_id"] == listed[1]["client_id"] {
			t.Errorf("listed are %v, want %s and %s", listed, id, other)
		}

		shown := h.get("/clients/"+id).want(t, http.StatusOK)
		seen := shown.Header.Get("ETag")
		h.patch("/clients/"+id, "", `{"client_name":"x"}`).want(t, http.StatusPreconditionRequired)
		changed := h.patch("/clients/"+id, seen, `{"client_name":"build"}`).want(t, http.StatusOK)
		if changed.str("client_name") != "build" || changed.Header.Get("ETag") == seen {
			t.Errorf("changed to %s with the ETag %s", changed.text, changed.Header.Get("ETag"))
		}
		h.patch("/clients/"+id, seen, `{"client_name":"late"}`).want(t, http.StatusPreconditionFailed)

		rotated := h.post("/clients/"+id+"/secrets", `{"expires_previous_in":0}`).want(t, http.StatusCreated).str("client_secret")
		h.wantToken(t, id, secret, false)
		h.wantToken(t, id, rotated, true)
		if secrets := h.get("/clients/"+id+"/secrets").want(t, http.StatusOK).items(); len(secrets) != 2 {
			t.Errorf("secrets are %v", secrets)
		}
		if tokens := h.get("/clients/"+id+"/tokens?active=true").want(t, http.StatusOK).items(); len(tokens) != 2 {
			t.Errorf("tokens are %v", tokens)
		}
		leaked := h.post("/clients/"+id+"/secrets", `{"leaked":true}`).want(t, http.StatusCreated).str("client_secret")
		h.wantToken(t, id, rotated, false)
		h.wantActive(t, token, false)

		h.clock.advance(time.Second)
		token = h.mustToken(id, leaked)
		h.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
		h.wantToken(t, id, leaked, false)
		h.wantActive(t, token, false)
		h.post("/clients/"+id+"/enable", "").want(t, http.StatusOK)
		h.wantActive(t, token, true)
		h.post("/clients/"+id+"/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
		h.wantActive(t, token, false)

		h.clock.advance(time.Second)
		token = h.mustToken(id, leaked)
		h.delete("/clients/"+id).want(t, http.StatusNoContent)
		h.wantToken(t, id, leaked, false)
		h.wantActive(t, token, false)
		h.get("/clients/"+id).want(t, http.StatusNotFound)
		h.post("/clients", `{"client_name":"again","client_id":"`+id+`"}`).want(t, http.StatusConflict)
		if h.wantActive(t, h.mustToken(h.client(`{"client_name":"last"}`)), true); t.Failed() {
			t.Log(h.log)
		}
	})
}

func (w *world) wantToken(t *testing.T, id, secret string, want bool) {
	t.Helper()
	if _, problem := w.token(id, secret, true); (problem == "") != want || !want && problem != fosite.ErrInvalidClient.Error() {
		t.Errorf("a token: %q, want one: %v", problem, want)
	}
}

func (w *world) wantActive(t *testing.T, token string, want bool) {
	t.Helper()
	if got := w.active(token); got != want {
		t.Errorf("the token is active: %v, want %v", got, want)
	}
}

func TestAHostReceivesTheEvents(t *testing.T) {
	h := newHost(t, sqliteIn(t))
	id, _ := h.client(`{"client_name":"ci"}`)
	h.do(call{method: "DELETE", path: "/clients/" + id, header: map[string]string{"X-Request-Id": "r-1"}}).want(t, http.StatusNoContent)
	h.do(call{method: "GET", path: "/clients", header: map[string]string{"Authorization": "Bearer wrong"}}).want(t, http.StatusUnauthorized)
	var told []string
	for _, e := range h.events {
		told = append(told, strings.Join([]string{e.Actor, e.Action, e.ClientID, e.Outcome}, " "))
		if e.Time.IsZero() || e.RequestID == "" || e.IP == "" {
			t.Errorf("an event without time, request or address: %+v", e)
		}
	}
	want := []string{"ada client.registered " + id + " success", "ada client.deleted " + id + " success", "unknown admin.login_failed  failure"}
	if !slices.Equal(told, want) {
		t.Errorf("told of\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if h.events[1].RequestID != "r-1" || !strings.Contains(string(h.events[0].Changes), `"client_name"`) {
		t.Errorf("the events are %+v", h.events)
	}
}

// What the receiver refuses has not happened, with the store's own clients as well.
func TestAChangeWithoutItsEventIsUndone(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		failure := errors.New("the disk is full")
		w.server.Record = func(context.Context, audit.Event) error { return failure }
		w.remount()
		answer := w.post("/clients", `{"client_name":"ci"}`).want(t, http.StatusServiceUnavailable)
		if answer.Header.Get("Retry-After") == "" || strings.Contains(answer.text, failure.Error()) || !strings.Contains(w.log.String(), failure.Error()) {
			t.Errorf("the answer is %s, the log %s", answer.text, w.log)
		}
		if items := w.get("/clients").want(t, http.StatusOK).items(); len(items) != 0 {
			t.Errorf("registered all the same: %v", items)
		}
		failure = nil
		w.post("/clients", `{"client_name":"ci"}`).want(t, http.StatusCreated)
		w.get("/audit").want(t, http.StatusNotFound)
	})
}
