package handlers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// RetryAfter is how many seconds a caller should wait after an outage: the value of the header Retry-After.
const RetryAfter = "5"

// fail answers an error as JSON.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	writeOAuthError(w, s.explain(w, r, err))
}

// explain is the one place that turns errors into answers. Outages and mistakes of the server are logged, with their
// cause, which the client does not get to see. A flood that makes the server busy does not flood its log.
func (s *Server) explain(w http.ResponseWriter, r *http.Request, err error) (answer *fosite.RFC6749Error) {
	defer func() { reqinfo.Note(r.Context()).Refused = answer.ErrorField }()
	known := fosite.ErrorToRFC6749Error(err)
	switch {
	case isOutage(err) && errors.Is(r.Context().Err(), context.Canceled):
		return fosite.ErrTemporarilyUnavailable // the caller has hung up: nothing failed, and nobody reads the answer
	case isBusy(err):
		TellBusy(w)
		if s.busy.AllowN(s.now(), 1) {
			s.log().WarnContext(r.Context(), "too busy to answer", "path", r.URL.EscapedPath(), "request_id", RequestID(r), "cause", cause(err))
		}
		return fosite.ErrTemporarilyUnavailable
	case isOutage(err):
		s.log().ErrorContext(r.Context(), "the request cannot be answered now", "path", r.URL.EscapedPath(), "request_id", RequestID(r), "cause", cause(err))
		if known.Is(fosite.ErrTemporarilyUnavailable) && known.HintField != "" { // what is gone is not ours
			return fosite.ErrTemporarilyUnavailable.WithHint(known.HintField)
		}
		return fosite.ErrTemporarilyUnavailable
	case known.CodeField >= 500:
		s.log().ErrorContext(r.Context(), "internal error", "path", r.URL.EscapedPath(), "request_id", RequestID(r), "cause", cause(err), "debug", known.DebugField)
		return fosite.ErrServerError
	}
	return known
}

// RequestID is the name of a request, which joins what is logged of it: the one that the middleware in front has given it, or
// else the caller's (X-Request-Id). It is empty when there is none that is harmless in a log.
func RequestID(r *http.Request) string {
	if id := reqinfo.From(r.Context()).ID; id != "" {
		return id
	}
	id := r.Header.Get("X-Request-Id")
	if len(id) > 64 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return ""
	}
	return id
}

// Credentials returns what the Authorization header of a request holds, when there is one header, of this scheme. One space
// or several stand between scheme and credentials (RFC 9110 §11.4).
func Credentials(r *http.Request, scheme string) (credentials string, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	name, credentials, _ := strings.Cut(values[0], " ")
	return strings.TrimLeft(credentials, " "), strings.EqualFold(name, scheme)
}

// BasicAuth is [http.Request.BasicAuth] for headers with several spaces as well.
func BasicAuth(r *http.Request) (username, password string, ok bool) {
	credentials, ok := Credentials(r, "Basic")
	if !ok {
		return "", "", false
	}
	pair, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(pair), ":")
}

// description is an error_description: printable ASCII without quotes and backslashes (RFC 6749 §4.1.2.1, §5.2),
// whatever the request had in it that is quoted here.
func description(err *fosite.RFC6749Error) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\' || r < ' ' || r > '~':
			return '?'
		}
		return r
	}, err.WithExposeDebug(false).GetDescription())
}

// isOutage tells an error that says nothing about the request: something behind the server failed, and the same
// request may succeed later. fosite wraps such errors in answers that sound final (request_unauthorized,
// server_error), so their causes decide.
func isOutage(err error) bool {
	outage := false
	for ; err != nil; err = errors.Unwrap(err) {
		rfc, ok := err.(*fosite.RFC6749Error)
		switch {
		case !ok:
			if _, malformed := err.(base64.CorruptInputError); malformed {
				return false
			}
			// A foreign error at the end of the chain is the cause.
			outage = errors.Unwrap(err) == nil
		case rfc.Is(fosite.ErrTemporarilyUnavailable):
			return true
		case rfc.CodeField < 500 && !rfc.Is(fosite.ErrRequestUnauthorized) && !rfc.Is(fosite.ErrSerializationFailure):
			return false // a definite answer: not found, inactive, expired, mismatch, …
		}
	}
	return outage
}

// isBusy tells an error that says to come back later, with nothing broken.
func isBusy(err error) bool {
	var busy BusyError
	return errors.As(err, &busy) && busy.Busy()
}

// TellBusy tells the middleware around w, if it wants to know (it has a method Busy), that the answer is no failure of the
// server though its status is 503.
func TellBusy(w http.ResponseWriter) {
	for w != nil {
		if told, ok := w.(BusyWriter); ok {
			told.Busy()
			return
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// cause is what to log of an error: its innermost text, which is the store's.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// oauthError is RFC 6749 §5.2's error response.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func writeOAuthError(w http.ResponseWriter, err *fosite.RFC6749Error) {
	status := err.CodeField
	switch status {
	case http.StatusUnauthorized:
		// RFC 6749 §5.2 and RFC 9110 §15.5.2: every 401 names a way to authenticate.
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth", charset="UTF-8"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", RetryAfter)
	}
	writeJSON(w, status, oauthError{err.ErrorField, description(err)})
}

// NotFound answers requests for nothing, as the OAuth endpoints answer errors: the last route of a router. A page may
// look for metadata where there is none, so browsers let it read the answer.
func NotFound() http.Handler {
	return Refuse(refusal(http.StatusNotFound, "There is nothing at this path."))
}

// Refuse answers every request with err, as the OAuth endpoints answer errors.
func Refuse(err *fosite.RFC6749Error) http.Handler {
	return corsForAnyOrigin.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeOAuthError(w, err) }))
}

// Misdirected answers requests for a host that is not this server (RFC 9110 §15.5.20).
func Misdirected(detail string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeOAuthError(w, refusal(http.StatusMisdirectedRequest, detail))
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	writeRawJSON(w, status, encoded)
}

// addMembers adds members to a JSON object that has some already. It writes to the object.
func addMembers(object []byte, members map[string]any) ([]byte, error) {
	if len(members) == 0 {
		return object, nil
	}
	more, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	object[len(object)-1] = ','
	return slices.Concat(object, more[1:]), nil
}

// The headers of answers that nobody may keep (RFC 6749 §5.1). All answers share their values.
var (
	notKept    = http.Header{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}}
	jsonHeader = headerOf("application/json")
	jwtHeader  = headerOf(signedType)
)

func headerOf(contentType string) http.Header {
	header := http.Header{"Content-Type": {contentType}, "X-Content-Type-Options": {"nosniff"}}
	maps.Copy(header, notKept)
	return header
}

func writeRawJSON(w http.ResponseWriter, status int, body []byte) { write(w, status, jsonHeader, body) }

func write(w http.ResponseWriter, status int, header http.Header, body []byte) {
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
