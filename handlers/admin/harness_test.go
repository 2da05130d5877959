package admin_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const (
	resource      = "https://docs.example.com/mcp"
	otherResource = "https://other.example.com/mcp"
)

// world is an admin API on a real database, with everything a test may want to look at.
type world struct {
	t        testing.TB
	store    *storage.Store
	db       *gorm.DB
	file     string // of the SQLite database
	clock    *clock
	log      *buffer
	provider *provider.Provider
	server   *admin.API
	handler  http.Handler
	key      string    // of role admin
	document *document // nil: openapi.json
	seen     sync.Map  // answers, as document.documented lists them
	counter  int
}

// clock is a time that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// buffer is a log that may be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// onEveryEngine runs a test on SQLite, and on PostgreSQL where there is one.
func onEveryEngine(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newWorld(t)) })
	if url := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); url != "" {
		t.Run("postgres", func(t *testing.T) { test(t, newWorldOn(t, openPostgres(t, url), "")) })
	}
}

func newWorld(t testing.TB) *world {
	file := filepath.Join(t.TempDir(), "test.db")
	return newWorldOn(t, sqlite.Open("file:"+file+"?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=1"), file)
}

// openPostgres gives a test a schema of its own.
func openPostgres(t testing.TB, url string) gorm.Dialector {
	t.Helper()
	root, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	schema := "admin_" + strings.ToLower(rand.Text())
	if err := root.Exec("CREATE SCHEMA " + schema).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		root.Exec("DROP SCHEMA " + schema + " CASCADE")
		closeDB(t, root)
	})
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return postgres.Open(url + separator + "search_path=" + schema)
}

func closeDB(t testing.TB, db *gorm.DB) {
	t.Helper()
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
}

// newWorldOn makes a world; one whose clients are a host's is mounted by whoever asked for it.
func newWorldOn(t testing.TB, dialector gorm.Dialector, file string, options ...storage.Option) *world {
	t.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	w := &world{t: t, db: db, file: file, clock: &clock{now: time.Now().UTC().Truncate(time.Millisecond)}, log: &buffer{}, key: admin.NewKey()}
	options = append(options, storage.WithClock(w.clock.Now), storage.WithSessions(&provider.Session{}))
	w.store = storage.New(db, options...)
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	resources := provider.Resources{Known: []string{resource, otherResource}, Default: resource}
	w.provider, err = provider.New(w.store, provider.Options{
		SystemSecret: []byte(strings.Repeat("s", 32)), Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/token",
		Resources: resources, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = &admin.API{
		Store: w.store, NewSecret: client.NewSecret, Hasher: w.provider.Config.ClientSecretsHasher,
		AccessTokenSignature:  w.provider.Strategy.AccessTokenSignature,
		RefreshTokenSignature: w.provider.Strategy.RefreshTokenSignature,
		Rules:                 client.Rules{Scopes: []string{"mcp:search", "mcp:write"}, Resources: []string{resource, otherResource}, DefaultResource: resource},
		Narrow:                resources.Narrow,
		CheckpointKey:         bytes.Repeat([]byte("c"), 32),
		ReplayKey:             bytes.Repeat([]byte("r"), 32), Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: w.clock.Now,
	}
	if w.store.KeepsClients() {
		if _, _, err := admin.EnsureKey(t.Context(), w.store, w.key); err != nil {
			t.Fatal(err)
		}
		w.mount()
	}
	return w
}

func (w *world) mount() {
	router := mux.NewRouter().SkipClean(true)
	if err := w.server.Mount(router.PathPrefix("/admin/v1").Subrouter()); err != nil {
		w.t.Fatal(err)
	}
	w.handler = router
}

// call is a request to the admin API.
type call struct {
	method, path string
	body         string
	header       map[string]string // replaces what is set by default; an empty value removes it
}

// reply is an answer of the admin API.
type reply struct {
	*http.Response
	text string
	json map[string]any
}

func (w *world) do(c call) *reply {
	w.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequest(c.method, "/admin/v1"+c.path, body)
	r.Header.Set("Authorization", "Bearer "+w.key)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	answer := &reply{Response: recorder.Result(), text: recorder.Body.String()}
	if strings.Contains(answer.Header.Get("Content-Type"), "json") && !strings.Contains(answer.Header.Get("Content-Type"), "ndjson") && c.method != http.MethodHead {
		if err := json.Unmarshal([]byte(answer.text), &answer.json); err != nil {
			w.t.Errorf("%s %s: the body is not JSON: %v\n%s", c.method, c.path, err, answer.text)
		}
	}
	w.checkAgainstDocument(c, answer)
	return answer
}

func (w *world) get(path string) *reply { w.t.Helper(); return w.do(call{method: "GET", path: path}) }

func (w *world) post(path, body string) *reply {
	w.t.Helper()
	return w.do(call{method: "POST", path: path, body: body})
}

func (w *world) delete(path string) *reply {
	w.t.Helper()
	return w.do(call{method: "DELETE", path: path})
}

func (w *world) patch(path, etag, body string) *reply {
	w.t.Helper()
	return w.do(call{method: "PATCH", path: path, body: body, header: map[string]string{"If-Match": etag, "Content-Type": "application/merge-patch+json"}})
}

// want ends the test unless the answer has this status.
func (r *reply) want(t testing.TB, status int) *reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d\n%s", r.StatusCode, status, r.text)
	}
	return r
}

func (r *reply) str(name string) string { s, _ := r.json[name].(string); return s }

func (r *reply) items() []map[string]any {
	array, _ := r.json["items"].([]any)
	items := make([]map[string]any, len(array))
	for i := range array {
		items[i], _ = array[i].(map[string]any)
	}
	return items
}

// problems are the mistakes of an answer: pointer to code.
func (r *reply) problems() map[string]string {
	array, _ := r.json["errors"].([]any)
	problems := map[string]string{}
	for _, entry := range array {
		mistake, _ := entry.(map[string]any)
		problems[fmt.Sprint(mistake["pointer"])] = fmt.Sprint(mistake["code"])
	}
	return problems
}

// client registers a client and returns its id and secret.
func (w *world) client(body string) (id, secret string) {
	w.t.Helper()
	created := w.post("/clients", body).want(w.t, http.StatusCreated)
	return created.str("client_id"), created.str("client_secret")
}

// token gets a token at the token endpoint; problem is the OAuth error when there is none.
func (w *world) token(id, secret string, basic bool) (token, problem string) {
	w.t.Helper()
	form := "grant_type=client_credentials"
	if !basic {
		form += "&client_id=" + id + "&client_secret=" + secret
	}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth(id, secret)
	}
	request, err := w.provider.NewAccessRequest(r.Context(), r, provider.NewSession())
	if err != nil {
		return "", err.Error()
	}
	response, err := w.provider.NewAccessResponse(r.Context(), request)
	if err != nil {
		return "", err.Error()
	}
	return response.GetAccessToken(), ""
}

func (w *world) mustToken(id, secret string) string {
	w.t.Helper()
	token, problem := w.token(id, secret, true)
	if problem != "" {
		w.t.Fatalf("no token for %s: %s", id, problem)
	}
	return token
}

// active tells what introspection says.
func (w *world) active(token string) bool {
	_, _, err := w.provider.IntrospectToken(context.Background(), token, "access_token", provider.NewSession())
	return err == nil
}
