package clients

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"
)

// Issuers keeps the rules about issuers whose assertions are exchanged for tokens. It is a [Registry] of these alone: a
// [client.Client] in it has a Trust.
func (r *Registry) Issuers() *Registry {
	issuers := *r
	issuers.kind = areIssuers
	return &issuers
}

// OfIssuer returns the rules about an issuer that are in force, in the order in which they were made.
func (r *Registry) OfIssuer(ctx context.Context, issuer string) (rules []*client.Client, err error) {
	if issuer == "" || !model.Storable(issuer) {
		return nil, nil
	}
	var rows []model.Client
	if err := r.db.Read(ctx).Where("issuer = ? AND status = ?", issuer, client.Active).Where(areIssuers).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("storage: read the rules about an issuer: %w", err)
	}
	for i := range rows {
		rule, err := rows[i].Client()
		if err != nil {
			return nil, err
		}
		if rule.ExpiresAt.IsZero() || r.now().Before(rule.ExpiresAt) {
			rules = append(rules, rule)
		}
	}
	slices.SortFunc(rules, func(a, b *client.Client) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return rules, nil
}
