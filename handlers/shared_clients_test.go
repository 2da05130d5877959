package handlers_test

import (
	"context"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// checkClients runs after each test. Requests of a client share its lists and keys, so nothing may change them: they are what is
// stored.
func (f *fixture) checkClients() {
	ctx := context.Background()
	stored, _, err := f.store.Clients().List(ctx, clients.Filter{Limit: 1000})
	if err != nil {
		return // the test has taken the database away
	}
	for _, want := range stored {
		got, err := f.store.GetClient(ctx, want.ID)
		if err != nil {
			continue // disabled, or expired
		}
		if diff := cmp.Diff(want, client.Of(got), cmpopts.IgnoreUnexported(client.Client{}),
			cmpopts.IgnoreFields(client.Client{}, "LastUsedAt", "Secrets"), cmpopts.EquateEmpty()); diff != "" {
			f.t.Errorf("a request has changed what all requests of the client %s share (-stored +shared):\n%s", want.ID, diff)
		}
	}
}
