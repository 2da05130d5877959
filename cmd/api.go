package cmd

import (
	"context"
	"net/http"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
)

// adminAPI makes a client of the admin API. It does not connect yet.
func (a *app) adminAPI(f *apiclient.Flags) (*apiclient.Admin, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return apiclient.NewAdmin(cfg, f)
}

// oauthEndpoint makes a client of an OAuth endpoint, and reads its secret.
func (a *app) oauthEndpoint(ctx context.Context, f *apiclient.CallerFlags, name string) (*apiclient.Endpoint, error) {
	if f.ClientID == "" {
		return nil, terminal.BadUsage("--client-id is missing")
	}
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return apiclient.NewEndpoint(ctx, &a.Terminal, cfg, f, name)
}

// confirmForClient asks before a change to a client that cannot be undone. A client that does not exist is an error.
func confirmForClient(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, yes bool, clientID, consequence string) error {
	if _, err := api.Do(ctx, apiclient.Get("clients", clientID)); err != nil {
		return noClient(ctx, api, err, clientID)
	}
	return out.Confirm(ctx, yes, consequence, clientID)
}

// noClient replaces the admin API's "not found" for a client. Clients and rules about issuers share ids, and a token names either
// as its client_id: so it says where to go with the id of a rule.
func noClient(ctx context.Context, api *apiclient.Admin, err error, id string) error {
	if !apiclient.IsStatus(err, http.StatusNotFound) {
		return err
	}
	id = terminal.Printable(id)
	if isIssuer(ctx, api, id) {
		return apiclient.Instead(err, "there is no client %s: it is a rule about an issuer; see: fosite-mcp issuer show %[1]s, issuer tokens %[1]s, issuer revoke %[1]s", id)
	}
	return apiclient.Instead(err, "there is no client %s; see: fosite-mcp client list", id)
}

// isIssuer tells whether a rule about an issuer has this id.
func isIssuer(ctx context.Context, api *apiclient.Admin, id string) bool {
	_, err := api.Do(ctx, apiclient.Get("issuers", id))
	return err == nil
}

// printChange reports a change: in JSON what the admin API answers, or else result, and in words what format says.
func printChange(out *terminal.Terminal, answer *apiclient.Answer, result map[string]any, format string, args ...any) error {
	if out.JSON && len(answer.Body) > 0 {
		return out.PrintJSON(answer.Body)
	}
	return out.Done(result, format, args...)
}
