package admin

import (
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/access"
)

// accessPage is a page of who had access, and how far back what is told of it goes.
type accessPage struct {
	page[accessView]
	Since         *strictjson.Time `json:"since"`
	Until         *strictjson.Time `json:"until"`
	CompleteSince *strictjson.Time `json:"complete_since"` // since when each issued token is an event; nil: they are none
	EventsSince   *strictjson.Time `json:"events_since"`   // the oldest event that was kept; nil: all were
}

// accessView says that somebody could have used a token.
type accessView struct {
	Kind         string           `json:"kind"`
	ClientID     string           `json:"client_id"`
	ClientName   *string          `json:"client_name"`
	Owner        *string          `json:"owner"`
	Subject      *string          `json:"subject"`
	Username     *string          `json:"username"`
	Scope        string           `json:"scope"`
	Resources    []string         `json:"resources"`
	By           string           `json:"by"`
	From         *strictjson.Time `json:"access_from"`
	Until        *strictjson.Time `json:"access_until"`
	FirstTokenAt *strictjson.Time `json:"first_token_at"`
	LastTokenAt  *strictjson.Time `json:"last_token_at"`
	LastUsedAt   *strictjson.Time `json:"last_used_at"`
	Status       string           `json:"status"`
}

func accessViewOf(l *access.Line) accessView {
	return accessView{
		Kind: l.Kind, ClientID: l.ClientID, ClientName: textOf(l.ClientName), Owner: textOf(l.Owner), Subject: textOf(l.Subject), Username: textOf(l.Username),
		Scope: strings.Join(l.Scopes, " "), Resources: listOf(l.Resources), By: l.By, From: strictjson.TimeOf(l.From), Until: strictjson.TimeOf(l.Until),
		FirstTokenAt: strictjson.TimeOf(l.FirstToken), LastTokenAt: strictjson.TimeOf(l.LastToken), LastUsedAt: strictjson.TimeOf(l.LastUsed), Status: l.Status,
	}
}

// listAccess is GET /access: who could have used a token in a time.
func (a *api) listAccess(r *request) (*answer, error) {
	var m strictjson.Mistakes
	filter := access.Filter{Since: r.time("since", &m), Until: r.time("until", &m), Limit: r.limit(&m), ClientIDs: r.caller.Clients}
	r.refuseEmpty(&m, "client_id")
	if id := r.query["client_id"]; id != "" {
		if !r.mayTouch(id) {
			id = "" // as if there were none of this id
		}
		filter.ClientIDs = []string{id}
	}
	if after := &filter.After; r.cursor(after, &m) && (after.Part < 0 || after.Part >= access.Parts() || !client.IsPlain(after.ID+after.Subject)) {
		m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
	}
	format, err := formatOf(r.Request)
	if err != nil {
		return nil, err
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	list := accessPage{Since: strictjson.TimeOf(filter.Since), Until: strictjson.TimeOf(filter.Until)}
	list.Items = []accessView{}
	complete, events, err := a.recordedSince(r)
	if err != nil {
		return nil, err
	}
	list.CompleteSince, list.EventsSince = strictjson.TimeOf(complete), strictjson.TimeOf(events)
	filter.Recorded = !complete.IsZero()
	lines, next, err := a.Store.Access().List(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		list.Items = append(list.Items, accessViewOf(&lines[i]))
	}
	if next != nil {
		list.NextCursor = encodeCursor(next)
	}
	return listed(r, format, list, list.Items, list.NextCursor, accessSheet)
}

// accessSheet is who had access in CSV.
var accessSheet = sheet[accessView]{
	head: []string{
		"kind", "client_id", "client_name", "owner", "subject", "username", "scope", "resources", "by", "access_from", "access_until",
		"first_token_at", "last_token_at", "last_used_at", "status",
	},
	cells: func(v *accessView) []string {
		return []string{
			v.Kind, v.ClientID, orEmpty(v.ClientName), orEmpty(v.Owner), orEmpty(v.Subject), orEmpty(v.Username), v.Scope, strings.Join(v.Resources, " "), v.By,
			timeCell(v.From), timeCell(v.Until), timeCell(v.FirstTokenAt), timeCell(v.LastTokenAt), timeCell(v.LastUsedAt), v.Status,
		}
	},
}
