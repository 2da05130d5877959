package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

// problem is an answer that is not a success (RFC 9457).
type problem struct {
	Type      string              `json:"type"`
	Title     string              `json:"title"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail,omitempty"`
	Instance  string              `json:"instance"`
	RequestID string              `json:"request_id"`
	Errors    strictjson.Mistakes `json:"errors,omitempty"`

	header http.Header
}

// invalid is the problem that lists mistakes.
func invalid(mistakes strictjson.Mistakes) *problem {
	p := newProblem(http.StatusBadRequest, "invalid-request", "The request is not valid", "Nothing was changed. Every mistake is listed in errors.")
	p.Errors = mistakes
	return p
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

func (p *problem) with(header, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(header, value)
	return p
}

const problemTypes = "urn:fosite-mcp:problem:"

func newProblem(status int, slug, title, detail string) *problem {
	return &problem{Type: problemTypes + slug, Title: title, Status: status, Detail: detail}
}

func badRequest(format string, args ...any) *problem {
	return newProblem(http.StatusBadRequest, "invalid-request", "The request is not valid", fmt.Sprintf(format, args...))
}

func notFound(detail string) *problem {
	return newProblem(http.StatusNotFound, "not-found", "Not found", detail)
}

func nothingHere() *problem {
	return notFound("There is nothing at this path; GET /admin/v1/openapi.json lists what there is.")
}

func conflict(slug, detail string) *problem {
	return newProblem(http.StatusConflict, slug, "Conflict", detail)
}

func methodNotAllowed(method string, operations map[string]operation) *problem {
	allowed := slices.Sorted(maps.Keys(operations))
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	list := strings.Join(allowed, ", ")
	detail := fmt.Sprintf("This path does not know the method %s; use one of: %s.", strictjson.Quote(method), list)
	return newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", detail).with("Allow", list)
}
