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
	granted, err := r.grantedBefore(ctx, events)
	if err != nil {
		return nil, last, false, err
	}
	for i := range events {
		line, ok, err := r.ofWithdrawal(ctx, w, &events[i], granted[partiesOf(&events[i])])
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

// partiesOf is whose consent an event is about.
func partiesOf(event *model.AuditEvent) pair {
	return pair{textIn(event.Changes, "subject"), event.ClientID}
}

// grantedBefore are the events of consents that were given before they were withdrawn, the oldest first. They are read at once: each
// look reads all that the clients have.
func (r *Reader) grantedBefore(ctx context.Context, withdrawn []model.AuditEvent) (map[pair][]*model.AuditEvent, error) {
	var of []pair
	last := int64(0)
	for i := range withdrawn {
		of, last = append(of, partiesOf(&withdrawn[i])), max(last, withdrawn[i].ID)
	}
	var rows []model.AuditEvent
	err := r.consentEvents(ctx, "consent.granted", of).Where("id < ?", last).Order("id").Find(&rows).Error
	found := make(map[pair][]*model.AuditEvent)
	for i := range rows {
		parties := partiesOf(&rows[i])
		found[parties] = append(found[parties], &rows[i])
	}
	return found, database.Wrap(err, "read consents on record")
}

// ofWithdrawal is the line about a consent that has ended; granted is when it was given. It is left out if that was after the window.
func (r *Reader) ofWithdrawal(ctx context.Context, w *window, event *model.AuditEvent, granted []*model.AuditEvent) (line Line, ok bool, err error) {
	of := partiesOf(event)
	line = Line{Kind: Person, ClientID: of.ClientID, Subject: of.Subject, By: ByConsent, Until: event.Time.Time, Status: Ended}
	line.Username = textIn(event.Changes, "username")
	line.Scopes, line.Resources = strings.Fields(textIn(event.Changes, "scope")), strings.Fields(textIn(event.Changes, "resource"))
	var given model.AuditEvent // the last time within or before the window
	after := false
	for _, g := range granted {
		switch {
		case g.ID >= event.ID:
		case g.Time.UnixMilli() < w.until:
			given = *g
		default:
			after = true
		}
	}
	if line.From = given.Time.Time; line.From.IsZero() && event.Time.UnixMilli() >= w.until && after {
		return line, false, nil
	}
	if len(line.Scopes) == 0 { // an earlier version did not tell
		line.Username = textIn(given.Changes, "username")
		line.Scopes, line.Resources = strings.Fields(textIn(given.Changes, "scope")), strings.Fields(textIn(given.Changes, "resource"))
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

// haveWithdrawn are those of people whose end of consent is on record since the window began, and perhaps others.
func (r *Reader) haveWithdrawn(ctx context.Context, w *window, of []pair) (map[pair]bool, error) {
	if len(of) == 0 {
		return nil, nil
	}
	var rows []model.AuditEvent
	err := r.consentEvents(ctx, "consent.withdrawn", of).Where("time >= ?", w.since).Find(&rows).Error
	found := make(map[pair]bool)
	for i := range rows {
		found[partiesOf(&rows[i])] = true
	}
	return found, database.Wrap(err, "read the ends of consents")
}

// consentEvents are the events of an action about any of these people and any of their clients. The database finds the subject in the
// text of an event, which may be no JSON where somebody has tampered with it.
func (r *Reader) consentEvents(ctx context.Context, action string, of []pair) *gorm.DB {
	subjectIn := "CASE WHEN JSON_VALID(changes) THEN JSON_EXTRACT(changes, '$.subject.after') END IN ?"
	if r.db.Postgres {
		subjectIn = `SUBSTRING(changes FROM '"subject":\{"after":("([^"\\]|\\.)*")') IN ?`
	}
	var subjects, ids []string
	for _, p := range of {
		subject := p.Subject
		if r.db.Postgres {
			encoded, _ := json.Marshal(subject) // a string
			subject = string(encoded)
		}
		subjects, ids = append(subjects, subject), union(ids, []string{p.ClientID})
	}
	return r.db.Read(ctx).Select("id", "time", "client_id", "changes").Where("action = ? AND client_id IN ?", action, ids).
		Where(notOfTokens).Where(subjectIn, subjects)
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
