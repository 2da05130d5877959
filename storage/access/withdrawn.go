package access

import (
	"context"
	"encoding/json"
	"strings"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// withdrawn are consents that have ended since the window began, as the audit log tells them.
func (r *Reader) withdrawn(ctx context.Context, w *window, after Cursor, limit int) (lines []Line, last Cursor, more bool, err error) {
	tx := r.db.Read(ctx).Where("action = 'consent.withdrawn' AND (client_id, id) > (?, ?) AND time >= ?", after.ID, after.Number, w.since).Where(notOfTokens)
	if w.filter.ClientIDs != nil {
		tx = tx.Where("client_id IN ?", w.filter.ClientIDs)
	}
	var events []model.AuditEvent
	if err := tx.Order("client_id, id").Limit(limit + 1).Find(&events).Error; err != nil {
		return nil, last, false, database.Wrap(err, "list consents that have ended")
	}
	if more = len(events) > limit; more {
		events = events[:limit]
	}
	if len(events) == 0 {
		return nil, last, false, nil
	}
	names, err := r.clientNames(ctx, events)
	if err != nil {
		return nil, last, false, err
	}
	for i := range events {
		line, ok, err := r.ofWithdrawal(ctx, w, &events[i])
		if err != nil {
			return nil, last, false, err
		}
		if ok {
			line.ClientName, line.Owner = names[line.ClientID].Name, names[line.ClientID].Owner
			lines = append(lines, line)
		}
	}
	end := &events[len(events)-1]
	return lines, Cursor{ID: end.ClientID, Number: end.ID}, more, nil
}

func (r *Reader) clientNames(ctx context.Context, events []model.AuditEvent) (map[string]model.Client, error) {
	var ids []string
	for i := range events {
		ids = union(ids, []string{events[i].ClientID})
	}
	var clients []model.Client
	err := r.db.Read(ctx).Where("id IN ?", ids).Find(&clients).Error
	names := make(map[string]model.Client)
	for _, c := range clients {
		names[c.ID] = c
	}
	return names, database.Wrap(err, "read clients")
}

// ofWithdrawal is the line about a consent that has ended. It is left out if the consent was given after the window.
func (r *Reader) ofWithdrawal(ctx context.Context, w *window, event *model.AuditEvent) (line Line, ok bool, err error) {
	line = Line{Kind: Person, ClientID: event.ClientID, By: ByConsent, Until: event.Time.Time, Status: Ended}
	line.Subject, line.Username = textIn(event.Changes, "subject"), textIn(event.Changes, "username")
	line.Scopes, line.Resources = strings.Fields(textIn(event.Changes, "scope")), strings.Fields(textIn(event.Changes, "resource"))
	of := pair{line.Subject, line.ClientID}
	var granted model.AuditEvent
	found := r.consentEvents(ctx, "consent.granted", of).Where("id < ? AND time < ?", event.ID, w.until).Order("id DESC").Limit(1).Find(&granted)
	if found.Error != nil {
		return line, false, database.Wrap(found.Error, "read a consent")
	}
	if line.From = granted.Time.Time; line.From.IsZero() && event.Time.UnixMilli() >= w.until {
		var after int64
		err := r.consentEvents(ctx, "consent.granted", of).Where("id < ?", event.ID).Count(&after).Error
		if err != nil || after > 0 {
			return line, false, database.Wrap(err, "read a consent")
		}
	}
	if len(line.Scopes) == 0 { // an earlier version did not tell
		line.Username = textIn(granted.Changes, "username")
		line.Scopes, line.Resources = strings.Fields(textIn(granted.Changes, "scope")), strings.Fields(textIn(granted.Changes, "resource"))
	}
	return line, true, r.addTokens(ctx, w, of, &line)
}

// addTokens adds what is left of the tokens of a consent that has ended.
func (r *Reader) addTokens(ctx context.Context, w *window, of pair, line *Line) error {
	var row struct{ First, Last, Used model.Time }
	err := r.db.Read(ctx).Table(r.db.Table("grants")+" AS g").
		Select("MIN(t.issued_at) AS first, MAX(t.issued_at) AS last, MAX(t.last_used_at) AS used").
		Joins("JOIN "+r.db.Table("access_tokens")+" t ON t.request_id = g.id AND t.issued_at < ? AND (t.expires_at IS NULL OR t.expires_at > ?)", w.until, w.since).
		Where("g.subject = ? AND g.client_id = ? AND g.rule_id = '' AND g.created_at < ?", of.Subject, of.ClientID, model.At(line.Until)).Find(&row).Error
	line.FirstToken, line.LastToken, line.LastUsed = row.First.Time, row.Last.Time, row.Used.Time
	return database.Wrap(err, "read the tokens of a consent")
}

// isWithdrawn tells whether the end of a person's consent is on record since the window began.
func (r *Reader) isWithdrawn(ctx context.Context, w *window, of pair) (bool, error) {
	var n int64
	err := r.consentEvents(ctx, "consent.withdrawn", of).Where("time >= ?", w.since).Count(&n).Error
	return n > 0, database.Wrap(err, "read the end of a consent")
}

// consentEvents are the events of an action about a person and a client.
func (r *Reader) consentEvents(ctx context.Context, action string, of pair) *gorm.DB {
	position := "INSTR(changes, ?) > 0"
	if r.db.Postgres {
		position = "STRPOS(changes, ?) > 0"
	}
	subject, _ := json.Marshal(of.Subject) // a string
	return r.db.Read(ctx).Model(&model.AuditEvent{}).Where("action = ? AND client_id = ?", action, of.ClientID).Where(notOfTokens).
		Where(position, `"subject":{"after":`+string(subject)+`}`)
}

// textIn is a member of an event's changes, after or else before the change.
func textIn(changes model.JSON, name string) string {
	var members map[string]struct{ Before, After any }
	if json.Unmarshal(changes, &members) != nil {
		return ""
	}
	text, ok := members[name].After.(string)
	if !ok {
		text, _ = members[name].Before.(string)
	}
	return text
}
