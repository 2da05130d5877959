package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/login"
	"fosite-mcp/internal/params"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

const (
	origin   = "https://auth.example.com"
	base     = "/authed/mcp/oauth"
	resource = "https://docs.example.com/authed/mcp"
	password = "correct horse battery"
	callback = "https://app.example.com/callback"
	stranger = "203.0.113.9:5000"
)

// site is the pages on a real store, beside an authorize endpoint that does nothing but ask them.
type site struct {
	t       *testing.T
	store   *storage.Store
	login   *login.Pages
	router  *mux.Router
	clock   time.Time
	log     bytes.Buffer
	asked   handlers.AuthorizationRequest // changes what the next requests ask for
	decided *handlers.Decision            // the last decision
	close   func() error
}

type option func(*login.Options)

func newSite(t *testing.T, options ...option) *site {
	t.Helper()
	return newSiteOn(t, openSQLite(t), options...)
}

func newSiteOn(t *testing.T, db *gorm.DB, options ...option) *site {
	t.Helper()
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	s := &site{t: t, clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), close: pool.Close}
	s.store = storage.New(db, storage.WithClock(func() time.Time { return s.clock }))
	if err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := login.Options{
		Origin: origin, BasePath: base, Key: []byte(strings.Repeat("k", 32)), Sessions: s.store.LoginSessions(), Consents: s.store.Consents(),
		Local:     &login.Local{Accounts: s.store.Users(), Hasher: quickHasher{}},
		Scopes:    map[string]string{"mcp:search": "Search the documentation and read its pages"},
		Resources: map[string]string{resource: "Documentation"},
		Log:       slog.New(slog.NewTextHandler(&s.log, nil)),
		Now:       func() time.Time { return s.clock },
	}
	for _, change := range options {
		change(&o)
	}
	s.mount(o)
	s.client("app", callback)
	return s
}

// mount serves the pages with these options.
func (s *site) mount(o login.Options) {
	s.t.Helper()
	var err error
	if s.login, err = login.New(o); err != nil {
		s.t.Fatal(err)
	}
	s.router = mux.NewRouter()
	endpoints := s.router.PathPrefix(base).Subrouter()
	s.login.Mount(endpoints)
	endpoints.HandleFunc("/authorize", s.authorize)
}

// quickHasher stands in for argon2id, which takes its time.
type quickHasher struct{}

func (quickHasher) Hash(_ context.Context, data []byte) ([]byte, error) {
	return append([]byte("hash:"), data...), nil
}

func (quickHasher) Compare(_ context.Context, hash, data []byte) error {
	if string(hash) != "hash:"+string(data) {
		return errors.New("mismatch")
	}
	return nil
}

const sqliteSettings = "?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=5000&_foreign_keys=1"

// migrated is an empty database with its schema. Most tests start from a copy, which is faster than migrating.
var migrated = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "login-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "test.db")
	db, err := gorm.Open(sqlite.Open("file:" + path + sqliteSettings))
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	err = storage.New(db).Migrate(context.Background())
	if err := errors.Join(err, pool.Close()); err != nil { // closing writes everything to the one file
		return nil, err
	}
	return os.ReadFile(path)
})

func openSQLite(t *testing.T) *gorm.DB {
	t.Helper()
	empty, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := gorm.Open(sqlite.Open("file:" + path + sqliteSettings))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// onEachEngine runs a test on SQLite, and on PostgreSQL where there is one (scripts/with-postgres).
func onEachEngine(t *testing.T, test func(t *testing.T, db *gorm.DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t)) })
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		return
	}
	t.Run("postgres", func(t *testing.T) {
		admin, err := gorm.Open(postgres.Open(server))
		if err != nil {
			t.Fatal(err)
		}
		schema := fmt.Sprintf("login_%d_%d", os.Getpid(), time.Now().UnixNano())
		if err := admin.Exec("CREATE SCHEMA " + schema).Error; err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			admin.Exec("DROP SCHEMA " + schema + " CASCADE")
			if pool, err := admin.DB(); err == nil {
				_ = pool.Close()
			}
		})
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		query.Set("search_path", schema)
		u.RawQuery = query.Encode()
		db, err := gorm.Open(postgres.Open(u.String()))
		if err != nil {
			t.Fatal(err)
		}
		test(t, db)
	})
}

