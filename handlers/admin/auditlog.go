package admin

import (
	"encoding/json"
	"strconv"

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
	format, err := formatOf(r.Request)
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
	return listed(r, format, page[eventView]{Items: views, NextCursor: next}, views, next, eventSheet)
}

// eventSheet is an event in CSV.
var eventSheet = sheet[eventView]{
	head: []string{"id", "time", "actor", "action", "client_id", "token_id", "request_id", "ip", "outcome", "changes"},
	cells: func(e *eventView) []string {
		return []string{
			strconv.FormatInt(e.ID, 10), e.Time.String(), e.Actor, e.Action, orEmpty(e.ClientID), orEmpty(e.TokenID),
			orEmpty(e.RequestID), orEmpty(e.IP), e.Outcome, string(e.Changes),
		}
	},
}
