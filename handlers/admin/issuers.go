package admin

import (
	"context"

	"fosite-mcp/provider/client"
)

// endWhatChanged ends the tokens of a rule that trusts others now: those that it has issued may be of nobody it still trusts. A
// workload gets another one with its next assertion.
func (a *api) endWhatChanged(ctx context.Context, before, after *client.Client) error {
	same, err := client.TrustsTheSame(before, after)
	if err != nil || same {
		return err
	}
	return a.Store.Issuers().Revoke(ctx, before.ID)
}
