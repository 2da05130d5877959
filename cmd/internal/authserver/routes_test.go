package authserver

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/config"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/storage"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
)

// listener is the handler of one listener, and what it leaves behind.
type listener struct {
	handler  *front
	observer *observe.Observer
	log      *bytes.Buffer
}

// testConfig is the configuration of a server with its data in a folder of the test's, and free ports.
func testConfig(t *testing.T, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load("", append([]string{
		"FOSITE_MCP_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0",
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// listeners are those of a server where everything is switched on.
func listeners(t *testing.T, environ ...string) map[string]listener {
	t.Helper()
	cfg := testConfig(t, append(environ, `FOSITE_MCP_LOGIN_METHODS=["local"]`, "FOSITE_MCP_PUBLIC_URL=http://127.0.0.1:8080",
		`FOSITE_MCP_ALLOWED_HOSTS=["example.com"]`)...) // which httptest asks
	db, pool, err := database.Open(cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := systemSecrets{current: bytes.Repeat([]byte("s"), 32)}
	var log bytes.Buffer
	s := &Instance{Config: cfg, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	public, admin := observe.New(s.Log, pool), observe.New(s.Log, pool)
	keys, err := newSigningKeys(store, cfg, secret)
	if err != nil {
		t.Fatal(err)
	}
	p := &parts{cfg: cfg, log: s.Log, store: store, secrets: secret, observer: public, limits: newLimits(cfg, public), keys: keys, end: newEnding(), clock: &clock{}}
	if err := p.makeProvider(nil); err != nil {
		t.Fatal(err)
	}
	publicRouter, err := p.publicRouter()
	if err != nil {
		t.Fatal(err)
	}
	ofAdmin := *p
	ofAdmin.observer = admin
	adminRouter, err := ofAdmin.adminRouter()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]listener{
		"public": {publicRouter, public, &log},
		"admin":  {adminRouter, admin, &log},
	}
}

// paths are the paths that a listener has routes for, with an id for each variable.
func (l listener) paths(t *testing.T) (paths []string) {
	t.Helper()
	err := l.handler.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := route.GetPathTemplate()
		if err == nil && route.GetHandler() != nil && !strings.HasSuffix(template, "/") {
			paths = append(paths, strings.NewReplacer("{client_id}", "ci", "{secret_id}", "s1").Replace(template))
		}
		return nil
	})
	if err != nil || len(paths) < 10 {
		t.Fatalf("routes %v, error %v", paths, err)
	}
	return paths
}

func (l listener) do(method, path string) *httptest.ResponseRecorder {
	l.log.Reset()
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// refused counts the requests with status 401 or 404 that the metric knows.
func (l listener) refused(t *testing.T) (n uint64) {
	t.Helper()
	families, err := l.observer.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "fosite_mcp_http_request_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "status" && (label.GetValue() == "401" || label.GetValue() == "404") {
					n += metric.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return n
}

// A path that is written in another way is another path, at which there is nothing. A redirect would make a POST a GET,
// and a decoded slash would reach what stands behind an id.
func TestNoOtherSpellingOfAPathReachesAnything(t *testing.T) {
	for name, l := range listeners(t) {
		var spellings []string
		for _, path := range l.paths(t) {
			parent, last := path[:strings.LastIndex(path, "/")], path[strings.LastIndex(path, "/")+1:]
			spellings = append(spellings, "/"+path, path+"/", path+"//", path+"/.", path+"/%2E", path+"%2F", parent+"//"+last, parent+"/./"+last,
				parent+"/x/../"+last, parent+"/x/%2E%2E/"+last, "/%2F"+last, "/x%2F.."+path, "/."+path, path+";v=1", path+"%00")
			if parent != "" {
				spellings = append(spellings, parent+"%2F"+last, parent+"%2f"+last, parent+"%252F"+last)
			}
		}
		before := l.refused(t)
		for _, path := range spellings {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				w := l.do(method, path)
				// The admin API tells strangers nothing, not even what is missing.
				if w.Code != http.StatusNotFound && w.Code != http.StatusUnauthorized {
					t.Errorf("%s listener, %s %s: status %d, Location %q", name, method, path, w.Code, w.Header().Get("Location"))
				}
				l.checkRefusal(t, method+" "+path, w)
			}
		}
		if counted, want := l.refused(t)-before, uint64(3*len(spellings)); counted != want {
			t.Errorf("%s listener: the metric knows %d requests of %d", name, counted, want)
		}
	}
}

// The front remembers the handler of a path. A route that looks at the method or the host would get the requests of others.
func TestARouteLooksAtNothingButThePath(t *testing.T) {
	for name, l := range listeners(t) {
		err := l.handler.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
			methods, _ := route.GetMethods()
			queries, _ := route.GetQueriesTemplates()
			host, _ := route.GetHostTemplate()
			if len(methods) > 0 || len(queries) > 0 || host != "" {
				t.Errorf("%s listener, %s: methods %q, queries %q, host %q", name, templateOf(route), methods, queries, host)
			}
			return nil
		})
		if err != nil || len(l.handler.fixed) < 10 {
			t.Errorf("%s listener: %d paths are known, error %v", name, len(l.handler.fixed), err)
		}
	}
}

// Whoever waits for revocations may wait longer. A request has a deadline whatever its path is, even without one (CONNECT).
func TestARequestHasADeadline(t *testing.T) {
	root := newRouter()
	hurried := map[string]bool{}
	answer := func(_ http.ResponseWriter, r *http.Request) { _, hurried[r.RequestURI] = r.Context().Deadline() }
	root.HandleFunc("/mcp/revocations", answer)
	root.HandleFunc("/mcp/{id}", answer)
	root.NewRoute().HandlerFunc(answer)
	for unhurried, want := range map[string]map[string]bool{
		"/mcp/revocations": {"/mcp/revocations": false, "/mcp/other": true, "/": true, "example.com:443": true},
		"":                 {"/mcp/revocations": true, "/mcp/other": true, "/": true, "example.com:443": true},
	} {
		f, err := (&parts{observer: observe.New(slog.New(slog.DiscardHandler), nil), end: newEnding()}).newFront(root, clientaddr.Peer)
		if err != nil {
			t.Fatal(err)
		}
		f.unhurried = unhurried
		for path := range want {
			method := http.MethodGet
			if path[0] != '/' {
				method = http.MethodConnect
			}
			f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		}
		if diff := cmp.Diff(want, hurried); diff != "" {
			t.Errorf("unhurried %q: has a deadline (-want +got):\n%s", unhurried, diff)
		}
	}
}

func TestTheConsoleCanBeSwitchedOff(t *testing.T) {
	for setting, want := range map[string]int{"true": http.StatusOK, "false": http.StatusNotFound} {
		admin := listeners(t, "FOSITE_MCP_ADMIN_CONSOLE="+setting)["admin"]
		for _, path := range []string{"/console/login", "/console/style.css"} {
			if w := admin.do(http.MethodGet, path); w.Code != want {
				t.Errorf("admin.console: %s, %s: status %d, want %d", setting, path, w.Code, want)
			}
		}
	}
}

func TestAWrongMethodNamesTheRightOnes(t *testing.T) {
	for name, l := range listeners(t) {
		for _, path := range l.paths(t) {
			w := l.do("BREW", path)
			if name == "admin" && w.Code == http.StatusUnauthorized {
				continue // strangers learn nothing
			}
			if path == base+"verify" {
				continue // takes the method of whatever request a proxy holds back
			}
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
				t.Errorf("%s listener, %s: status %d, Allow %q", name, path, w.Code, w.Header().Get("Allow"))
			}
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				l.checkRefusal(t, path, w)
			}
		}
	}
}

// checkRefusal finds a refusal in JSON, or the console's page for logging in, with an id that is in the log as well.
func (l listener) checkRefusal(t *testing.T, at string, w *httptest.ResponseRecorder) {
	t.Helper()
	var body map[string]any
	if loginPage := strings.Contains(w.Body.String(), `action="/console/login"`); loginPage && w.Code == http.StatusUnauthorized {
		at += " (console)"
	} else if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["error"] == nil && body["title"] == nil {
		t.Errorf("%s: %d %s %q, want an error in JSON", at, w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if id := w.Header().Get("X-Request-Id"); id == "" || !strings.Contains(l.log.String(), "request_id="+id) {
		t.Errorf("%s: request id %q, log:\n%s", at, id, l.log)
	}
}
