package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// standing is what the server has promised about a token or a client.
type standing int

const (
	unsettled standing = iota // a change was asked for and not acknowledged: it may have happened or not
	alive
	dead
)

func (s standing) String() string { return [...]string{"unsettled", "alive", "dead"}[s] }

// tenant is a client as its owner remembers it.
type tenant struct {
	id, secret string
	standing   standing
}

// issued is a token as its owner remembers it.
type issued struct {
	token    string
	owner    *tenant
	standing standing
}

// expected is what introspection must say.
func (i *issued) expected() standing {
	switch {
	case i.standing == dead || i.owner.standing == dead:
		return dead
	case i.standing == alive && i.owner.standing == alive:
		return alive
	}
	return unsettled
}

// exchange is one request of the traffic and what came of it.
type exchange struct {
	what           string
	started, ended time.Time
	status         int
	header         http.Header
	body           map[string]any
	err            error // no HTTP answer
}

// String leaves out what an answer may hold that is secret.
func (e *exchange) String() string {
	return fmt.Sprintf("%s answered %d, active %v, error %v %v, Retry-After %q; %v", e.what, e.status, e.body["active"],
		e.body["error"], e.body["error_description"], e.header.Get("Retry-After"), e.err)
}

// traffic is what a few machines and an administrator do to a server, and the ledger of what they were promised.
type traffic struct {
	s        *server
	http     *http.Client // keeps connections open, as busy clients do
	key      string       // of the admin API
	machine  *tenant      // whose tokens come and go
	checker  *tenant      // resource server of every token
	observe  func(exchange)
	width    int // machines at work; 5 at least
	mu       sync.Mutex
	promises int // acknowledged by the server
	tokens   []*issued
	tenants  []*tenant
	ctx      context.Context
	cancel   context.CancelFunc
	workers  sync.WaitGroup
}

// newTraffic prepares traffic to a running server. observe sees every exchange, from several goroutines; nil: nobody.
func newTraffic(t *testing.T, s *server, key string, observe func(exchange)) *traffic {
	t.Helper()
	w := &traffic{s: s, key: key, observe: observe, machine: new(tenant), checker: new(tenant),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: time.Minute}}
	for name, c := range map[string]struct {
		tenant *tenant
		body   string
	}{
		"machine":  {w.machine, `{"client_name":"machine"}`},
		"resource": {w.checker, fmt.Sprintf(`{"client_name":"resource","introspects":[%q]}`, s.setting("PUBLIC_URL", "http://"+s.public)+"/authed/mcp")},
	} {
		e := w.admin("create", http.MethodPost, "/clients", c.body)
		if e.status != http.StatusCreated {
			t.Fatalf("%s: %v", name, &e)
		}
		*c.tenant = tenant{e.body["client_id"].(string), e.body["client_secret"].(string), alive}
	}
	t.Cleanup(w.stop)
	return w
}

// setting is what the server was told in the environment.
func (s *server) setting(name, otherwise string) string {
	for _, entry := range s.environment {
		if value, found := strings.CutPrefix(entry, "FOSITE_MCP_"+name+"="); found {
			return value
		}
	}
	return otherwise
}

// run starts the traffic; it goes on until stop, or until a request gets no answer.
func (w *traffic) run() {
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for range max(w.width, 5) {
		w.workers.Go(func() { w.repeat(w.issueAndRevoke) })
	}
	w.workers.Go(func() { w.repeat(w.manage) })
}

// stop ends the traffic after the requests that are under way.
func (w *traffic) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.workers.Wait()
	w.http.CloseIdleConnections()
}

