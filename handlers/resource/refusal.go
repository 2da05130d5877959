package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// challenge builds the WWW-Authenticate line. Its two parts have been checked
// to need no escaping in a quoted string.
type challenge struct {
	metadata string // URL of the protected resource metadata
	scope    string
}

// line is one well-formed challenge, with the parameters that lead a client to
// its token first (RFC 9728 §5.1, RFC 6750 §3).
func (c challenge) line(code, description string) string {
	line := fmt.Sprintf(`Bearer resource_metadata="%s"`, c.metadata)
	if c.scope != "" {
		line += fmt.Sprintf(`, scope="%s"`, c.scope)
	}
	if code != "" {
		line += fmt.Sprintf(`, error="%s", error_description="%s"`, code, description)
	}
	return line
}

// noToken names no error, since the client has not made one yet (RFC 6750 §3.1).
func (g *gate) noToken() *refusal {
	return &refusal{
		status:    http.StatusUnauthorized,
		challenge: g.challenge.line("", ""),
		message:   "An access token is needed: send it as Authorization: Bearer <access token>. Where to get one: " + g.challenge.metadata,
	}
}

// inactive keeps the reason for the log: whoever tries tokens need not know
// whether one was once good.
func (g *gate) inactive(cause error) *refusal {
	const description = "The access token is unknown, expired, revoked, or for another resource"
	return &refusal{
		status:    http.StatusUnauthorized,
		challenge: g.challenge.line("invalid_token", description),
		message:   description + ": get a new one. Where: " + g.challenge.metadata,
		cause:     cause,
	}
}

// insufficient names all scopes that are needed, so that the client can get
// them in one go (RFC 6750 §3.1).
func (g *gate) insufficient(missing string) *refusal {
	description := "The access token lacks the scope " + missing
	return &refusal{
		status:    http.StatusForbidden,
		challenge: g.challenge.line("insufficient_scope", description),
		message:   description + ": get one with the scopes " + g.challenge.scope + ".",
	}
}

func (g *gate) malformed(why string) *refusal {
	return &refusal{
		status:    http.StatusBadRequest,
		challenge: g.challenge.line("invalid_request", why),
		message:   "Bad request: " + why + ".",
	}
}

// unavailable carries no challenge: there may be nothing wrong with the token.
func unavailable(cause error) *refusal {
	return &refusal{
		status:  http.StatusServiceUnavailable,
		message: "The access token could not be checked, because the authorization server did not answer. It may be fine: try again in " + retryAfter + " seconds.",
		cause:   cause,
	}
}

func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	if r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	http.Error(w, r.message, r.status)
}

func (r *refusal) log(req *http.Request, logger *slog.Logger) {
	if r.cause == nil || errors.Is(req.Context().Err(), context.Canceled) {
		return // nothing went wrong, or the caller left while the question was open
	}
	level, text := slog.LevelDebug, "access token refused"
	if r.status == http.StatusServiceUnavailable {
		level, text = slog.LevelError, "access token could not be checked"
	}
	logger.Log(req.Context(), level, text, "error", r.cause, "method", req.Method, "path", req.URL.Path)
}
