package people

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Consent is what one person has allowed one client.
type Consent struct {
	Subject, Username    string // Username is empty when only a grant is known
	ClientID, ClientName string
	Scopes, Resources    []string
	CreatedAt            time.Time // the oldest part of it
	LastUsedAt           time.Time // coarse; zero: not known
}

// ConsentFilter says which consents [Consents.List] returns. The zero value means all.
type ConsentFilter struct{ Subject, Username, ClientID string }

// Parties are who has allowed something, and whom.
type Parties struct{ Subject, ClientID string }

// Span is the consents from one pair of parties to another one, both included, in the order of subject and client. nil: all.
type Span struct{ From, To Parties }

// Within adds the condition for the span to tx. table is what the columns are of.
func (s *Span) Within(tx *gorm.DB, table string) *gorm.DB {
	if s == nil {
		return tx
	}
	return tx.Where(fmt.Sprintf("(%[1]s.subject, %[1]s.client_id) >= (?, ?) AND (%[1]s.subject, %[1]s.client_id) <= (?, ?)", table),
		s.From.Subject, s.From.ClientID, s.To.Subject, s.To.ClientID)
}

// List returns consents, ordered by subject and client. A client that holds a live grant is listed even where no
// consent is remembered, because it has access all the same; one that was deleted is not.
func (c *Consents) List(ctx context.Context, filter ConsentFilter) ([]Consent, error) {
	found, err := c.find(ctx, filter, nil)
	return inOrder(found), err
}

// Page is up to limit of the consents of [Consents.List], those after a place. They come in the order of the database, which may differ
// from that of List. next is the place of the next page; nil: there is none.
func (c *Consents) Page(ctx context.Context, filter ConsentFilter, after Parties, limit int) (page []Consent, next *Parties, err error) {
	pairs, err := c.pairs(ctx, filter, after, limit+1)
	if err != nil || len(pairs) == 0 {
		return nil, nil, err
	}
	if len(pairs) > limit {
		pairs, next = pairs[:limit], &pairs[limit-1]
	}
	found, err := c.find(ctx, filter, &Span{pairs[0], pairs[len(pairs)-1]})
	if err != nil {
		return nil, nil, err
	}
	for _, of := range pairs {
		if consent := found[of]; consent != nil { // it may have ended meanwhile
			page = append(page, *consent)
		}
	}
	return page, next, nil
}

// pairs are the parties of a page. Either table is read in the order of its index, as far as it takes.
func (c *Consents) pairs(ctx context.Context, filter ConsentFilter, after Parties, limit int) (pairs []Parties, err error) {
	start := func(table, where string) string {
		if filter.Subject != "" {
			where += " AND o.subject = ?"
		}
		if filter.ClientID != "" {
			where += " AND o.client_id = ?"
		}
		return `SELECT subject, client_id FROM (SELECT DISTINCT o.subject, o.client_id FROM {` + table + `} o WHERE (o.subject, o.client_id) > (?, ?) AND ` + where + `
			AND NOT EXISTS (SELECT 1 FROM {clients} c WHERE c.id = o.client_id AND c.status = 'deleted') ORDER BY o.subject, o.client_id LIMIT ?) p_` + table
	}
	var only []any
	for _, value := range []string{filter.Subject, filter.ClientID} {
		if value != "" {
			only = append(only, value)
		}
	}
	place := []any{after.Subject, after.ClientID}
	var query string
	var args []any
	if filter.Username != "" { // a grant does not know the name
		query, args = start("consents", "o.username = ?"), slices.Concat(place, []any{filter.Username}, only, []any{limit})
	} else {
		live := "o.subject <> '' AND o.rule_id = '' AND o.revoked_at IS NULL AND (o.expires_at IS NULL OR o.expires_at > ?)"
		query = start("consents", "1 = 1") + " UNION " + start("grants", live)
		args = slices.Concat(place, only, []any{limit}, place, []any{model.At(c.now())}, only, []any{limit})
	}
	query += " ORDER BY subject, client_id LIMIT ?"
	err = c.db.Read(ctx).Raw(c.db.SQL(query), append(args, limit)...).Find(&pairs).Error
	return pairs, database.Wrap(err, "list consents")
}

// find are the consents of a span, by their parties.
func (c *Consents) find(ctx context.Context, filter ConsentFilter, span *Span) (map[Parties]*Consent, error) {
	found, err := c.remembered(ctx, filter, span)
	if err != nil {
		return nil, err
	}
	granted, err := c.access.Granted(ctx, Parties{filter.Subject, filter.ClientID}, span)
	if err != nil {
		return nil, err
	}
	for _, grant := range granted {
		of := Parties{grant.Subject, grant.ClientID}
		switch {
		case found[of] != nil:
			found[of].LastUsedAt = grant.LastUsedAt
		case filter.Username == "": // a grant does not know the name
			found[of] = &grant
		}
	}
	return found, nil
}

// inOrder are consents by subject and client.
func inOrder(found map[Parties]*Consent) []Consent {
	list := make([]Consent, 0, len(found))
	for consent := range maps.Values(found) {
		list = append(list, *consent)
	}
	slices.SortFunc(list, func(a, b Consent) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.ClientID, b.ClientID))
	})
	return list
}

// remembered is what people have allowed clients that were not deleted.
func (c *Consents) remembered(ctx context.Context, filter ConsentFilter, span *Span) (map[Parties]*Consent, error) {
	var rows []model.Consent
	err := span.Within(c.db.Read(ctx).DB, c.db.Table("consents")).Where(&model.Consent{Subject: filter.Subject, Username: filter.Username, ClientID: filter.ClientID}).
		Where(c.db.SQL(`NOT EXISTS (SELECT 1 FROM {clients} c WHERE c.id = {consents}.client_id AND c.status = 'deleted')`)).
		Order("updated_at, resource, scope").Find(&rows).Error
	if err != nil {
		return nil, database.Wrap(err, "list consents")
	}
	return byParties(rows), nil
}

// byParties puts rows together to consents. They come oldest first.
func byParties(rows []model.Consent) map[Parties]*Consent {
	found := make(map[Parties]*Consent)
	for _, row := range rows {
		of := Parties{row.Subject, row.ClientID}
		if found[of] == nil {
			found[of] = &Consent{Subject: row.Subject, ClientID: row.ClientID, CreatedAt: row.CreatedAt.Time}
		}
		found[of].add(row)
	}
	return found
}

// add adds a row. They come oldest first, so the last names stand.
func (c *Consent) add(row model.Consent) {
	c.Username, c.ClientName = row.Username, row.ClientName
	if row.CreatedAt.Before(c.CreatedAt) {
		c.CreatedAt = row.CreatedAt.Time
	}
	if row.Scope != "" && !slices.Contains(c.Scopes, row.Scope) {
		c.Scopes = append(c.Scopes, row.Scope)
	}
	if row.Resource != "" && !slices.Contains(c.Resources, row.Resource) {
		c.Resources = append(c.Resources, row.Resource)
	}
}
