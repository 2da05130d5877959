package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// problem is an answer that is not a success (RFC 9457).
type problem struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail,omitempty"`
	Instance  string   `json:"instance"`
	RequestID string   `json:"request_id"`
	Errors    mistakes `json:"errors,omitempty"`

	header http.Header
}

// mistake is one thing that is wrong with a request.
type mistake struct {
	Pointer string `json:"pointer"` // RFC 6901 pointer into the body; ?name for a query parameter
	Code    string `json:"code"`
	Detail  string `json:"detail"`

	value string // what is wrong, where that tells one mistake from another at the same place
}

type mistakes []mistake

func (m *mistakes) add(pointer, code, format string, args ...any) {
	*m = append(*m, mistake{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// at tells whether there is a mistake at pointer or below it.
func (m mistakes) at(pointer string) bool {
	return slices.ContainsFunc(m, func(known mistake) bool {
		return known.Pointer == pointer || strings.HasPrefix(known.Pointer, pointer+"/")
	})
}

// err is nil, or the problem that lists the mistakes.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	p := newProblem(http.StatusBadRequest, "invalid-request", "The request is not valid", "Nothing was changed. Every mistake is listed in errors.")
	slices.SortStableFunc(m, func(a, b mistake) int { return strings.Compare(a.Pointer, b.Pointer) })
	p.Errors = m
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
	detail := fmt.Sprintf("This path does not know the method %s; use one of: %s.", shown(method), list)
	return newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", detail).with("Allow", list)
}

// shown quotes what a caller sent so that it can stand in a message.
func shown(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}
