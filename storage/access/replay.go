package access

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// notOfTokens is the condition of the index by action, which leaves out the events that are many.
const notOfTokens = "action <> 'token.issued' AND action <> 'token.revoked'"

// changing are the actions that change what a client or rule may do.
var changing = []string{
	"client.changed", "client.disabled", "client.enabled", "client.deleted", "issuer.changed", "issuer.disabled", "issuer.enabled", "issuer.deleted",
}

// changes are the events since the window began that changed clients, by client, the last one first.
func (r *Reader) changes(ctx context.Context, w *window, ids []string) (map[string][]model.AuditEvent, error) {
	var rows []model.AuditEvent
	err := r.db.Read(ctx).Select("id", "time", "client_id", "action", "changes").Where("action IN ? AND client_id IN ? AND time >= ?", changing, ids, w.since).
		Where(notOfTokens).Order("id DESC").Find(&rows).Error
	if err != nil {
		return nil, database.Wrap(err, "read the changes of clients")
	}
	found := make(map[string][]model.AuditEvent)
	for _, row := range rows {
		found[row.ClientID] = append(found[row.ClientID], row)
	}
	return found, nil
}

// registration is what a client was registered with at some time.
type registration struct {
	name, owner, status       string
	scopes, resources, grants []string
	expires                   time.Time
}

// usable tells whether the client could get a token at a time, in Unix milliseconds, or soon after it.
func (p *registration) usable(from int64) bool {
	return p.status == string(client.Active) && (p.expires.IsZero() || p.expires.UnixMilli() > from)
}

// undo takes a change back.
func (p *registration) undo(kind string, changes model.JSON) {
	text := func(name string, into *string) {
		if before, changed := memberOf(changes, name); changed {
			*into = ""
			_ = json.Unmarshal(before, into) // null: it had none
		}
	}
	list := func(name string, into *[]string) {
		if before, changed := memberOf(changes, name); changed {
			*into = nil
			_ = json.Unmarshal(before, into)
		}
	}
	name, resources := "client_name", "audience"
	if kind == Issuer {
		name, resources = "name", "resource"
	}
	text(name, &p.name)
	text("owner", &p.owner)
	text("status", &p.status)
	list(resources, &p.resources)
	list("grant_types", &p.grants)
	if before, changed := memberOf(changes, "scope"); changed {
		scope := ""
		_ = json.Unmarshal(before, &scope)
		p.scopes = strings.Fields(scope)
	}
	if before, changed := memberOf(changes, "expires_at"); changed {
		p.expires = time.Time{}
		_ = json.Unmarshal(before, &p.expires)
	}
}

// memberOf is what a member was before a change.
func memberOf(changes model.JSON, name string) (before json.RawMessage, changed bool) {
	var members map[string]struct{ Before json.RawMessage }
	if json.Unmarshal(changes, &members) != nil {
		return nil, false
	}
	member, changed := members[name]
	return member.Before, changed
}

// issued is when the first and the last token was issued.
type issued struct {
	ID          string
	First, Last model.Time
}

// tokensOf are the tokens of clients that were valid in the window, as far as they are known: their rows, and events. The indexes have
// the first and the last one.
func (r *Reader) tokensOf(ctx context.Context, w *window, ids []string) (map[string]issued, error) {
	found := make(map[string]issued)
	add := func(query string, args ...any) error {
		var rows []issued
		err := r.db.Read(ctx).Table(r.db.Table("clients")+" AS c").Select(query, args...).Where("c.id IN ?", ids).Find(&rows).Error
		for _, row := range rows {
			known := found[row.ID]
			known.First, known.Last = earlier(known.First, row.First), later(known.Last, row.Last)
			found[row.ID] = known
		}
		return database.Wrap(err, "read the tokens of clients")
	}
	valid := " FROM " + r.db.Table("access_tokens") + " t WHERE t.client_id = c.id AND t.issued_at < ? AND (t.expires_at IS NULL OR t.expires_at > ?)"
	err := add("c.id, (SELECT MIN(t.issued_at)"+valid+") AS first, (SELECT MAX(t.issued_at)"+valid+") AS last", w.until, w.since, w.until, w.since)
	if err != nil || !w.filter.Recorded {
		return found, err
	}
	events := r.db.Table("audit_events")
	of := func(order string) string { // the ids keep the index from passing by what is outside of the window
		return "(SELECT e.time FROM " + events + " e WHERE e.client_id = c.id AND e.action = 'token.issued'" +
			" AND e.id >= (SELECT MIN(id) FROM " + events + " WHERE time >= ?) AND e.id <= (SELECT MAX(id) FROM " + events + " WHERE time < ?)" +
			" ORDER BY e.id " + order + " LIMIT 1)"
	}
	err = add("c.id, "+of("ASC")+" AS first, "+of("DESC")+" AS last", w.since, w.until, w.since, w.until)
	return found, err
}

func earlier(a, b model.Time) model.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a.Time) {
		return b
	}
	return a
}

func later(a, b model.Time) model.Time {
	if b.After(a.Time) {
		return b
	}
	return a
}
