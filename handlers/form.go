package handlers

import (
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"fosite-mcp/internal/params"

	"github.com/ory/fosite"
	"github.com/rs/cors"
)

// maxForm bounds what an endpoint reads. The largest honest request is an assertion of a few kilobytes.
const maxForm = 64 << 10

// maxStored bounds each parameter that ends up in the database.
const maxStored = 2 << 10

// corsForAnyOrigin lets pages of any origin call an endpoint with any headers: a client's transport puts its own on discovery
// and token requests, too. "*" makes the answer name the headers that were asked for, which Authorization needs (Fetch
// §3.3.6). The endpoints trust no cookies, and none are let in, so there is no request to forge.
var corsForAnyOrigin = cors.New(cors.Options{
	AllowedOrigins: []string{"*"},
	AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
	AllowedHeaders: []string{"*"},
	ExposedHeaders: []string{"WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id"},
	MaxAge:         3600,
})

// form is an endpoint that takes a POST with a form (RFC 6749 §3.2): it is called with r.PostForm filled in and
// free of the ambiguities that parsers disagree about.
func form(endpoint http.HandlerFunc) http.Handler {
	return Methods(map[string]http.HandlerFunc{http.MethodPost: func(w http.ResponseWriter, r *http.Request) {
		if err := parseForm(w, r); err != nil {
			writeOAuthError(w, err)
			return
		}
		endpoint(w, r)
	}}, use("Use POST."))
}

// secretParameters must not be in a URL, where every proxy logs them.
var secretParameters = []string{"client_secret", "client_assertion", "token", "access_token", "refresh_token", "code", "code_verifier"}

func parseForm(w http.ResponseWriter, r *http.Request) *fosite.RFC6749Error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return fosite.ErrInvalidRequest.WithHint("Send the parameters as application/x-www-form-urlencoded.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refusal(http.StatusRequestEntityTooLarge, "The request is larger than 64 KiB.")
		}
		return fosite.ErrInvalidRequest.WithHint("The form cannot be decoded.")
	}
	r.PostForm, r.Form = params.WithoutEmpty(r.PostForm), params.WithoutEmpty(r.Form)
	if len(r.PostForm) == 0 {
		return fosite.ErrInvalidRequest.WithHint("The form holds no parameter with a value.")
	}
	if name := params.Repeated(r.PostForm); name != "" {
		return fosite.ErrInvalidRequest.WithHintf("The parameter %q is given more than once.", name)
	}
	// These are stored with the token, as fosite keeps them.
	for _, name := range []string{"grant_type", "response_type", "scope", "client_id"} {
		if len(r.PostForm.Get(name)) > maxStored {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %q is longer than 2 KiB.", name)
		}
	}
	// RFC 6749 §2.3.1: credentials must not be in the URL.
	query := params.WithoutEmpty(r.URL.Query())
	for _, name := range secretParameters {
		if query.Has(name) {
			return fosite.ErrInvalidRequest.WithHintf("Send %q in the body, not in the URL.", name)
		}
	}
	return nil
}

// refusal is an answer to a request that never gets to an endpoint, or not whole. fosite's description of invalid_request is
// about parameters, and so is its hint; neither would be true.
func refusal(status int, sentence string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{ErrorField: fosite.ErrInvalidRequest.ErrorField, DescriptionField: sentence, CodeField: status}
}

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
