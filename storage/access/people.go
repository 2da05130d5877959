package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// consented are people who have allowed a client something, or have a grant from a login.
func (r *Reader) consented(ctx context.Context, w *window, after Cursor, limit int) ([]Line, Cursor, bool, error) {
	return r.people(ctx, w, after, limit, "rule_id = ''")
}

// asserted are people whom an enterprise's issuer has named to a client. A subject of the same name is somebody else.
func (r *Reader) asserted(ctx context.Context, w *window, after Cursor, limit int) ([]Line, Cursor, bool, error) {
	return r.people(ctx, w, after, limit, "rule_id <> ''")
}

// pair is a person, and the client that acts for them.
type pair struct{ Subject, ClientID string }

// grantsIn is the condition for grants that were alive in the window.
const grantsIn = "subject <> '' AND created_at < ? AND (expires_at IS NULL OR expires_at > ?) AND (revoked_at IS NULL OR revoked_at > ?)"

// pairs are a page of the people of one kind. Consents and grants are read in the order of an index, as many as it takes.
func (r *Reader) pairs(ctx context.Context, w *window, after Cursor, limit int, rules string) (pairs []pair, err error) {
	only, ids := "", []any{}
	if w.filter.ClientIDs != nil {
		only, ids = " AND client_id IN ?", []any{w.filter.ClientIDs}
	}
	start := func(table, where string) string {
		return "SELECT DISTINCT subject, client_id FROM " + r.db.Table(table) + " WHERE (subject, client_id) > (?, ?) AND " + where + only + " ORDER BY subject, client_id LIMIT ?"
	}
	query := "SELECT subject, client_id FROM (" + start("grants", grantsIn+" AND "+rules) + ") g"
	args := slices.Concat([]any{after.Subject, after.ID, w.until, w.since, w.since}, ids, []any{limit})
	if rules == "rule_id = ''" {
		query += " UNION SELECT subject, client_id FROM (" + start("consents", "created_at < ?") + ") c"
		args = slices.Concat(args, []any{after.Subject, after.ID, w.until}, ids, []any{limit})
	}
	err = r.db.Read(ctx).Raw(query+" ORDER BY subject, client_id LIMIT ?", append(args, limit)...).Find(&pairs).Error
	return pairs, database.Wrap(err, "list people")
}

// between is the condition for the pairs of a page. Between them may be any number of others, by clients that were not asked for.
func (w *window) between(pairs []pair) (where string, args []any) {
	first, last := pairs[0], pairs[len(pairs)-1]
	where, args = "(subject, client_id) >= (?, ?) AND (subject, client_id) <= (?, ?)", []any{first.Subject, first.ClientID, last.Subject, last.ClientID}
	if w.filter.ClientIDs != nil {
		where, args = where+" AND client_id IN ?", append(args, w.filter.ClientIDs)
	}
	return where, args
}

func (r *Reader) people(ctx context.Context, w *window, after Cursor, limit int, rules string) (lines []Line, last Cursor, more bool, err error) {
	pairs, err := r.pairs(ctx, w, after, limit+1, rules)
	if err != nil || len(pairs) == 0 {
		return nil, last, false, err
	}
	if more = len(pairs) > limit; more {
		pairs = pairs[:limit]
	}
	end := pairs[len(pairs)-1]
	known := make(map[pair]*personal, len(pairs))
	for _, p := range pairs {
		known[p] = &personal{Line: Line{Kind: Person, Subject: p.Subject, ClientID: p.ClientID}}
	}
	if rules == "rule_id = ''" {
		if err := r.addConsents(ctx, w, pairs, known); err != nil {
			return nil, last, false, err
		}
	}
	if err := r.addGrants(ctx, w, pairs, known, rules); err != nil {
		return nil, last, false, err
	}
	if err := r.addParties(ctx, known); err != nil {
		return nil, last, false, err
	}
	var unsure []pair
	for _, p := range pairs {
		if listed, sure := known[p].isListed(w); listed && !sure {
			unsure = append(unsure, p)
		}
	}
	withdrawn, err := r.haveWithdrawn(ctx, w, unsure)
	if err != nil {
		return nil, last, false, err
	}
	for _, p := range pairs {
		if listed, sure := known[p].isListed(w); listed && (sure || !withdrawn[p]) {
			lines = append(lines, known[p].line())
		}
	}
	return lines, Cursor{Subject: end.Subject, ID: end.ClientID}, more, nil
}

// personal is a line about a person, and what it depends on.
type personal struct {
	Line
	consent, live bool      // still
	grants        bool      // alive in the window
	rules         []string  // that grants came by
	ended         time.Time // of the last grant
	client        model.Client
	disabled      time.Time // of the account; zero: it is not, or there is none here
}

func (r *Reader) addConsents(ctx context.Context, w *window, pairs []pair, known map[pair]*personal) error {
	var rows []model.Consent
	between, page := w.between(pairs)
	err := r.db.Read(ctx).Where(between, page...).Where("created_at < ?", w.until).Order("updated_at, resource, scope").Find(&rows).Error
	for _, row := range rows {
		p := known[pair{row.Subject, row.ClientID}]
		if p == nil {
			continue // of a client that the caller may not see
		}
		p.consent, p.Username, p.ClientName = true, row.Username, row.ClientName
		p.Scopes, p.Resources = union(p.Scopes, []string{row.Scope}), union(p.Resources, []string{row.Resource})
		p.From = earlier(model.At(p.From), row.CreatedAt).Time
	}
	return database.Wrap(err, "read consents")
}

