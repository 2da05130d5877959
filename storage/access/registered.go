package access

import (
	"context"
	"slices"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// registered are the clients that get tokens for themselves, and the rules about issuers.
func (r *Reader) registered(ctx context.Context, w *window, after Cursor, limit int) (lines []Line, last Cursor, more bool, err error) {
	// What was changed since the window began may have been otherwise in it.
	tx := r.db.Read(ctx).Where("(created_at, id) > (?, ?) AND created_at < ?", after.Number, after.ID, w.until).
		Where("(status = 'active' AND (expires_at IS NULL OR expires_at > ?) OR updated_at >= ?)", w.since, w.since).
		Where("(issuer <> '' OR grant_types LIKE '%client_credentials%' OR updated_at >= ?)", w.since)
	if w.filter.ClientIDs != nil {
		tx = tx.Where("id IN ?", w.filter.ClientIDs)
	}
	var rows []model.Client
	if err := tx.Order("created_at, id").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, last, false, database.Wrap(err, "list clients")
	}
	if more = len(rows) > limit; more {
		rows = rows[:limit]
	}
	if len(rows) == 0 {
		return nil, last, false, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	events, err := r.changes(ctx, w, ids)
	if err != nil {
		return nil, last, false, err
	}
	tokens, err := r.tokensOf(ctx, w, ids)
	if err != nil {
		return nil, last, false, err
	}
	for i := range rows {
		row := &rows[i]
		line, ok := lineOf(w, row, events[row.ID])
		if !ok {
			continue
		}
		known := tokens[row.ID]
		line.FirstToken, line.LastToken, line.LastUsed = known.First.Time, known.Last.Time, row.LastUsedAt.Time
		lines = append(lines, line)
	}
	end := &rows[len(rows)-1]
	return lines, Cursor{Number: end.CreatedAt.UnixMilli(), ID: end.ID}, more, nil
}

// lineOf goes back from what a client is today through what was changed, the last change first. The client is left out if it could
// get no token for itself at any time in the window.
func lineOf(w *window, row *model.Client, events []model.AuditEvent) (line Line, ok bool) {
	line = Line{Kind: Client, ClientID: row.ID, By: ByRegistration, From: row.CreatedAt.Time}
	if row.Issuer != "" {
		line.Kind = Issuer
	}
	line.Status = string((&client.Client{Status: client.Status(row.Status), ExpiresAt: row.ExpiresAt.Time}).StatusAt(at(w.now)))
	past := registration{
		name: row.Name, owner: row.Owner, status: row.Status, scopes: row.Scope, resources: row.Audience, grants: row.GrantTypes, expires: row.ExpiresAt.Time,
	}
	line.ClientName, line.Owner = past.name, past.owner
	line.Until = past.end(row, events)
	alone := false
	since := func(from int64) { // past was in force from here on
		if from >= w.until || !past.usable(max(from, w.since)) {
			return
		}
		ok = true
		alone = alone || line.Kind == Issuer || slices.Contains(past.grants, "client_credentials")
		line.Scopes, line.Resources = union(line.Scopes, past.scopes), union(line.Resources, past.resources)
	}
	for i := range events {
		since(events[i].Time.UnixMilli())
		past.undo(line.Kind, events[i].Changes)
		if line.ClientName == "" && line.Owner == "" { // erased
			line.ClientName, line.Owner = past.name, past.owner
		}
	}
	since(row.CreatedAt.UnixMilli())
	return line, ok && alone
}

// end is when a client stopped getting tokens; zero: it gets them still.
func (p *registration) end(row *model.Client, events []model.AuditEvent) time.Time {
	if p.status == string(client.Active) {
		return p.expires
	}
	for i := range events {
		if _, changed := memberOf(events[i].Changes, "status"); changed {
			return events[i].Time.Time
		}
	}
	return row.UpdatedAt.Time
}

// union adds what is not there yet.
func union(list, more []string) []string {
	for _, entry := range more {
		if entry != "" && !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	return list
}
