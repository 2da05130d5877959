package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// Health is what /livez and /readyz say.
type Health struct {
	// Ready tells whether the server can serve, usually the store's Ping.
	Ready func(context.Context) error
	// Draining tells that the server is about to stop: it still serves, and load balancers should send it nothing more. nil:
	// it never is.
	Draining func() bool
	// Detail is what an operator should know about a server that can serve, such as that its clock is off; "" is nothing. Everybody
	// sees it who reaches root. nil: there is nothing.
	Detail func() string
}

// MountHealth adds /livez, which says that the process runs, and /readyz, which says that it can serve: it asks
// ready, usually the store's Ping, and answers 503 when that fails.
func MountHealth(root *mux.Router, ready func(context.Context) error) {
	Health{Ready: ready}.Mount(root)
}

// Mount adds /livez, which says that the process runs, and /readyz, which answers 503 while nobody should send requests here.
func (h Health) Mount(root *mux.Router) {
	root.Handle("/livez", Reading(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, health{Status: "ok"})
	}))
	root.Handle("/readyz", Reading(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		switch {
		case h.Draining != nil && h.Draining():
			h.unready(w, "draining")
		case h.Ready(ctx) != nil:
			h.unready(w, "the database does not answer, or takes no writes")
		default:
			says := health{Status: "ok"}
			if h.Detail != nil {
				says.Detail = h.Detail()
			}
			writeJSON(w, http.StatusOK, says)
		}
	}))
}

func (Health) unready(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", RetryAfter)
	writeJSON(w, http.StatusServiceUnavailable, health{Status: why})
}

type health struct {
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}