// grantRow is what the tokens of one kind tell of the grants of a pair that are alike.
type grantRow struct {
	Subject, ClientID, RuleID string
	Revoked, Expires, From    model.Time
	Scope, Audience           *model.List
	First, Last, Used         model.Time
}

func (r *Reader) addGrants(ctx context.Context, w *window, pairs []pair, known map[pair]*personal, rules string) error {
	between, page := w.between(pairs)
	for table, used := range map[string]string{"access_tokens": "MAX(t.last_used_at)", "refresh_tokens": "NULL"} {
		var rows []grantRow
		grants := "(SELECT * FROM " + r.db.Table("grants") + " WHERE " + between + " AND " + grantsIn + " AND " + rules + ") AS g"
		err := r.db.Read(ctx).Table(grants, slices.Concat(page, []any{w.until, w.since, w.since})...).
			Select("g.subject, g.client_id, g.rule_id, g.revoked_at AS revoked, g.expires_at AS expires, MIN(g.created_at) AS \"from\", t.scope, t.audience, "+
				"MIN(t.issued_at) AS first, MAX(t.issued_at) AS last, "+used+" AS used").
			Joins("LEFT JOIN "+r.db.Table(table)+" t ON t.request_id = g.id AND t.issued_at < ?", w.until).
			Group("g.subject, g.client_id, g.rule_id, g.revoked_at, g.expires_at, t.scope, t.audience").Find(&rows).Error
		if err != nil {
			return database.Wrap(err, "read grants")
		}
		for i := range rows {
			if p := known[pair{rows[i].Subject, rows[i].ClientID}]; p != nil {
				p.addGrant(w, &rows[i])
			}
		}
	}
	return nil
}

func (p *personal) addGrant(w *window, row *grantRow) {
	p.grants = true
	end := row.Expires
	if !row.Revoked.IsZero() {
		end = row.Revoked
	}
	p.live = p.live || row.Revoked.IsZero() && (end.IsZero() || end.UnixMilli() > w.now)
	p.ended = later(model.At(p.ended), end).Time
	p.rules = union(p.rules, []string{row.RuleID})
	p.From = earlier(model.At(p.From), row.From).Time
	if row.Scope != nil {
		p.Scopes = union(p.Scopes, *row.Scope)
	}
	if row.Audience != nil {
		p.Resources = union(p.Resources, *row.Audience)
	}
	p.FirstToken = earlier(model.At(p.FirstToken), row.First).Time
	p.LastToken, p.LastUsed = later(model.At(p.LastToken), row.Last).Time, later(model.At(p.LastUsed), row.Used).Time
}

// addParties adds what is known of the clients, and of the accounts of people who have one here.
func (r *Reader) addParties(ctx context.Context, known map[pair]*personal) error {
	var subjects, ids []string
	for p := range known {
		subjects, ids = append(subjects, p.Subject), union(ids, []string{p.ClientID})
	}
	var clients []model.Client
	if err := r.db.Read(ctx).Where("id IN ?", ids).Find(&clients).Error; err != nil {
		return database.Wrap(err, "read clients")
	}
	var users []model.User
	if err := r.db.Read(ctx).Where("id IN ?", subjects).Find(&users).Error; err != nil {
		return database.Wrap(err, "read accounts")
	}
	byID, accounts := make(map[string]model.Client), make(map[string]model.User)
	for _, c := range clients {
		byID[c.ID] = c
	}
	for _, u := range users {
		accounts[u.ID] = u
	}
	for of, p := range known {
		p.client = byID[of.ClientID]
		if p.client.Name != "" {
			p.ClientName = p.client.Name
		}
		p.Owner = p.client.Owner
		if user, ok := accounts[of.Subject]; ok && len(p.rules) == 0 {
			p.disabled = user.DisabledAt.Time
			if p.Username == "" && user.PasswordHash != "" {
				p.Username = user.Username
			}
		}
	}
	return nil
}

// isListed tells whether a person could have used a token in the window. It is not sure where the end of the consent may be on record:
// another part tells that.
func (p *personal) isListed(w *window) (listed, sure bool) {
	over := func(end time.Time) bool { return !end.IsZero() && end.UnixMilli() < w.since }
	switch {
	case p.client.Status == string(client.Deleted) && over(p.client.UpdatedAt.Time), !p.grants && over(p.disabled):
		return false, true
	}
	return true, p.consent || p.live || len(p.rules) > 0
}

// line is the line as far as it is known, with what it comes to now.
func (p *personal) line() Line {
	switch {
	case p.consent:
		p.By = ByConsent
	case len(p.rules) > 0:
		p.By = ByRule + " " + strings.Join(p.rules, " ")
	default:
		p.By = ByGrant
	}
	switch {
	case p.client.ID != "" && p.client.Status != string(client.Active):
		p.Status, p.Until = p.client.Status, p.client.UpdatedAt.Time
	case !p.disabled.IsZero():
		p.Status, p.Until = string(client.Disabled), p.disabled
	case !p.consent && !p.live:
		p.Status, p.Until = Ended, p.ended
	default:
		p.Status = string(client.Active)
	}
	return p.Line
}
