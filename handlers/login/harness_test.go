package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/login"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"golang.org/x/net/html"
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
	login   *login.Server
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
		Origin: origin, BasePath: base, Key: []byte(strings.Repeat("k", 32)), Sessions: s.store, Consents: s.store,
		Local:     &login.Local{Accounts: s.store, Hasher: quickHasher{}},
		Scopes:    map[string]string{"mcp:search": "Search the documentation and read its pages"},
		Resources: map[string]string{resource: "Documentation"},
		Log:       slog.New(slog.NewTextHandler(&s.log, nil)),
		Now:       func() time.Time { return s.clock },
	}
	for _, change := range options {
		change(&o)
	}
	if s.login, err = login.New(o); err != nil {
		t.Fatal(err)
	}
	s.router = mux.NewRouter()
	endpoints := s.router.PathPrefix(base).Subrouter()
	s.login.Mount(endpoints)
	endpoints.HandleFunc("/authorize", s.authorize)
	s.client("app", callback)
	return s
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

func openSQLite(t *testing.T) *gorm.DB {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=5000&_foreign_keys=1"
	db, err := gorm.Open(sqlite.Open(dsn))
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
	c := &storage.Client{ID: id, Name: "The " + id, Scope: []string{"mcp:search"}, RedirectURIs: redirects, TokenEndpointAuthMethod: "none"}
	if err := s.store.CreateClient(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) user(name string, groups ...string) *storage.User {
	s.t.Helper()
	hash, err := login.HashPassword(s.t.Context(), quickHasher{}, password)
	if err != nil {
		s.t.Fatal(err)
	}
	u := &storage.User{Username: name, PasswordHash: hash, Groups: groups}
	if err := s.store.CreateUser(s.t.Context(), u); err != nil {
		s.t.Fatal(err)
	}
	return u
}

// authorize plays the authorize endpoint: everything in the request is taken as valid.
func (s *site) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	client, err := s.store.GetClient(r.Context(), query.Get("client_id"))
	if errors.Is(err, fosite.ErrNotFound) {
		s.login.ErrorPage(w, r, http.StatusBadRequest, fosite.ErrInvalidClient)
		return
	}
	redirect, _ := url.Parse(query.Get("redirect_uri"))
	request := s.asked
	if err != nil { // the client was read, the outage begins here
		client = &storage.Client{ID: query.Get("client_id")}
	}
	if request.Client == nil {
		request.Client = client
	}
	request.RedirectURI = redirect
	request.Scopes = strings.Fields(query.Get("scope"))
	request.Resources = query["resource"]
	request.Prompt = strings.Fields(query.Get("prompt"))
	decision, err := s.login.Authorize(w, r, request)
	switch {
	case err != nil:
		s.login.ErrorPage(w, r, http.StatusServiceUnavailable, err)
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

// browser keeps cookies and follows redirects within the site.
type browser struct {
	site    *site
	cookies map[string]string
	peer    string
	header  http.Header // sent with every request
	at      string      // path and query of the page it shows
	page    *html.Node
	body    string
	answer  *http.Response
}

func (s *site) browser() *browser {
	return &browser{site: s, cookies: map[string]string{}, peer: "198.51.100.7:40000", header: http.Header{}}
}

func (b *browser) get(target string) *browser { return b.send(http.MethodGet, target, nil, nil) }

// send makes one request and follows redirects as long as they stay here; the last answer stays in b.
func (b *browser) send(method, target string, form url.Values, header http.Header) *browser {
	b.site.t.Helper()
	for range 10 {
		b.once(method, target, form, header)
		location := b.answer.Header.Get("Location")
		if b.answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, "/") {
			return b
		}
		method, target, form, header = http.MethodGet, location, nil, nil
	}
	b.site.t.Fatalf("too many redirects, the last to %s", target)
	return b
}

// once makes one request and follows nothing.
func (b *browser) once(method, target string, form url.Values, header http.Header) *browser {
	b.site.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Host, r.RemoteAddr = "auth.example.com", b.peer
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, extra := range []http.Header{b.header, header} {
		for name, values := range extra {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.router.ServeHTTP(w, r)
	b.answer, b.body, b.at = w.Result(), w.Body.String(), target
	for _, cookie := range b.answer.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
			continue
		}
		b.cookies[cookie.Name] = cookie.Value
	}
	b.page, _ = html.Parse(strings.NewReader(b.body))
	return b
}

// fields are the inputs of the page's form with this action, as the browser would send them.
func (b *browser) fields(action string) url.Values {
	b.site.t.Helper()
	for form := range elements(b.page, "form") {
		if attribute(form, "action") != base+action {
			continue
		}
		values := url.Values{}
		for input := range elements(form, "input") {
			values.Set(attribute(input, "name"), attribute(input, "value"))
		}
		return values
	}
	b.site.t.Fatalf("%s (status %d) has no form for %s:\n%s", b.at, b.answer.StatusCode, action, b.body)
	return nil
}

// submit fills in and sends the page's form with this action.
func (b *browser) submit(action string, edits ...string) *browser {
	b.site.t.Helper()
	values := b.fields(action)
	for i := 0; i < len(edits); i += 2 {
		values.Set(edits[i], edits[i+1])
	}
	return b.send(http.MethodPost, base+action, values, nil)
}

func (b *browser) logIn(name string) *browser {
	b.site.t.Helper()
	return b.submit("/login", "username", name, "password", password)
}

func (b *browser) session() string { return b.cookies["__Host-fosite_mcp_session"] }

// wantPage checks status and heading of what the browser shows.
func (b *browser) wantPage(status int, heading string) *browser {
	b.site.t.Helper()
	var got string
	for h1 := range elements(b.page, "h1") {
		got = strings.TrimSpace(text(h1))
	}
	if b.answer.StatusCode != status || got != heading {
		b.site.t.Fatalf("%s: status %d, heading %q; want %d, %q\n%s", b.at, b.answer.StatusCode, got, status, heading, b.body)
	}
	return b
}

// wantClient checks that the browser was sent to the client with this parameter.
func (b *browser) wantClient(redirect, name, value string) *browser {
	b.site.t.Helper()
	location := b.answer.Header.Get("Location")
	u, err := url.Parse(location)
	if err != nil || b.answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, redirect+"?") || u.Query().Get(name) != value {
		b.site.t.Fatalf("%s: status %d, sent to %q; want %s with %s=%s\n%s", b.at, b.answer.StatusCode, location, redirect, name, value, b.body)
	}
	if got := u.Query().Get("state"); got != "s&1/ä" {
		b.site.t.Fatalf("state came back as %q", got)
	}
	return b
}

func (s *site) wantNoConsent(subject string) {
	s.t.Helper()
	allowed, err := s.store.FindConsent(s.t.Context(), subject, "app")
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
