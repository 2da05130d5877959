package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

const (
	issuer        = "https://auth.example.com"
	docs          = "https://docs.example.com/authed/mcp"
	other         = "https://other.example.com/mcp"
	origin        = "https://origin.example.com"
	basePath      = "/authed/mcp/oauth"
	twoWeeks      = 1209600
	contentForm   = "application/x-www-form-urlencoded"
	contentJSON   = "application/json"
	hostileSuffix = "x"
)

// fixture is the endpoints on a real store, with a clock and a database that tests control.
type fixture struct {
	t      testing.TB
	store  *storage.Store
	oauth  *provider.Provider
	router http.Handler
	clock  time.Time
	close  func() error
	db     *gorm.DB
	grace  time.Duration // of rotated refresh tokens
	change func(*provider.Options)
	// decide stands in for the login page; asked is what it was asked last.
	decide         func(w http.ResponseWriter) (*handlers.Decision, error)
	asked          handlers.AuthorizationRequest
	resourceServer string                       // secret of the client that inspect asks as
	hooks          []provider.IntrospectionHook // set before serve
	fill           func(context.Context, fosite.Requester) error
	keys           *provider.SigningKeys // of JWTs
	signed         *handlers.SignedIntrospection
	missing        []fosite.TokenType                                     // kinds of tokens that were made with a missing secret
	stopping       chan struct{}                                          // closed: the server stops
	changes        func(cursor string, limit int) handlers.RevocationPage // the feed, in place of the store's
}

// newFixture makes a fixture on SQLite. Edits change it before it is built.
func newFixture(t testing.TB, edits ...func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: time.Now(), grace: time.Minute}
	for _, edit := range edits {
		edit(f)
	}
	if f.db == nil {
		dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_foreign_keys=1"
		f.open(sqlite.Open(dsn))
	}
	f.store = storage.New(f.db, storage.WithSessions(&provider.Session{}), storage.WithRefreshGrace(f.grace),
		storage.WithClock(func() time.Time { return f.clock }))
	if err := f.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.serve(f.store)
	t.Cleanup(f.checkClients)
	return f
}

func (f *fixture) open(dialector gorm.Dialector) {
	f.t.Helper()
	db, err := gorm.Open(dialector)
	if err != nil {
		f.t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		f.t.Fatal(err)
	}
	f.db, f.close = db, pool.Close
	f.t.Cleanup(func() { _ = pool.Close() })
}

// Authorize implements [handlers.Login]: without a decide, alice allows everything.
func (f *fixture) Authorize(w http.ResponseWriter, _ *http.Request, request handlers.AuthorizationRequest) (*handlers.Decision, error) {
	f.asked = request
	if f.decide != nil {
		return f.decide(w)
	}
	return &handlers.Decision{Subject: "u1", Username: "alice", Groups: []string{"staff"}, AuthenticatedAt: loggedInAt}, nil
}

var loggedInAt = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// serve builds the endpoints on a store, which may be a decorated one.
func (f *fixture) serve(store fosite.Storage) {
	f.t.Helper()
	options := provider.Options{
		SystemSecret: []byte(strings.Repeat("s", 32)),
		Issuer:       issuer,
		TokenURL:     issuer + basePath + "/token",
		Hooks:        f.hooks,
		Resources:    provider.Resources{Known: []string{docs, other, origin}, Default: docs},
		Now:          func() time.Time { return f.clock },
	}
	if f.change != nil {
		f.change(&options)
	}
	oauth, err := provider.New(store, options)
	if err != nil {
		f.t.Fatal(err)
	}
	router := mux.NewRouter()
	err = (&handlers.Server{
		Provider:            oauth,
		NewSession:          func() fosite.Session { return provider.NewSession() },
		Issuer:              issuer,
		Login:               f,
		SignedIntrospection: f.signed,
		ForwardAuth:         &handlers.ForwardAuth{Resources: []string{docs, other, origin}, Default: docs},
		FillSession: func(ctx context.Context, request fosite.Requester) error {
			if f.fill == nil {
				return nil
			}
			return f.fill(ctx, request)
		},
		TokenID: func(ctx context.Context, token string) string {
			return storage.TokenID(oauth.Strategy.AccessTokenSignature(ctx, token))
		},
		ReadAhead: func(ctx context.Context, token string) context.Context {
			ctx, signature := oauth.Strategy.WithToken(ctx, token)
			return storage.ReadAhead(ctx, signature)
		},
		Revocations: f.revocations(),
		Log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:         func() time.Time { return f.clock },
	}).Mount(router.PathPrefix(basePath).Subrouter())
	if err != nil {
		f.t.Fatal(err)
	}
	handlers.MountHealth(router, f.store.Ping)
	f.oauth, f.router = oauth, router
}

// client registers a client and returns its secret. Edits change the machine client it starts from.
func (f *fixture) client(id string, edits ...func(*client.Client)) (secret string) {
	f.t.Helper()
	secret = client.NewSecret()
	hash, err := f.oauth.Config.ClientSecretsHasher.Hash(f.t.Context(), []byte(secret))
	if err != nil {
		f.t.Fatal(err)
	}
	c := &client.Client{
		ID: id, Name: "The " + id, Scope: []string{"mcp:search"}, Audience: []string{docs},
		GrantTypes: []string{"client_credentials"}, TokenEndpointAuthMethod: "client_secret_basic",
		Secrets: []client.Secret{{Hash: hash}},
	}
	for _, edit := range edits {
		edit(c)
	}
	if err := f.store.Clients().Create(f.t.Context(), c); err != nil {
		f.t.Fatal(err)
	}
	return secret
}

func introspects(resources ...string) func(*client.Client) {
	return func(c *client.Client) { c.Introspects = resources }
}

// request is a call of an endpoint; parameters go name, value, name, value.
type request struct {
	method, path, contentType, body string
	header                          http.Header
}

func post(path string, parameters ...string) *request {
	form := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		form.Add(parameters[i], parameters[i+1])
	}
	return &request{http.MethodPost, basePath + path, contentForm, form.Encode(), http.Header{}}
}

func (r *request) basic(id, secret string) *request {
	req := &http.Request{Header: r.header}
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

func (f *fixture) do(r *request) answer {
	f.t.Helper()
	req := httptest.NewRequestWithContext(f.t.Context(), r.method, r.path, strings.NewReader(r.body))
	req.Header = r.header
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	w := httptest.NewRecorder()
	f.router.ServeHTTP(w, req)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.json)
	return a
}

// token gets a token for a client, by Basic.
func (f *fixture) token(id, secret string, parameters ...string) string {
	f.t.Helper()
	a := f.do(post("/token", append([]string{"grant_type", "client_credentials"}, parameters...)...).basic(id, secret))
	token, _ := a.json["access_token"].(string)
	if a.status != http.StatusOK || token == "" {
		f.t.Fatalf("no token: %d %s", a.status, a.text)
	}
	return token
}

// introspect asks about a token as a client.
func (f *fixture) introspect(id, secret, token string) answer {
	f.t.Helper()
	return f.do(post("/introspect", "token", token).basic(id, secret))
}

const inactive = `{"active":false}`
