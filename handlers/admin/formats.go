package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/internal/params"
	"fosite-mcp/internal/spreadsheet"
	"fosite-mcp/provider/client/strictjson"
)

// The formats of lists that people hand on: the audit log, the usage of a client, and who had access.
const (
	formatJSON   = "application/json"
	formatNDJSON = "application/x-ndjson"
	formatCSV    = "text/csv"
)

// formatOf picks the format that the caller prefers; formats of equal weight in the order they are named.
func formatOf(r *http.Request) (string, error) {
	accept := r.Header.Values("Accept")
	if strings.Join(accept, "") == "" {
		return formatJSON, nil
	}
	best, bestWeight := "", 0.0
	for mediaType, weight := range params.Accepted(accept) {
		format := map[string]string{
			formatJSON: formatJSON, "application/*": formatJSON, "*/*": formatJSON, formatNDJSON: formatNDJSON, formatCSV: formatCSV, "text/*": formatCSV,
		}[mediaType]
		if format != "" && weight > bestWeight {
			best, bestWeight = format, weight
		}
	}
	if best == "" {
		return "", newProblem(http.StatusNotAcceptable, "not-acceptable", "Not acceptable", "This list comes as application/json, application/x-ndjson or text/csv.")
	}
	return best, nil
}

// sheet says how items are written in CSV.
type sheet[T any] struct {
	head  []string
	cells func(*T) []string
}

// listed answers with whole, in JSON, or with its items alone in the other formats. next is the cursor of the next page.
func listed[T any](r *request, format string, whole any, items []T, next string, sheet sheet[T]) (*answer, error) {
	answer := newAnswer(http.StatusOK, nil)
	answer.header.Set("Content-Type", format)
	answer.header.Set("Vary", "Accept")
	if format == formatJSON {
		answer.body = whole
		return answer, nil
	}
	if next != "" { // RFC 8288: these formats have no place for a cursor
		query := url.Values{"cursor": {next}}
		for name, value := range r.query {
			if name != "cursor" && name != "after" {
				query.Set(name, value)
			}
		}
		answer.header.Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, query.Encode()))
	}
	var err error
	if format == formatCSV {
		answer.header.Set("Content-Type", formatCSV+"; charset=utf-8; header=present")
		answer.raw, err = sheet.encode(items)
	} else {
		answer.raw, err = encodeNDJSON(items)
	}
	return answer, err
}

func encodeNDJSON[T any](items []T) ([]byte, error) {
	out := []byte{}
	for i := range items {
		line, err := encodeJSON(&items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, line...)
	}
	return out, nil
}

func (s sheet[T]) encode(items []T) ([]byte, error) {
	rows := [][]string{s.head}
	for i := range items {
		rows = append(rows, s.cells(&items[i]))
	}
	var out bytes.Buffer
	err := spreadsheet.Write(&out, rows...)
	return out.Bytes(), err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// timeCell is a time in CSV; empty: there is none.
func timeCell(t *strictjson.Time) string {
	if t == nil {
		return ""
	}
	return t.String()
}
