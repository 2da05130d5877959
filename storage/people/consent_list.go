package people

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

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

// parties are who has allowed something, and whom.
type parties struct{ subject, clientID string }

// List returns consents, ordered by subject and client. A client that holds a live grant is listed even where no
// consent is remembered, because it has access all the same; one that was deleted is not.
func (c *Consents) List(ctx context.Context, filter ConsentFilter) ([]Consent, error) {
	found, err := c.remembered(ctx, filter)
	if err != nil {
		return nil, err
	}
	granted, err := c.access.Granted(ctx, filter.Subject, filter.ClientID)
	if err != nil {
		return nil, err
	}
	for _, grant := range granted {
		of := parties{grant.Subject, grant.ClientID}
		switch {
		case found[of] != nil:
			found[of].LastUsedAt = grant.LastUsedAt
		case filter.Username == "": // a grant does not know the name
			found[of] = &grant
		}
	}
	return inOrder(found), nil
}

// inOrder are consents by subject and client.
func inOrder(found map[parties]*Consent) []Consent {
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
func (c *Consents) remembered(ctx context.Context, filter ConsentFilter) (map[parties]*Consent, error) {
	var rows []model.Consent
	err := c.db.Read(ctx).Where(&model.Consent{Subject: filter.Subject, Username: filter.Username, ClientID: filter.ClientID}).
		Where(c.db.SQL(`NOT EXISTS (SELECT 1 FROM {clients} c WHERE c.id = {consents}.client_id AND c.status = 'deleted')`)).
		Order("updated_at, resource, scope").Find(&rows).Error
	if err != nil {
		return nil, database.Wrap(err, "list consents")
	}
	return byParties(rows), nil
}

// byParties puts rows together to consents. They come oldest first.
func byParties(rows []model.Consent) map[parties]*Consent {
	found := make(map[parties]*Consent)
	for _, row := range rows {
		of := parties{row.Subject, row.ClientID}
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
