package test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fosite-mcp/handlers/resource"
)

// replicaLink is a service's way to one replica. The feed of revocations can be cut off, and introspections are counted.
type replicaLink struct {
	host  string
	http  http.Transport
	cut   atomic.Bool
	asked atomic.Int64
}

func (l *replicaLink) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = l.host
	switch r.URL.Path {
	case "/authed/mcp/oauth/introspect":
		l.asked.Add(1)
	case "/authed/mcp/oauth/revocations":
		// A cut takes the answers of the requests that wait, too.
		answer, err := l.http.RoundTrip(r)
		if l.cut.Load() {
			if err == nil {
				answer.Body.Close()
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return answer, err
	}
	return l.http.RoundTrip(r)
}

// liveToken is a token and what happened to it, in nanoseconds since the start; 0: not yet.
type liveToken struct {
	text         string
	acknowledged atomic.Int64 // its revocation
	passed       atomic.Int64 // the start of the newest verification after that, in which it passed nevertheless
}

// liveWorld is replicas, and services that keep answers or verify JWTs offline.
type liveWorld struct {
	t        *testing.T
	traffic  []*traffic // one for each replica
	links    []*replicaLink
	services []resource.Verifier
	bound    time.Duration
	start    time.Time
	tokens   []*liveToken
	verified atomic.Int64
}

// A token that was revoked at any replica passes at no service later than the bound after the acknowledgement, whether the service
// follows the feed or is cut off from it. FOSITE_MCP_TEST_LIVE_CACHE=30s makes the traffic last for so long, with 2,000 revocations.
func TestNothingPassesLaterThanTheBoundOfACache(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	lasts, revocations, bound := 1200*time.Millisecond, 150, 500*time.Millisecond
	if text := os.Getenv("FOSITE_MCP_TEST_LIVE_CACHE"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		revocations, bound = 2000, 5*time.Second
	}
	w := newLiveWorld(t, bound)
	w.issue(revocations + revocations/4 + 100)
	w.awaitCaches()

	followed := w.tokens[:revocations+50]
	w.run("followed", lasts, followed, revocations)
	for _, link := range w.links {
		link.cut.Store(true)
	}
	w.run("cut off", 2*bound, w.tokens[len(followed):], revocations/4)
}

func newLiveWorld(t *testing.T, bound time.Duration) *liveWorld {
	t.Helper()
	replicas := newReplicas(t, newPostgresDatabase(t), 3, "FOSITE_MCP_TOKENS_FORMAT=jwt", "FOSITE_MCP_RATE_LIMITS_CLIENT_PER_HOUR=0", "FOSITE_MCP_RATE_LIMITS_ADDRESS_PER_HOUR=0")
	startTogether(replicas...)
	w := &liveWorld{t: t, bound: bound, start: time.Now()}
	for i, s := range replicas {
		tr := newTraffic(t, s, replicaKey, nil)
		w.traffic = append(w.traffic, tr)
		issuer := s.setting("PUBLIC_URL", "")
		config := resource.Config{
			ClientID: tr.checker.id, ClientSecret: tr.checker.secret, Resource: issuer + "/authed/mcp",
			InsecureAllowHTTP: true, Logger: slog.New(slog.DiscardHandler), Cache: &resource.Cache{Bound: bound},
		}
		w.serve(s, &config, func() (resource.Verifier, func() error, error) {
			if err := config.Discover(t.Context(), issuer); err != nil {
				return nil, nil, err
			}
			v, err := resource.NewIntrospector(config)
			return v, v.Close, err
		})
		if i > 0 {
			continue
		}
		offline := resource.JWTConfig{Config: config, Bound: bound}
		w.serve(s, &offline.Config, func() (resource.Verifier, func() error, error) {
			if err := offline.Discover(t.Context(), issuer); err != nil {
				return nil, nil, err
			}
			offline.Endpoint, offline.Cache = "", nil // what it does not decide is an outage
			v, err := resource.NewJWTVerifier(offline)
			return v, v.Close, err
		})
	}
	return w
}

// serve adds a service that reaches the replica.
func (w *liveWorld) serve(s *server, config *resource.Config, build func() (resource.Verifier, func() error, error)) {
	w.t.Helper()
	link := &replicaLink{host: s.public}
	link.http.MaxIdleConnsPerHost = 32
	config.HTTPClient = &http.Client{Transport: link}
	verifier, end, err := build()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = end() })
	w.links, w.services = append(w.links, link), append(w.services, verifier)
}

