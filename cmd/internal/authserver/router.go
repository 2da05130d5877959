package authserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/handlers"
	"fosite-mcp/internal/reqinfo"

	"github.com/gorilla/mux"
)

// newRouter matches paths as they were sent: it redirects nothing, and %2F is no slash. Its last route must match every
// path, because middleware sees only requests that a route matches. from returns the address of the caller. Requests for the
// paths unhurried have no deadline of the router's.
func newRouter(observer *observe.Observer, from func(*http.Request) netip.Addr, unhurried ...string) *mux.Router {
	root := mux.NewRouter().SkipClean(true).UseEncodedPath()
	root.Use(receive(from, unhurried), observer.Middleware)
	return root
}

// requestLimit bounds the work on one request, database included: a client rather gets 503 than no answer.
const requestLimit = 15 * time.Second

// receive is the first middleware: it gives a request its id, its caller's address and a deadline. All of it goes into one
// context, because each copy of a request costs time. from tells the address.
func receive(from func(*http.Request) netip.Addr, unhurried []string) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := reqinfo.Info{ID: handlers.RequestID(r), Address: from(r), Answer: w.Header(), Facts: new(reqinfo.Facts)}
			if info.ID == "" {
				info.ID = rand.Text()
			}
			w.Header().Set("X-Request-Id", info.ID)
			ctx := reqinfo.With(r.Context(), info)
			if !slices.Contains(unhurried, r.URL.Path) {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, requestLimit)
				defer cancel()
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}
