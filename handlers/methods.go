package handlers

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Methods serves each method by its handler. A request with another method is answered by refused; the header Allow is set.
func Methods(byMethod map[string]http.HandlerFunc, refused http.HandlerFunc) http.HandlerFunc {
	allow := strings.Join(slices.Sorted(maps.Keys(byMethod)), ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		if serve := byMethod[r.Method]; serve != nil {
			serve(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		refused(w, r)
	}
}

// Reading is an endpoint that is only read: other methods than GET and HEAD are refused as the OAuth endpoints refuse
// theirs.
func Reading(endpoint http.HandlerFunc) http.Handler {
	return Methods(map[string]http.HandlerFunc{http.MethodGet: endpoint, http.MethodHead: endpoint}, use("Use GET."))
}

// use refuses a method.
func use(sentence string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeOAuthError(w, refusal(http.StatusMethodNotAllowed, sentence))
	}
}
