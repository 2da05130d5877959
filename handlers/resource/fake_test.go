package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// authorization is an authorization server in memory: a transport that answers
// introspections and follows the protocol of the revocation feed. It works in
// a bubble of testing/synctest, as no socket is involved.
type authorization struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	events  []revocation
	epoch   string
	ended   map[string]bool // tokens that introspection calls inactive
	members map[string]string
	asked   map[string]int

	speaksFor  string        // the resource of the caller
	feedStatus int           // not 0: what the feed answers
	feedBody   string        // not empty: what the feed answers, with a number in place of NEXT
	feedLag    time.Duration // between a request to the feed and its answer
	cut        bool          // the feed can not be reached: requests to it hang
	noWaiting  bool          // requests to the feed that want to wait get 429
	pageSize   int           // not 0: more than that many revocations take several pages
	lag        time.Duration // between the decision of an introspection and its answer
	feedPolls  int

	keys        []testKey // that the JWKS lists
	keysFail    bool      // the JWKS can not be fetched
	keysLag     time.Duration
	keysFetched int
}

func newAuthorization() *authorization {
	return &authorization{
		changed: make(chan struct{}), epoch: "e1", speaksFor: here,
		ended: map[string]bool{}, members: map[string]string{}, asked: map[string]int{},
	}
}

// RoundTrip implements http.RoundTripper.
func (a *authorization) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	var err error
	switch r.URL.Path {
	case "/revocations":
		err = a.revocations(recorder, r)
	case "/jwks.json":
		err = a.jwks(recorder)
	default:
		err = a.introspect(recorder, r)
	}
	if err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// introspect answers about any token "CLIENT-name": its jti is "id-" and the
// token.
func (a *authorization) introspect(w http.ResponseWriter, r *http.Request) error {
	r.ParseForm()
	token := r.PostForm.Get("token")
	a.mu.Lock()
	a.asked[token]++
	active, lag, members := !a.ended[token], a.lag, a.members[token]
	a.mu.Unlock()
	if lag > 0 {
		time.Sleep(lag)
	}
	if !active {
		fmt.Fprint(w, `{"active":false}`)
		return nil
	}
	client, _, _ := strings.Cut(token, "-")
	fmt.Fprintf(w, `{"active":true,"aud":%q,"scope":"mcp:search","jti":"id-%s","client_id":%q%s}`, here, token, client, members)
	return nil
}

func (a *authorization) revocations(w http.ResponseWriter, r *http.Request) error {
	time.Sleep(a.feedLag)
	wait, _ := strconv.ParseFloat(r.URL.Query().Get("wait"), 64)
	limit := time.NewTimer(time.Duration(wait * float64(time.Second)))
	defer limit.Stop()
	for {
		a.mu.Lock()
		if a.noWaiting && wait > 0 {
			a.mu.Unlock()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return nil
		}
		cut, changed := a.cut, a.changed
		var ready bool
		if !cut {
			ready = a.page(w, r, wait == 0)
		}
		a.mu.Unlock()
		if ready {
			return nil
		}
		var expired <-chan time.Time
		if !cut {
			expired = limit.C
		}
		select {
		case <-changed:
		case <-expired:
			wait = 0
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

// page writes an answer unless there is nothing to tell yet.
func (a *authorization) page(w http.ResponseWriter, r *http.Request, now bool) bool {
	if resource := r.URL.Query().Get("resource"); resource != a.speaksFor {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	if a.feedStatus != 0 || a.feedBody != "" {
		a.feedPolls++
		w.WriteHeader(max(a.feedStatus, 200))
		fmt.Fprint(w, strings.ReplaceAll(a.feedBody, "NEXT", strconv.Itoa(a.feedPolls)))
		return true
	}
	epoch, position, found := strings.Cut(r.URL.Query().Get("after"), ".")
	from, err := strconv.Atoi(position)
	p := page{Revocations: []revocation{}}
	switch {
	case epoch == "now":
		from = len(a.events)
	case epoch == "" && !found:
		from = 0
	case err != nil, epoch != a.epoch, from > len(a.events):
		from, p.Reset = len(a.events), true
	}
	to := len(a.events)
	if a.pageSize > 0 && to > from+a.pageSize {
		to, p.More = from+a.pageSize, true
	}
	p.Revocations = append(p.Revocations, a.events[from:to]...)
	if len(p.Revocations) == 0 && !p.Reset && !now {
		return false
	}
	p.Cursor = fmt.Sprintf("%s.%d", a.epoch, to)
	a.feedPolls++
	json.NewEncoder(w).Encode(p)
	return true
}

// MarshalJSON writes seconds since 1970, as the feed does.
func (d numericDate) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d.UnixMilli())/1000, 'f', 3, 64), nil
}

// change edits the server and wakes whoever waits.
func (a *authorization) change(edit func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	edit()
	close(a.changed)
	a.changed = make(chan struct{})
}

// revoke ends a token, and the feed tells of it.
func (a *authorization) revoke(token string) {
	a.change(func() {
		a.ended[token] = true
		a.events = append(a.events, revocation{kindToken, "id-" + token, numericDate{time.Now()}})
	})
}

func (a *authorization) tell(kind, id string) {
	a.change(func() { a.events = append(a.events, revocation{kind, id, numericDate{time.Now()}}) })
}

func (a *authorization) times(token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[token]
}

func (a *authorization) polls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.feedPolls
}

// config is for a service that asks this server and keeps answers.
func (a *authorization) config(t testing.TB) (Config, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return Config{
		Endpoint: "https://auth.example.com/introspect", Revocations: "https://auth.example.com/revocations",
		ClientID: "docs", ClientSecret: secret, Resource: here, Cache: &Cache{},
		HTTPClient: &http.Client{Transport: a}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, &log
}

func started(t testing.TB, c Config) *Introspector {
	t.Helper()
	verifier, err := NewIntrospector(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { verifier.Close() })
	return verifier
}

// verify fails the test unless the token is active, or inactive, as wanted.
func verify(t *testing.T, v Verifier, token string, active bool) {
	t.Helper()
	got, err := v.Verify(context.Background(), token)
	if active != (err == nil) || active != (got != nil) {
		t.Fatalf("token %s at %s: got %v, error %v; active must be %v", token, time.Now().Format("05.000"), got, err, active)
	}
}
