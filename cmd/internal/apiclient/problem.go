package apiclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"fosite-mcp/cmd/internal/terminal"
)

// Problem is a refusal of the admin API (RFC 9457).
type Problem struct {
	Type      string    `json:"type,omitempty"`
	Title     string    `json:"title"`
	Status    int       `json:"status,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Instance  string    `json:"instance,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Errors    []Mistake `json:"errors,omitempty"`
}

// Mistake is one thing that is wrong with a request, or with a file.
type Mistake struct {
	Line     int    `json:"line,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Pointer  string `json:"pointer"`
	Code     string `json:"code,omitempty"`
	Detail   string `json:"detail"`
}

// Error tells people: title and detail, then a line for each mistake. A bad request is told by its mistakes alone.
func (p *Problem) Error() string {
	var lines []string
	if p.Status != http.StatusBadRequest || len(p.Errors) == 0 {
		text := terminal.Printable(p.Title)
		if p.Detail != "" {
			text += ": " + terminal.Printable(p.Detail)
		}
		lines = append(lines, text)
	}
	for _, mistake := range p.Errors {
		lines = append(lines, strings.TrimPrefix(FlagOf(terminal.Printable(mistake.Pointer))+": "+terminal.Printable(mistake.Detail), ": "))
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		lines = append(lines, fmt.Sprintf("(request id %s; the server's log says more)", terminal.Printable(p.RequestID)))
	}
	return strings.Join(lines, "\n  ")
}

// flagNames are the flags whose names differ from the member of the API that they set.
var flagNames = map[string]string{
	"client_name": "name", "token_endpoint_auth_method": "auth-method", "token_endpoint_auth_signing_alg": "auth-signing-alg",
	"grant_types": "grant-type", "response_types": "response-type",
	"redirect_uris": "redirect-uri", "jwks": "jwks-file", "token": "token-file",
}

// FlagOf names the flag for a pointer: to a member of the body (RFC 6901), or ?name for a parameter.
func FlagOf(pointer string) string {
	member, place, _ := strings.Cut(strings.TrimLeft(pointer, "/?"), "/")
	if member == "" {
		return ""
	}
	flag, ok := flagNames[member]
	if !ok {
		flag = strings.ReplaceAll(member, "_", "-")
	}
	if index, err := strconv.Atoi(place); err == nil {
		place = fmt.Sprintf("(number %d)", index+1)
	}
	return strings.TrimSpace("--" + flag + " " + place)
}

// refused turns an answer that is not a success into an error.
func (api *Admin) refused(response *http.Response, body []byte) error {
	problem := &Problem{Status: response.StatusCode}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(body, problem) != nil || problem.Title == "" {
		err := fmt.Errorf("%s answers %q, and not as fosite-mcp's admin API does; is --admin-url right?", api.origin, response.Status)
		if response.StatusCode >= http.StatusInternalServerError { // of a proxy in front of it
			err = NoAnswer{err}
		}
		return err
	}
	problem.Status = response.StatusCode
	if problem.Status == http.StatusUnauthorized {
		return fmt.Errorf("the admin API refuses the key from %s: %w\n  Give another with --admin-key-file, or set FOSITE_MCP_ADMIN_KEY_FILE", api.keySource, problem)
	}
	return problem
}

// IsStatus reports whether err is a [*Problem] with this status.
func IsStatus(err error, status int) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Status == status
}

// Instead says err in other words. It stays what it is: [IsStatus] and exit codes go by err.
func Instead(err error, format string, args ...any) error {
	return &reworded{fmt.Sprintf(format, args...), err}
}

type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// NotFound is the error of a command that has found out by itself that something is not there.
func NotFound(format string, args ...any) error {
	return Instead(&Problem{Title: "Not found", Status: http.StatusNotFound}, format, args...)
}
