package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"fosite-mcp/internal/spreadsheet"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
)

// eventView is an audit event as the API shows it.
type eventView struct {
	ID        int64            `json:"id"`
	Time      *strictjson.Time `json:"time"`
	Actor     string           `json:"actor"`
	Action    string           `json:"action"`
	ClientID  *string          `json:"client_id"`
	TokenID   *string          `json:"token_id"`
	RequestID *string          `json:"request_id"`
	IP        *string          `json:"ip"`
	Outcome   string           `json:"outcome"`
	Changes   json.RawMessage  `json:"changes"`
}

func eventViewOf(e *audit.Event) eventView {
	return eventView{
		ID: e.ID, Time: strictjson.TimeOf(e.Time), Actor: e.Actor, Action: e.Action, ClientID: textOf(e.ClientID), TokenID: textOf(e.TokenID),
		RequestID: textOf(e.RequestID), IP: textOf(e.IP), Outcome: e.Outcome, Changes: e.Changes,
	}
}

// auditCursor is the place after an event.
type auditCursor struct {
	ID int64 `json:"id"`
}

// listAudit is GET /audit: oldest first, so that asking again with after set to the last id follows the log; or newest first.
func (a *api) listAudit(r *request) (*answer, error) {
	var m strictjson.Mistakes
	filter := audit.Filter{
		Since: r.time("since", &m), Until: r.time("until", &m), Limit: r.limit(&m),
		ClientID: r.query["client_id"], Action: r.query["action"], Actor: r.query["actor"], ClientIDs: r.caller.Clients,
	}
	var cursor auditCursor
	switch order := r.query["order"]; order {
	case "", "asc", "desc":
		filter.NewestFirst = order == "desc"
	default:
		m.Add("?order", "invalid", "must be asc (oldest first) or desc")
	}
	if resumes := r.cursor(&cursor, &m); resumes && filter.NewestFirst {
		filter.Before = cursor.ID
	} else if resumes {
		filter.After = cursor.ID
	}
	if text, given := r.query["after"]; given {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < 0 {
			m.Add("?after", "invalid", "must be the id of an event")
		}
		filter.After = max(filter.After, id)
	}
	format, err := auditFormat(r.Request)
	if err != nil {
		return nil, err
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	events, more, err := a.Store.Audit().List(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	views := make([]eventView, len(events))
	for i := range events {
		views[i] = eventViewOf(&events[i])
	}
	next := ""
	if more {
		next = encodeCursor(auditCursor{events[len(events)-1].ID})
	}
	return auditAnswer(r, format, views, next)
}

const (
	formatJSON   = "application/json"
	formatNDJSON = "application/x-ndjson"
	formatCSV    = "text/csv"
)

// auditFormat picks the format that the caller prefers; formats of equal weight in the order they are named.
func auditFormat(r *http.Request) (string, error) {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if header == "" {
		return formatJSON, nil
	}
	best, bestWeight := "", 0.0
	for _, part := range strings.Split(header, ",") {
		mediaType, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, given := parameters["q"]; given {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		format := map[string]string{
			formatJSON: formatJSON, "application/*": formatJSON, "*/*": formatJSON, formatNDJSON: formatNDJSON, formatCSV: formatCSV, "text/*": formatCSV,
		}[mediaType]
		if format != "" && weight > bestWeight {
			best, bestWeight = format, weight
		}
	}
	if best == "" {
		return "", newProblem(http.StatusNotAcceptable, "not-acceptable", "Not acceptable", "The log comes as application/json, application/x-ndjson or text/csv.")
	}
	return best, nil
}

func auditAnswer(r *request, format string, events []eventView, next string) (*answer, error) {
	answer := newAnswer(http.StatusOK, nil)
	answer.header.Set("Content-Type", format)
	answer.header.Set("Vary", "Accept")
	if format == formatJSON {
		answer.body = page[eventView]{Items: events, NextCursor: next}
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
	encode := encodeNDJSON
	if format == formatCSV {
		encode = encodeCSV
		answer.header.Set("Content-Type", formatCSV+"; charset=utf-8; header=present")
	}
	raw, err := encode(events)
	answer.raw = raw
	return answer, err
}

func encodeNDJSON(events []eventView) ([]byte, error) {
	out := []byte{}
	for i := range events {
		line, err := encodeJSON(&events[i])
		if err != nil {
			return nil, err
		}
		out = append(out, line...)
	}
	return out, nil
}

func encodeCSV(events []eventView) ([]byte, error) {
	rows := [][]string{{"id", "time", "actor", "action", "client_id", "token_id", "request_id", "ip", "outcome", "changes"}}
	for i := range events {
		e := &events[i]
		rows = append(rows, []string{
			strconv.FormatInt(e.ID, 10), e.Time.String(), e.Actor, e.Action, orEmpty(e.ClientID), orEmpty(e.TokenID),
			orEmpty(e.RequestID), orEmpty(e.IP), e.Outcome, string(e.Changes),
		})
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
