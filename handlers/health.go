package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// MountHealth adds /livez, which says that the process runs, and /readyz, which says that it can serve: it asks
// ready, usually the store's Ping, and answers 503 when that fails.
func MountHealth(root *mux.Router, ready func(context.Context) error) {
	root.Handle("/livez", Reading(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, health{"ok"})
	}))
	root.Handle("/readyz", Reading(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			w.Header().Set("Retry-After", RetryAfter)
			writeJSON(w, http.StatusServiceUnavailable, health{"the database does not answer, or takes no writes"})
			return
		}
		writeJSON(w, http.StatusOK, health{"ok"})
	}))
}

type health struct {
	Status string `json:"status"`
}