// client registers a public client.
func (s *site) client(id string, redirects ...string) {
	s.t.Helper()
	c := &client.Client{ID: id, Name: "The " + id, Scope: []string{"mcp:search"}, RedirectURIs: redirects, TokenEndpointAuthMethod: "none"}
	if err := s.store.Clients().Create(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) user(name string, groups ...string) *people.User {
	s.t.Helper()
	hash, err := login.HashPassword(s.t.Context(), quickHasher{}, password)
	if err != nil {
		s.t.Fatal(err)
	}
	u := &people.User{Username: name, PasswordHash: hash, Groups: groups}
	if err := s.store.Users().Create(s.t.Context(), u); err != nil {
		s.t.Fatal(err)
	}
	return u
}

// authorize plays the authorize endpoint: everything in the request is taken as valid.
func (s *site) authorize(w http.ResponseWriter, r *http.Request) {
	query := params.WithoutEmpty(r.URL.Query()) // as the endpoint reads it
	c, err := s.store.GetClient(r.Context(), query.Get("client_id"))
	if errors.Is(err, fosite.ErrNotFound) {
		s.login.ErrorPage(w, r, http.StatusBadRequest, fosite.ErrInvalidClient)
		return
	}
	redirect, _ := url.Parse(query.Get("redirect_uri"))
	request := s.asked
	if err != nil { // the client was read, the outage begins here
		c = &client.Client{ID: query.Get("client_id")}
	}
	if request.Client == nil {
		request.Client = c
	}
	request.RedirectURI = redirect
	request.Scopes = strings.Fields(query.Get("scope"))
	request.Resources = query["resource"]
	request.Prompt = strings.Fields(query.Get("prompt"))
	if seconds, err := strconv.Atoi(query.Get("max_age")); err == nil {
		age := time.Duration(seconds) * time.Second
		request.MaxAge = &age
	}
	decision, err := s.login.Authorize(w, r, request)
	switch {
	case err != nil:
		s.login.ErrorPage(w, r, http.StatusServiceUnavailable, fosite.ErrTemporarilyUnavailable)
		return
	case decision == nil:
		return
	}
	s.decided = decision
	answer := url.Values{"state": {query.Get("state")}}
	switch {
	case decision.Err != nil:
		answer.Set("error", decision.Err.ErrorField)
	case decision.Denied:
		answer.Set("error", "access_denied")
	default:
		answer.Set("code", "the-code")
	}
	http.Redirect(w, r, redirect.String()+"?"+answer.Encode(), http.StatusSeeOther)
}

// request is an authorization request of the client app; edits come in pairs of name and value, an empty value removes.
func request(edits ...string) string {
	query := url.Values{
		"client_id": {"app"}, "redirect_uri": {callback}, "scope": {"mcp:search"}, "resource": {resource}, "state": {"s&1/ä"},
	}
	for i := 0; i < len(edits); i += 2 {
		query.Set(edits[i], edits[i+1])
	}
	return base + "/authorize?" + query.Encode()
}

func (s *site) wantNoConsent(subject string) {
	s.t.Helper()
	allowed, err := s.store.Consents().Find(s.t.Context(), subject, "app")
	if err != nil || len(allowed) > 0 {
		s.t.Errorf("consent %v, error %v; want none", allowed, err)
	}
}

// with returns a form with further fields.
func with(form url.Values, edits ...string) url.Values {
	changed := url.Values{}
	for name, values := range form {
		changed[name] = values
	}
	for i := 0; i < len(edits); i += 2 {
		changed.Set(edits[i], edits[i+1])
	}
	return changed
}
