package handlers

import (
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
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

// parseForm fills in r.PostForm, and r.Form, which has the parameters of the URL as well.
func parseForm(w http.ResponseWriter, r *http.Request) *fosite.RFC6749Error {
	if !isForm(r.Header.Get("Content-Type")) {
		return fosite.ErrInvalidRequest.WithHint("Send the parameters as application/x-www-form-urlencoded.")
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	query, malformed := url.ParseQuery(r.URL.RawQuery)
	if malformed != nil {
		return errUndecodable
	}
	params.DropEmpty(form)
	params.DropEmpty(query)
	if len(form) == 0 {
		return fosite.ErrInvalidRequest.WithHint("The form holds no parameter with a value.")
	}
	if name := params.Repeated(form); name != "" {
		return fosite.ErrInvalidRequest.WithHintf("The parameter %q is given more than once.", name)
	}
	// These are stored with the token, as fosite keeps them.
	for _, name := range []string{"grant_type", "response_type", "scope", "client_id"} {
		if len(form.Get(name)) > maxStored {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %q is longer than 2 KiB.", name)
		}
	}
	// RFC 6749 §2.3.1: credentials must not be in the URL.
	for _, name := range secretParameters {
		if query.Has(name) {
			return fosite.ErrInvalidRequest.WithHintf("Send %q in the body, not in the URL.", name)
		}
	}
	r.PostForm, r.Form, r.MultipartForm = form, params.Join(form, query), noFiles
	return nil
}

const formType = "application/x-www-form-urlencoded"

func isForm(contentType string) bool {
	if contentType == formType {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == formType
}

// noFiles says that a form is read: fosite would look once more what kind of form it is.
var noFiles = &multipart.Form{}

var errUndecodable = fosite.ErrInvalidRequest.WithHint("The form cannot be decoded.")

// readForm reads the form in the body of a request, or takes the one that a host's middleware has read.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *fosite.RFC6749Error) {
	if r.PostForm != nil {
		return r.PostForm, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, refusal(http.StatusRequestEntityTooLarge, "The request is larger than 64 KiB.")
		}
		return nil, errUndecodable
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errUndecodable
	}
	return form, nil
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
