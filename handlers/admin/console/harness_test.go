package console_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/admin/console"
	"fosite-mcp/handlers/failures"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
	"golang.org/x/net/html"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const resource = "https://docs.example.com/mcp"

// world is a console in front of an admin API on a real database.
type world struct {
	t       testing.TB
	store   *storage.Store
	db      *gorm.DB
	clock   *clock
	log     *buffer
	oauth   *provider.Provider
	handler http.Handler
	pages   *console.Console
	key     string // of role admin
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

func newWorld(t testing.TB, options ...func(*console.Console)) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := gorm.Open(sqlite.Open("file:"+file+"?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=1"), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, clock: &clock{now: time.Now().UTC().Truncate(time.Millisecond)}, log: &buffer{}, key: admin.NewKey()}
	t.Cleanup(w.breakDatabase)
	w.store = storage.New(db, storage.WithClock(w.clock.Now), storage.WithSessions(&provider.Session{}))
	if err := w.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	resources := provider.Resources{Known: []string{resource}, Default: resource}
	w.oauth, err = provider.New(w.store, provider.Options{
		SystemSecret: []byte(strings.Repeat("s", 32)), Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/token",
		Resources: resources, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	api := &admin.API{
		Store: w.store, NewSecret: client.NewSecret, Hasher: w.oauth.Config.ClientSecretsHasher,
		AccessTokenSignature: w.oauth.Strategy.AccessTokenSignature, RefreshTokenSignature: w.oauth.Strategy.RefreshTokenSignature,
		Rules:     client.Rules{Scopes: []string{"mcp:search", "mcp:write"}, Resources: []string{resource}, DefaultResource: resource},
		Narrow:    resources.Narrow,
		ReplayKey: bytes.Repeat([]byte("r"), 32), Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: w.clock.Now,
		Recorder: failures.NewRecorder(w.store, nil, w.clock.Now),
		Failures: limit.New[netip.Prefix]("address-failures", 3, time.Minute, w.clock.Now),
	}
	if _, _, err := admin.EnsureKey(t.Context(), w.store, w.key); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	if err := api.Mount(router.PathPrefix("/admin/v1").Subrouter()); err != nil {
		t.Fatal(err)
	}
	w.pages = &console.Console{API: api}
	for _, option := range options {
		option(w.pages)
	}
	if err := w.pages.Mount(router); err != nil {
		t.Fatal(err)
	}
	w.handler = router
	return w
}

// breakDatabase closes the database, as an outage does.
func (w *world) breakDatabase() {
	pool, err := w.db.DB()
	if err == nil {
		err = pool.Close()
	}
	if err != nil {
		w.t.Error(err)
	}
}

// newKey stores an admin key, and returns it.
func (w *world) newKey(k audit.AdminKey) string {
	w.t.Helper()
	key := admin.NewKey()
	if err := w.store.AdminKeys().Create(w.t.Context(), &k, key); err != nil {
		w.t.Fatal(err)
	}
	return key
}

// api sends a request to the JSON API over HTTP, with the key of the world.
func (w *world) api(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.key)
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

// events are the audit events with an action.
func (w *world) events(action string) []audit.Event {
	w.t.Helper()
	events, _, err := w.store.Audit().List(w.t.Context(), audit.Filter{Action: action})
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

// browser keeps cookies, as a browser does, and the page that it shows.
type browser struct {
	*world
	cookies map[string]string
	page    *answer
}

// answer is what the server answered.
type answer struct {
	*http.Response
	text string
	root *html.Node
}

func (w *world) browser() *browser { return &browser{world: w, cookies: map[string]string{}} }

// loggedIn is a browser that has logged in with a key.
func (w *world) loggedIn(key string) *browser {
	w.t.Helper()
	b := w.browser()
	b.get("/console/login")
	if b.submit("/console/login", "key", key); b.page.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("the login is answered with %d\n%s", b.page.StatusCode, b.page.text)
	}
	return b
}

func (b *browser) send(r *http.Request) *answer {
	b.t.Helper()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, r)
	b.page = &answer{Response: recorder.Result(), text: recorder.Body.String()}
	for _, cookie := range b.page.Cookies() {
		if b.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	var err error
	if b.page.root, err = html.Parse(strings.NewReader(b.page.text)); err != nil {
		b.t.Fatal(err)
	}
	return b.page
}

func (b *browser) get(path string) *answer {
	b.t.Helper()
	path, _, _ = strings.Cut(path, "#") // browsers keep that to themselves
	return b.send(httptest.NewRequest(http.MethodGet, path, nil))
}

func post(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// submit posts the form of the page that leads to action, with the values of fields: names and values in turn.
func (b *browser) submit(action string, fields ...string) *answer {
	b.t.Helper()
	return b.send(post(action, b.form(action, fields...)))
}

// form is what the form that leads to action holds, with the values of fields.
func (b *browser) form(action string, fields ...string) url.Values {
	b.t.Helper()
	form := b.page.form(action)
	if form == nil {
		b.t.Fatalf("no form leads to %s:\n%s", action, b.page.text)
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

// form is what the form that leads to action holds; nil: there is none.
func (a *answer) form(action string) url.Values {
	for n := range a.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || attribute(n, "action") != action {
			continue
		}
		form := url.Values{}
		for field := range n.Descendants() {
			fill(form, field)
		}
		return form
	}
	return nil
}

func fill(form url.Values, n *html.Node) {
	name := attribute(n, "name")
	_, checked := lookup(n, "checked")
	switch kind := attribute(n, "type"); {
	case name == "" || n.Type != html.ElementNode:
	case n.Data == "input" && (kind != "checkbox" && kind != "radio" || checked):
		form.Add(name, attribute(n, "value"))
	case n.Data == "textarea" && n.FirstChild != nil:
		form.Add(name, n.FirstChild.Data)
	case n.Data == "select":
		for option := range n.Descendants() {
			if _, selected := lookup(option, "selected"); selected {
				form.Add(name, attribute(option, "value"))
			}
		}
	}
}

func attribute(node *html.Node, name string) string {
	value, _ := lookup(node, name)
	return value
}

func lookup(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// want ends the test unless the answer has this status and holds these texts.
func (a *answer) want(t testing.TB, status int, texts ...string) *answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d\n%s", a.StatusCode, status, a.text)
	}
	for _, text := range texts {
		if !strings.Contains(a.text, text) {
			t.Errorf("the page does not say %q:\n%s", text, a.text)
		}
	}
	return a
}

// client registers a client at the API, and returns its id.
func (w *world) client(body string) string {
	w.t.Helper()
	answer := w.api(http.MethodPost, "/clients", body)
	id := regexp.MustCompile(`"client_id":"([^"]+)"`).FindStringSubmatch(answer.Body.String())
	if answer.Code != http.StatusCreated || id == nil {
		w.t.Fatalf("status %d\n%s", answer.Code, answer.Body)
	}
	return id[1]
}

// link is where the link with this text leads; "": there is none.
func (a *answer) link(text string) string {
	for n := range a.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && textOf(n) == text {
			return attribute(n, "href")
		}
	}
	return ""
}

func textOf(node *html.Node) string {
	var b strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}