func (w *liveWorld) issue(n int) {
	w.t.Helper()
	w.tokens = make([]*liveToken, n)
	var group sync.WaitGroup
	for first := range 4 {
		group.Go(func() {
			for i := first; i < n; i += 4 {
				tr := w.traffic[i%len(w.traffic)]
				token, e := tr.issue(w.traffic[0].machine)
				if token == nil {
					w.t.Errorf("token: %v", &e)
					return
				}
				w.tokens[i] = &liveToken{text: token.token}
			}
		})
	}
	group.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// awaitCaches verifies every token everywhere until nothing is asked about.
func (w *liveWorld) awaitCaches() {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		before, outages := w.asked(), error(nil)
		for _, token := range w.tokens {
			for _, service := range w.services {
				_, err := service.Verify(w.t.Context(), token.text)
				if errors.Is(err, resource.ErrInactive) {
					w.t.Fatal(err)
				}
				outages = cmp.Or(outages, err)
			}
		}
		if w.asked() == before && outages == nil {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("the caches do not answer: %d introspections of %d tokens, error %v", w.asked()-before, len(w.tokens), outages)
		}
	}
}

func (w *liveWorld) asked() (n int64) {
	for _, link := range w.links {
		n += link.asked.Load()
	}
	return n
}

// run verifies tokens everywhere for a time, and revokes some of them at random moments of that time.
func (w *liveWorld) run(name string, lasts time.Duration, tokens []*liveToken, revocations int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), lasts+w.bound/4)
	defer cancel()
	asked, verified := w.asked(), w.verified.Load()
	var group sync.WaitGroup
	for _, service := range w.services {
		group.Go(func() { w.verify(ctx, service, tokens) })
	}
	moments := make([]time.Duration, revocations)
	for i := range moments {
		moments[i] = time.Duration(rand.Int64N(int64(lasts)))
	}
	slices.Sort(moments)
	var next atomic.Int64
	began := time.Now()
	for range 4 {
		group.Go(func() {
			for i := next.Add(1) - 1; int(i) < revocations; i = next.Add(1) - 1 {
				time.Sleep(time.Until(began.Add(moments[i])))
				w.revoke(tokens[i])
			}
		})
	}
	group.Wait()
	w.report(name, tokens[:revocations], w.asked()-asked, w.verified.Load()-verified)
}

func (w *liveWorld) verify(ctx context.Context, service resource.Verifier, tokens []*liveToken) {
	refused := make(map[*liveToken]bool)
	for ctx.Err() == nil {
		for _, token := range tokens {
			if refused[token] && rand.IntN(20) > 0 {
				continue // each is a request to a server, which has other things to do
			}
			started := time.Since(w.start)
			_, err := service.Verify(w.t.Context(), token.text)
			w.verified.Add(1)
			refused[token] = errors.Is(err, resource.ErrInactive)
			if acknowledged := token.acknowledged.Load(); err == nil && acknowledged > 0 && int64(started) > acknowledged {
				token.passes(int64(started))
			}
		}
		time.Sleep(5 * time.Millisecond) // leaves the processors to the servers
	}
}

// passes keeps the newest moment.
func (t *liveToken) passes(at int64) {
	for known := t.passed.Load(); at > known && !t.passed.CompareAndSwap(known, at); known = t.passed.Load() {
	}
}

func (w *liveWorld) revoke(token *liveToken) {
	tr := w.traffic[rand.IntN(len(w.traffic))]
	if e := tr.post("revoke", w.traffic[0].machine, "/revoke", "token", token.text); e.status != http.StatusOK {
		w.t.Errorf("revoke: %v", &e)
		return
	}
	token.acknowledged.Store(int64(time.Since(w.start)))
}

// report fails the test if a token passed later than the bound, and prints how late they passed.
func (w *liveWorld) report(name string, revoked []*liveToken, asked, verified int64) {
	w.t.Helper()
	var late []time.Duration
	for _, token := range revoked {
		late = append(late, max(0, time.Duration(token.passed.Load()-token.acknowledged.Load())))
	}
	slices.Sort(late)
	worst := late[len(late)-1]
	w.t.Logf("%s: %d tokens revoked; they passed until %s after the acknowledgement at worst, p99 %s, p50 %s; %d of %d verifications asked the server",
		name, len(late), worst, late[len(late)*99/100], late[len(late)/2], asked, verified)
	if worst >= w.bound {
		w.t.Errorf("%s: a revoked token passed %s after the acknowledgement, and the bound is %s", name, worst, w.bound)
	}
	for _, service := range w.services {
		for _, token := range revoked {
			if _, err := service.Verify(w.t.Context(), token.text); err == nil {
				w.t.Errorf("%s: a revoked token passes at the end", name)
				return
			}
		}
	}
}
