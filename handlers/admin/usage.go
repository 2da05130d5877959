package admin

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
)

// usageView is what is known of the use of a client.
type usageView struct {
	ClientID      string           `json:"client_id"`
	ClientName    *string          `json:"client_name"`
	Owner         *string          `json:"owner"`
	Status        client.Status    `json:"status"`
	SecretID      *string          `json:"secret_id"`
	Since         *strictjson.Time `json:"since"`
	Until         *strictjson.Time `json:"until"`
	CompleteSince *strictjson.Time `json:"complete_since"` // since when each issued token is an event; nil: they are none
	EventsSince   *strictjson.Time `json:"events_since"`   // the oldest event that was kept; nil: all were
	Truncated     bool             `json:"truncated"`
	Items         []useView        `json:"items"`
}

// useView is a secret, tokens that differ in nothing but their times, or events that do.
type useView struct {
	What       string           `json:"what"` // secret, tokens, or the action of the events
	SecretID   *string          `json:"secret_id"`
	Subject    *string          `json:"subject"`
	Scope      *string          `json:"scope"`
	Audience   []string         `json:"audience"`
	Actor      *string          `json:"actor"`
	IP         *string          `json:"ip"`
	Outcome    *string          `json:"outcome"`
	Detail     *string          `json:"detail"` // why it failed, or the members that were changed
	Count      int64            `json:"count"`
	Active     *int64           `json:"active"`
	Revoked    *int64           `json:"revoked"`
	FirstAt    *strictjson.Time `json:"first_at"`
	LastAt     *strictjson.Time `json:"last_at"`
	LastUsedAt *strictjson.Time `json:"last_used_at"`
}

