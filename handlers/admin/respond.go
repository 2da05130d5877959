package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
)

// answer is what an operation answers.
type answer struct {
	status int
	header http.Header
	body   any    // encoded as JSON; nil: none
	kept   any    // what to keep of body for an Idempotency-Key: the same without secrets; nil: all of it
	raw    []byte // an encoded body, in place of body; its type is in header
}

func newAnswer(status int, body any) *answer {
	return &answer{status: status, header: http.Header{}, body: body}
}

// noContent is the answer of whatever ends something.
func noContent() *answer { return newAnswer(http.StatusNoContent, nil) }

// refuse is the one place that turns errors into answers. Failures of the server are logged with their cause, which
// the caller does not get to see.
func (a *api) refuse(r *request, err error) *answer {
	var p *problem
	var mistakes strictjson.Mistakes
	switch {
	case errors.As(err, &p):
	case errors.As(err, &mistakes):
		p = invalid(mistakes)
	case errors.Is(err, fosite.ErrNotFound):
		p = notFound(r.kind().nothing)
	case errors.Is(err, clients.ErrExists):
		p = conflict("exists", "The id is that of a client or of a rule about an issuer, which share ids, or was once: ids are never given out again. Choose another one, or leave "+r.kind().idVar+" out.")
		p.Errors.Add("/"+r.kind().idVar, "exists", "is taken")
	case errors.Is(err, people.ErrUserExists):
		p = conflict("exists", "An account with this user name exists. Choose another name, or change the account.")
		p.Errors.Add("/username", "exists", "is taken")
	case errors.Is(err, clients.ErrStale), errors.Is(err, people.ErrStale):
		p = newProblem(http.StatusPreconditionFailed, "stale", "The "+r.kind().noun+" has changed", "Somebody has changed the "+r.kind().noun+" since you read it. Read it again, and repeat the change with its new ETag.")
	case errors.Is(err, clients.ErrUsesNoSecret):
		p = conflict("no-secret", "The client has no use for a secret. Change its token_endpoint_auth_method first.")
	case errors.Is(err, clients.ErrTooManySecrets):
		p = conflict("too-many-secrets", "The client has as many working secrets as it may have. Delete one of them first.")
	case errors.Is(err, audit.ErrAdminKeyExists):
		p = conflict("exists", "An admin key with this name exists or has existed: audit events name its holder by it. Choose another name.")
		p.Errors.Add("/name", "exists", "is taken")
	case errors.Is(err, audit.ErrLastAdminKey):
		p = conflict("last-admin-key", "No other admin key of role admin works. Create one first; or revoke this one on the server's machine, with fosite-mcp admin-key revoke, where another can be made without a key.")
	case errors.Is(err, audit.ErrIdempotencyRunning):
		p = conflict("still-running", "The first request with this Idempotency-Key has not been answered yet. Repeat it in a moment.").with("Retry-After", "1")
	case errors.Is(err, audit.ErrIdempotencyReused):
		p = newProblem(http.StatusUnprocessableEntity, "key-reused", "The Idempotency-Key was used before", "This Idempotency-Key belongs to another request. Use a new one for each request.")
	default:
		level := slog.LevelError
		if errors.Is(r.Context().Err(), context.Canceled) {
			level = slog.LevelDebug // the caller has hung up
		}
		a.Log.Log(r.Context(), level, "admin request failed", "request_id", r.id, "method", r.Method, "path", r.URL.EscapedPath(), "cause", err.Error())
		p = newProblem(http.StatusServiceUnavailable, "unavailable", "Service unavailable", "The server cannot reach its database, or it is too busy. Nothing is known to have changed; try again in a moment.").with("Retry-After", handlers.RetryAfter)
	}
	told := *p
	told.Instance, told.RequestID = r.URL.EscapedPath(), r.id
	header := http.Header{}
	for name, values := range p.header {
		header[name] = values
	}
	header.Set("Content-Type", "application/problem+json")
	return &answer{status: p.Status, header: header, body: &told}
}

// write sends an answer. Nobody may keep it or guess at its type.
func (a *api) write(w http.ResponseWriter, r *request, answer *answer) {
	body, err := answer.encoded()
	if err != nil {
		a.Log.ErrorContext(r.Context(), "an admin answer cannot be encoded", "request_id", r.id, "cause", err.Error())
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	for name, values := range answer.header {
		header[name] = values
	}
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(answer.status)
	_, _ = w.Write(body) // a caller who went away
}

func (a *answer) encoded() ([]byte, error) {
	if a.raw != nil || a.body == nil {
		return a.raw, nil
	}
	return encodeJSON(a.body)
}

func encodeJSON(v any) ([]byte, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(encoded, '\n'), nil
}

// requestID is the caller's name for the request, where it has a sane one, or a new one.
func requestID(r *http.Request) string {
	if id := handlers.RequestID(r); id != "" {
		return id
	}
	return strings.ToLower(rand.Text())
}

func listOf(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func textOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
