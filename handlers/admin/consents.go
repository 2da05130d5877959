package admin

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
)

// consentView is a consent as the API shows it.
type consentView struct {
	Subject    string           `json:"subject"`
	Username   *string          `json:"username"`
	ClientID   string           `json:"client_id"`
	ClientName *string          `json:"client_name"`
	Scope      string           `json:"scope"`
	Resources  []string         `json:"resources"`
	CreatedAt  *strictjson.Time `json:"created_at"`
	LastUsedAt *strictjson.Time `json:"last_used_at"`
}

func consentViewOf(c *people.Consent) consentView {
	return consentView{
		Subject: c.Subject, Username: textOf(c.Username), ClientID: c.ClientID, ClientName: textOf(c.ClientName), Scope: strings.Join(c.Scopes, " "),
		Resources: listOf(c.Resources), CreatedAt: strictjson.TimeOf(c.CreatedAt), LastUsedAt: strictjson.TimeOf(c.LastUsedAt),
	}
}

// consentCursor is the place after a consent.
type consentCursor struct {
	Subject  string `json:"s"`
	ClientID string `json:"c"`
}

// listConsents is GET /consents, and GET /users/{id}/consents.
func (a *api) listConsents(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var after consentCursor
	limit := r.limit(&m)
	if r.cursor(&after, &m) && !client.IsPlain(after.Subject+after.ClientID) {
		m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
	}
	r.refuseEmpty(&m, "subject", "username", "client_id")
	if err := m.Err(); err != nil {
		return nil, err
	}
	filter := people.ConsentFilter{Subject: cmp.Or(r.vars["id"], r.query["subject"]), Username: r.query["username"], ClientID: r.query["client_id"]}
	consents, next, err := a.Store.Consents().Page(r.Context(), filter, people.Parties(after), limit)
	if err != nil {
		return nil, err
	}
	list := page[consentView]{Items: []consentView{}}
	for i := range consents {
		list.Items = append(list.Items, consentViewOf(&consents[i]))
	}
	if next != nil {
		list.NextCursor = encodeCursor(consentCursor(*next))
	}
	return newAnswer(http.StatusOK, list), nil
}

// deleteConsent is DELETE /users/{id}/consents/{client_id}: the consent is forgotten, and what came of it ends.
func (a *api) deleteConsent(r *request) (*answer, error) {
	filter := people.ConsentFilter{Subject: r.vars["id"], ClientID: r.vars["client_id"]}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		n, err := a.Store.Consents().WithdrawAll(ctx, filter) // and its event
		if err == nil && n == 0 {
			err = fosite.ErrNotFound
		}
		return noContent(), audit.Event{}, err
	})
}

// revokeConsents is POST /consents/revoke: of a person, to a client, or both.
func (a *api) revokeConsents(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var filter people.ConsentFilter
	members := map[string]*string{"subject": &filter.Subject, "username": &filter.Username, "client_id": &filter.ClientID}
	strictjson.RefuseUnknown(r.body, []string{"subject", "username", "client_id"}, &m)
	for name, into := range members {
		v := strictjson.Member(r.body, name, &m)
		if _, given := r.body[name]; !given {
			continue
		}
		// One that is there and empty would make more of what is revoked, and not less.
		if v.Text(into); (*into == "" || !client.IsPlain(*into)) && !m.At("/"+name) {
			m.Add("/"+name, "invalid", "must name one; leave it out for all")
		}
	}
	if len(r.body) == 0 {
		m.Add("", "one_of", "must have one of the members subject, username and client_id")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		n, err := a.Store.Consents().WithdrawAll(ctx, filter)
		return newAnswer(http.StatusOK, map[string]int{"revoked": n}), audit.Event{}, err
	})
}
