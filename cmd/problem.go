package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// apiProblem is what the admin API says when it refuses (RFC 9457).
type apiProblem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

// Error is the problem for people: title and detail, then a line for each mistake.
func (p *apiProblem) Error() string {
	var text strings.Builder
	text.WriteString(printable(p.Title))
	if p.Detail != "" {
		text.WriteString(": " + printable(p.Detail))
	}
	for _, mistake := range p.Errors {
		fmt.Fprintf(&text, "\n  %s: %s", printable(mistake.Pointer), printable(mistake.Detail))
	}
	if p.Status >= 500 && p.RequestID != "" {
		fmt.Fprintf(&text, "\n  (request id %s; the server's log says more)", printable(p.RequestID))
	}
	return text.String()
}

// refused turns an answer that is not a success into an error.
func (api *adminAPI) refused(response *http.Response, body []byte) error {
	problem := &apiProblem{Status: response.StatusCode}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(body, problem) != nil || problem.Title == "" {
		return fmt.Errorf("%s answers %q, and not as fosite-mcp's admin API does; is --admin-url right?", api.origin, response.Status)
	}
	problem.Status = response.StatusCode
	if problem.Status == http.StatusUnauthorized {
		return fmt.Errorf("the admin API refuses the key from %s: %w", api.keySource, problem)
	}
	return problem
}

// isStatus tells whether err is the admin API's answer with this status.
func isStatus(err error, status int) bool {
	var problem *apiProblem
	return errors.As(err, &problem) && problem.Status == status
}