// repeat does one thing over and over, with a breath after each refusal.
func (w *traffic) repeat(do func() exchange) {
	for w.ctx.Err() == nil {
		e := do()
		switch {
		case e.err != nil:
			return
		case e.status == http.StatusServiceUnavailable:
			select {
			case <-w.ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// issueAndRevoke gets a token, looks at it, and revokes every other one.
func (w *traffic) issueAndRevoke() exchange {
	token, e := w.issue(w.machine)
	if token == nil {
		return e
	}
	if e = w.introspect(token); e.status != http.StatusOK || rand.IntN(2) == 0 {
		return e
	}
	w.settle(&token.standing, unsettled)
	e = w.post("revoke", w.machine, "/revoke", "token", token.token)
	if e.status == http.StatusOK {
		w.settle(&token.standing, dead)
	}
	return e
}

// manage registers a client, and disables or deletes two of three.
func (w *traffic) manage() exchange {
	e := w.admin("create", http.MethodPost, "/clients", `{"client_name":"ci"}`)
	if e.status != http.StatusCreated {
		return e
	}
	client := &tenant{id: e.body["client_id"].(string), secret: e.body["client_secret"].(string)}
	w.mu.Lock()
	w.tenants = append(w.tenants, client)
	w.mu.Unlock()
	w.settle(&client.standing, alive)
	if token, e := w.issue(client); token == nil {
		return e
	}
	switch rand.IntN(3) {
	case 0:
		w.settle(&client.standing, unsettled)
		e = w.admin("disable", http.MethodPost, "/clients/"+client.id+"/disable", "")
	case 1:
		w.settle(&client.standing, unsettled)
		e = w.admin("delete", http.MethodDelete, "/clients/"+client.id, "")
	default:
		return e
	}
	if e.status/100 == 2 {
		w.settle(&client.standing, dead)
	}
	return e
}

// settle notes a promise.
func (w *traffic) settle(what *standing, s standing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*what = s
	if s != unsettled {
		w.promises++
	}
}

// promised tells how much the server has acknowledged so far.
func (w *traffic) promised() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.promises
}

// awaitPromises returns once the server has acknowledged n more changes.
func (w *traffic) awaitPromises(t *testing.T, n int) {
	t.Helper()
	target := w.promised() + n
	for deadline := time.Now().Add(30 * time.Second); w.promised() < target; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %d changes within 30 s\n%s", n, w.s.stderr)
		}
	}
}

func (w *traffic) issue(client *tenant) (*issued, exchange) {
	e := w.post("token", client, "/token", "grant_type", "client_credentials")
	value, _ := e.body["access_token"].(string)
	if e.status != http.StatusOK || value == "" {
		return nil, e
	}
	token := &issued{token: value, owner: client}
	w.mu.Lock()
	w.tokens = append(w.tokens, token)
	w.mu.Unlock()
	w.settle(&token.standing, alive)
	return token, e
}

func (w *traffic) introspect(token *issued) exchange {
	return w.post("introspect", w.checker, "/introspect", "token", token.token)
}

// post sends a form to an OAuth endpoint.
func (w *traffic) post(what string, client *tenant, path string, parameters ...string) exchange {
	form := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	return w.send(what, http.MethodPost, w.s.endpoints+path, form.Encode(), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(client.id, client.secret)
	})
}

func (w *traffic) admin(what, method, path, body string) exchange {
	return w.send(what, method, "http://"+w.s.admin+"/admin/v1"+path, body, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+w.key)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if method == http.MethodDelete {
			r.Header.Set("If-Match", "*")
		}
	})
}

func (w *traffic) send(what, method, target, body string, prepare func(*http.Request)) exchange {
	e := exchange{what: what, started: time.Now()}
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		panic(err) // the targets are ours
	}
	prepare(r)
	response, err := w.http.Do(r)
	if err == nil {
		var content []byte
		content, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		_ = json.Unmarshal(content, &e.body)
		e.status, e.header = response.StatusCode, response.Header
	}
	e.ended, e.err = time.Now(), err
	if w.observe != nil {
		w.observe(e)
	}
	return e
}

// verify fails the test for every promise since the given token and client that the server does not keep. Call it
// while no traffic runs.
func (w *traffic) verify(t *testing.T, fromToken, fromTenant int) {
	t.Helper()
	observe := w.observe
	w.observe = nil
	defer func() { w.observe = observe }()
	inParallel(w.tokens[fromToken:], func(token *issued) {
		want := token.expected()
		if want == unsettled {
			return
		}
		e := w.introspect(token)
		if active, ok := e.body["active"].(bool); e.status != http.StatusOK || !ok || active != (want == alive) {
			t.Errorf("a token that is %v, of a client that is %v: %v", token.standing, token.owner.standing, &e)
		}
	})
	inParallel(w.tenants[fromTenant:], func(client *tenant) {
		e := w.post("token", client, "/token", "grant_type", "client_credentials")
		if client.standing == alive && e.status != http.StatusOK || client.standing == dead && e.body["error"] != "invalid_client" { // 401, or 429 after too many
			t.Errorf("a client that is %v: %v", client.standing, &e)
		}
	})
}

// inParallel calls do for every item, a few at a time.
func inParallel[T any](items []T, do func(T)) {
	queue := make(chan T)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for item := range queue {
				do(item)
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	workers.Wait()
}
