package authserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/handlers"
	"fosite-mcp/internal/reqinfo"

	"github.com/gorilla/mux"
)

// newRouter matches paths as they were sent: it redirects nothing, and %2F is no slash. Its routes may look at nothing but the
// path, and the last one must match every path: see [front].
func newRouter() *mux.Router { return mux.NewRouter().SkipClean(true).UseEncodedPath() }

// front is what a listener does with each request before an endpoint gets it. It finds the route, notes what is known of the
// request, gives it a deadline, and has it measured.
type front struct {
	router   *mux.Router
	fixed    map[string]target // by their path: routes without variables, which need not be looked for
	from     func(*http.Request) netip.Addr
	observer *observe.Observer
	end      *ending
	// unhurried is the route whose requests have no deadline of the front's; empty: all have.
	unhurried string
}

// target is where a request goes.
type target struct {
	route   string // its template
	handler http.Handler
}

// requestLimit bounds the work on one request, database included: a client rather gets 503 than no answer.
const requestLimit = 15 * time.Second

// newFront puts a front before router, whose routes are complete. from tells the address of a caller.
func (p *parts) newFront(router *mux.Router, from func(*http.Request) netip.Addr) (*front, error) {
	f := &front{router: router, fixed: map[string]target{}, from: from, observer: p.observer, end: p.end}
	return f, router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path := templateOf(route)
		sent, err := url.ParseRequestURI(path)
		if err != nil || sent.EscapedPath() != path || strings.Contains(path, "{") {
			return nil //nolint:nilerr // it has no path, or one with variables
		}
		var match mux.RouteMatch
		if router.Match(&http.Request{Method: http.MethodGet, URL: sent}, &match) {
			f.fixed[path] = target{templateOf(match.Route), match.Handler}
		}
		return nil
	})
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.end.draining.Load() {
		w.Header().Set("Connection", "close") // so that a proxy keeps no connection for a request that would come too late
	}
	to, ctx := f.find(r), r.Context()
	if to.route != f.unhurried {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestLimit)
		defer cancel()
	}
	info := reqinfo.Info{ID: handlers.RequestID(r), Address: f.from(r), Answer: w.Header(), Facts: new(reqinfo.Facts)}
	if info.ID == "" {
		info.ID = rand.Text()
	}
	w.Header().Set("X-Request-Id", info.ID)
	f.observer.Serve(w, r.WithContext(reqinfo.With(ctx, info)), to.route, to.handler)
}

// find finds the route of a request.
func (f *front) find(r *http.Request) target {
	if to, ok := f.fixed[r.URL.EscapedPath()]; ok {
		return to
	}
	var match mux.RouteMatch
	if !f.router.Match(r, &match) {
		return target{unknown, f.router}
	}
	return target{templateOf(match.Route), f.router} // which gives the handler its variables
}

const unknown = "unknown"

func templateOf(route *mux.Route) string {
	if template, err := route.GetPathTemplate(); err == nil {
		return template
	}
	return unknown
}