// clientUsage is GET /clients/{client_id}/usage: what a client, or one of its secrets, was used for.
func (a *api) clientUsage(r *request) (*answer, error) {
	var m strictjson.Mistakes
	window := storage.TokenUseFilter{Since: r.time("since", &m), Until: r.time("until", &m), SecretID: r.query["secret_id"], Limit: r.limit(&m)}
	r.refuseEmpty(&m, "secret_id")
	format, err := formatOf(r.Request)
	if err != nil {
		return nil, err
	}
	past, err := a.Store.Clients().Past(r.Context(), r.named())
	if err != nil {
		return nil, err
	}
	if window.SecretID != "" && !slices.ContainsFunc(past.Secrets, func(s clients.PastSecret) bool { return s.ID == window.SecretID }) {
		m.Add("?secret_id", "invalid", "is none of the secrets that this client has or had; without it the answer names them")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	usage, err := a.usageOf(r, past, window)
	if err != nil {
		return nil, err
	}
	return listed(r, format, usage, usage.Items, "", useSheet)
}

func (a *api) usageOf(r *request, past *clients.Past, window storage.TokenUseFilter) (*usageView, error) {
	ctx, events := r.Context(), a.Store.Audit()
	usage := &usageView{
		ClientID: past.ID, ClientName: textOf(past.Name), Owner: textOf(past.Owner), Status: past.Status, SecretID: textOf(window.SecretID),
		Since: strictjson.TimeOf(window.Since), Until: strictjson.TimeOf(window.Until), Items: []useView{},
	}
	complete, since, err := a.recordedSince(r)
	if err != nil {
		return nil, err
	}
	usage.CompleteSince, usage.EventsSince = strictjson.TimeOf(complete), strictjson.TimeOf(since)
	tokens, more, err := a.Store.TokenUse(ctx, past.ID, window)
	if err != nil {
		return nil, err
	}
	filter := audit.Filter{ClientID: past.ID, Since: window.Since, Until: window.Until, Limit: window.Limit}
	lines, moreLines, err := events.Summarize(ctx, filter, window.SecretID)
	if err != nil {
		return nil, err
	}
	usage.Truncated = more || moreLines
	for i := range past.Secrets {
		if s := &past.Secrets[i]; window.SecretID == "" || window.SecretID == s.ID {
			usage.Items = append(usage.Items, useOfSecret(s))
		}
	}
	for i := range tokens {
		usage.Items = append(usage.Items, useOfTokens(&tokens[i]))
	}
	usage.Items = append(usage.Items, usesOfEvents(lines, window.SecretID)...)
	return usage, nil
}

// recordedSince is since when each issued token is an event, and that of the oldest event that was kept. Zero: they are none, and all
// were kept.
func (a *api) recordedSince(r *request) (tokens, events time.Time, err error) {
	if tokens, err = a.Store.Settings().IssuedTokensSince(r.Context()); err != nil {
		return tokens, events, err
	}
	if events, err = a.Store.Audit().Since(r.Context()); err == nil && !tokens.IsZero() && tokens.Before(events) {
		tokens = events
	}
	return tokens, events, err
}

func useOfSecret(s *clients.PastSecret) useView {
	end := s.DeletedAt
	if end.IsZero() || !s.ExpiresAt.IsZero() && s.ExpiresAt.Before(end) {
		end = s.ExpiresAt
	}
	return useView{
		What: "secret", SecretID: &s.ID, Audience: []string{}, Detail: textOf(strings.TrimSpace("…" + s.Hint)), Count: 1,
		FirstAt: strictjson.TimeOf(s.CreatedAt), LastAt: strictjson.TimeOf(end), LastUsedAt: strictjson.TimeOf(s.LastUsedAt),
	}
}

func useOfTokens(t *storage.TokenUse) useView {
	return useView{
		What: "tokens", SecretID: textOf(t.SecretID), Subject: textOf(t.Subject), Scope: textOf(strings.Join(t.Scope, " ")), Audience: listOf(t.Audience),
		Count: t.Count, Active: &t.Active, Revoked: &t.Revoked,
		FirstAt: strictjson.TimeOf(t.FirstIssued), LastAt: strictjson.TimeOf(t.LastIssued), LastUsedAt: strictjson.TimeOf(t.LastUsed),
	}
}

// usesOfEvents makes one line of the events that look alike: they may differ in what is not shown. A secretID that is not empty leaves
// out those about other secrets, of which the database finds most and not all.
func usesOfEvents(lines []audit.Summary, secretID string) (uses []useView) {
	known := map[string]int{} // by all but count and times
	for i := range lines {
		use := useOfEvents(&lines[i])
		if secretID != "" && use.SecretID != nil && *use.SecretID != secretID {
			continue
		}
		key, _ := json.Marshal(use) // of strings
		use.Count, use.FirstAt, use.LastAt = lines[i].Count, strictjson.TimeOf(lines[i].First), strictjson.TimeOf(lines[i].Last)
		at, found := known[string(key)]
		if !found {
			known[string(key)] = len(uses)
			uses = append(uses, use)
			continue
		}
		uses[at].Count += use.Count
		if lines[i].First.Before(time.Time(*uses[at].FirstAt)) {
			uses[at].FirstAt = use.FirstAt
		}
		if lines[i].Last.After(time.Time(*uses[at].LastAt)) {
			uses[at].LastAt = use.LastAt
		}
	}
	return uses
}

// useOfEvents is a line without count and times.
func useOfEvents(e *audit.Summary) useView {
	use := useView{What: e.Action, Audience: []string{}, Actor: textOf(e.Actor), IP: textOf(e.IP), Outcome: textOf(e.Outcome)}
	var changes map[string]struct{ Before, After any }
	if json.Unmarshal(e.Changes, &changes) != nil { // none
		return use
	}
	value := func(name string) string {
		text, _ := cmp.Or(changes[name].After, changes[name].Before).(string)
		return text
	}
	if strings.HasPrefix(e.Action, "client.") && e.Outcome == audit.OutcomeSuccess { // scope and the like are what it is registered with
		if e.Action == "client.changed" {
			use.Detail = textOf(strings.Join(slices.Sorted(maps.Keys(changes)), " "))
		}
		return use
	}
	use.SecretID, use.Subject, use.Scope, use.Detail = textOf(value("secret_id")), textOf(value("subject")), textOf(value("scope")), textOf(value("reason"))
	if list, ok := changes["audience"].After.([]any); ok {
		for _, entry := range list {
			if text, ok := entry.(string); ok {
				use.Audience = append(use.Audience, text)
			}
		}
	} else {
		use.Audience = listOf(strings.Fields(value("resource")))
	}
	return use
}

// useSheet is the usage in CSV.
var useSheet = sheet[useView]{
	head: []string{
		"what", "secret_id", "subject", "scope", "audience", "actor", "ip", "outcome", "detail", "count", "active", "revoked", "first_at", "last_at", "last_used_at",
	},
	cells: func(u *useView) []string {
		return []string{
			u.What, orEmpty(u.SecretID), orEmpty(u.Subject), orEmpty(u.Scope), strings.Join(u.Audience, " "), orEmpty(u.Actor), orEmpty(u.IP), orEmpty(u.Outcome),
			orEmpty(u.Detail), strconv.FormatInt(u.Count, 10), numberCell(u.Active), numberCell(u.Revoked), timeCell(u.FirstAt), timeCell(u.LastAt), timeCell(u.LastUsedAt),
		}
	},
}

// numberCell is a number in CSV; empty: there is none.
func numberCell(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}
