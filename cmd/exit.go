package cmd

import (
	"errors"
	"net/http"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitNotFound
	exitConflict
	exitRefused
	exitUnavailable
)

// exitCodes is a part of the help.
const exitCodes = `Exit codes:
  0  done
  1  failed
  2  used wrongly: nothing was tried
  3  there is no such client, token, secret, rule, account or key
  4  it exists already, or somebody else has changed it meanwhile
  5  refused: the admin key or the client's credentials are wrong, or the key's role does not suffice
  6  no answer, or the server is unavailable or busy: try again later
With --json an error is one JSON object, the last line of stderr: message, exit_code and what the server says.`

// exitCode is the one of a command that has failed.
func exitCode(err error) int {
	var problem *apiclient.Problem
	var refusal *apiclient.Refusal
	switch {
	case terminal.IsBadUsage(err):
		return exitUsage
	case errors.As(err, new(apiclient.NoAnswer)):
		return exitUnavailable
	case errors.As(err, &problem):
		return exitCodeOf(problem.Status)
	case errors.As(err, &refusal):
		return exitCodeOf(refusal.Status)
	case errors.Is(err, fosite.ErrNotFound): // of a command that works on the database, and so on
		return exitNotFound
	case errors.Is(err, people.ErrUserExists), errors.Is(err, audit.ErrAdminKeyExists):
		return exitConflict
	}
	return exitFailed
}

func exitCodeOf(status int) int {
	switch status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitRefused
	case http.StatusTooManyRequests:
		return exitUnavailable
	}
	if status >= http.StatusInternalServerError {
		return exitUnavailable
	}
	return exitFailed
}

// toldInJSON is an error as programs read it: what the server says of it, if it says anything, and what people are told.
func toldInJSON(err error) any {
	told := struct {
		Message  string `json:"message"`
		ExitCode int    `json:"exit_code"`
		*apiclient.Problem
		*refusal
	}{Message: err.Error(), ExitCode: exitCode(err)}
	errors.As(err, &told.Problem)
	if answered := (*apiclient.Refusal)(nil); errors.As(err, &answered) {
		told.refusal = &refusal{answered.Code, answered.Description}
	}
	return told
}

// refusal is an error of an OAuth endpoint.
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}
