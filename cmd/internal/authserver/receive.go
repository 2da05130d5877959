package authserver

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/internal/reqinfo"

	"github.com/gorilla/mux"
)

// requestLimit bounds the work on one request, database included: a client rather gets 503 than no answer.
const requestLimit = 15 * time.Second

// receive is the first middleware: it gives a request its id, its caller's address and a deadline. All of it goes into one
// context, because each copy of a request costs time. from tells the address.
func receive(from func(*http.Request) netip.Addr) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			info := reqinfo.Info{ID: handlers.RequestID(r), Address: from(r), Answer: w.Header()}
			if info.ID == "" {
				info.ID = rand.Text()
			}
			w.Header().Set("X-Request-Id", info.ID)
			ctx, cancel := context.WithTimeout(reqinfo.With(r.Context(), info), requestLimit)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}
