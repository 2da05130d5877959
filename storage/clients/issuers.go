package clients

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Issuers keeps the rules about issuers whose assertions are exchanged for tokens. It is a [Registry] of these alone: a
// [client.Client] in it has a Trust.
func (r *Registry) Issuers() *Registry {
	issuers := *r
	issuers.kind = areIssuers
	return &issuers
}

// endGrants ends what clients were granted by a rule up to the time at. The rule is locked by the change that it ends with.
func (r *Registry) endGrants(tx *database.Tx, id string, at time.Time) error {
	if r.kind != areIssuers {
		return nil
	}
	_, err := tx.Run(`UPDATE {grants} SET revoked_at = ? WHERE rule_id = ? AND revoked_at IS NULL AND created_at <= ?`,
		model.Millis(r.now()), id, model.Millis(at))
	if err != nil {
		return fmt.Errorf("storage: end the grants of a rule: %w", err)
	}
	return nil
}

// HasIssuers tells whether a rule of this profile is in force.
func (r *Registry) HasIssuers(ctx context.Context, profile client.Profile) (bool, error) {
	var rows []model.Client
	if err := r.db.Read(ctx).Where("status = ? AND trust LIKE ?", client.Active, `%"profile":"`+string(profile)+`"%`).Where(areIssuers).Find(&rows).Error; err != nil {
		return false, fmt.Errorf("storage: read the rules about issuers: %w", err)
	}
	for i := range rows {
		rule, err := rows[i].Client()
		if err != nil {
			return false, err
		}
		if rule.Trust.Profile == profile && (rule.ExpiresAt.IsZero() || r.now().Before(rule.ExpiresAt)) {
			return true, nil
		}
	}
	return false, nil
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
