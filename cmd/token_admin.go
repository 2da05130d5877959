package cmd

import (
	"context"
	"net/http"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func tokenListCommand(a *app) *cobra.Command {
	var admin apiclient.Flags
	var list apiclient.ListFlags
	var allStatus bool
	c := &cobra.Command{
		Use:     "list CLIENT_ID",
		Short:   "List a client's access tokens: what they are for, never the tokens themselves",
		Example: "  fosite-mcp token list mcp_4xw7\n  fosite-mcp token list mcp_4xw7 --all-status --all --json",
		RunE: func(c *cobra.Command, args []string) error {
			query, err := list.Query()
			if err != nil {
				return err
			}
			if !allStatus {
				query.Set("active", "true")
			}
			api, err := a.adminAPI(&admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"clients", args[0], "tokens"}, Query: query}
			err = printList[tokenView](c.Context(), &a.Terminal, api, call, list.All,
				"TOKEN ID", "STATUS", "SCOPE", "SUBJECT", "SECRET", "ISSUED", "EXPIRES", "LAST USED")
			return noClient(c.Context(), api, err, args[0])
		},
	}
	admin.Register(c)
	list.Register(c)
	c.Flags().BoolVar(&allStatus, "all-status", false, "also tokens that have expired or been revoked")
	return c
}

// tokenView is what is known about an access token: never the token itself.
type tokenView struct {
	ID         string     `json:"token_id"`
	Status     string     `json:"status"`
	Scope      string     `json:"scope"`
	Subject    string     `json:"subject"`
	SecretID   string     `json:"secret_id"`
	IssuedAt   *time.Time `json:"issued_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func (v tokenView) cells() []string {
	return []string{v.ID, v.Status, v.Scope, v.Subject, v.SecretID, terminal.Time(v.IssuedAt), terminal.Time(v.ExpiresAt), terminal.Time(v.LastUsedAt)}
}

// revocation says which tokens to revoke.
type revocation struct {
	clientID                          string
	all, yes, allClients              bool
	tokenID, secretID, before, byFile string
}

func tokenRevokeCommand(a *app) *cobra.Command {
	var admin apiclient.Flags
	var r revocation
	c := &cobra.Command{
		Use:   "revoke",
		Short: "Take tokens back",
		Long: `Take tokens back, for good: one by its value or its id, all that were issued with one secret or before a time, or
all tokens of a client. They are inactive from the next introspection on. A secret that has leaked goes on making tokens:
client rotate --leaked ends it together with them.

With --all-clients --issued-before or --all they are those of every client and person: everybody has to get new ones. It
needs an admin key of the role admin. Browsers stay logged in.`,
		Example: `  fosite-mcp token revoke --client-id mcp_4xw7 --all
  fosite-mcp token revoke --client-id mcp_4xw7 --issued-before 24h
  fosite-mcp token revoke --token-file - < leaked-token.txt
  fosite-mcp token revoke --all-clients --issued-before 2026-11-26T09:30:00Z`,
		RunE: func(c *cobra.Command, _ []string) error { return a.revokeSelected(c.Context(), &admin, &r) },
	}
	admin.Register(c)
	flags := c.Flags()
	flags.StringVar(&r.clientID, "client-id", "", "`id` of the client whose tokens are revoked")
	flags.BoolVar(&r.allClients, "all-clients", false, "tokens of every client and person")
	flags.BoolVar(&r.all, "all", false, "every token that was issued so far")
	flags.StringVar(&r.tokenID, "token-id", "", "the token with this `id` (see token list)")
	flags.StringVar(&r.secretID, "secret-id", "", "tokens issued with the secret of this `id` (see client show)")
	flags.StringVar(&r.before, "issued-before", "", "tokens issued before this `time`, or longer ago than 24h")
	flags.StringVar(&r.byFile, "token-file", "", "the token that is in this `file`, - for stdin")
	flags.BoolVar(&r.yes, "yes", false, "do it without asking")
	c.MarkFlagsMutuallyExclusive("all", "token-id", "secret-id", "issued-before", "token-file")
	c.MarkFlagsMutuallyExclusive("client-id", "all-clients", "token-file")
	c.MarkFlagsMutuallyExclusive("all-clients", "token-id")
	c.MarkFlagsMutuallyExclusive("all-clients", "secret-id")
	return c
}

func (a *app) revokeSelected(ctx context.Context, admin *apiclient.Flags, r *revocation) error {
	if r.byFile == "" && r.clientID == "" && !r.allClients {
		return terminal.BadUsage("which tokens? Give --client-id ID with one of --all, --token-id, --secret-id and --issued-before, or --token-file FILE alone, " +
			"or --all-clients with --issued-before or --all")
	}
	if r.byFile != "" {
		token, err := a.ReadSecret(ctx, "token", "--token-file", r.byFile, "")
		if err != nil {
			return err
		}
		api, err := a.adminAPI(admin)
		if err != nil {
			return err
		}
		return revokeToken(ctx, &a.Terminal, api, token)
	}
	body, what, err := r.selection(time.Now())
	if err != nil {
		return err
	}
	api, err := a.adminAPI(admin)
	if err != nil {
		return err
	}
	if r.allClients {
		return revokeAllTokens(ctx, &a.Terminal, api, r.yes, body, what)
	}
	return revokeTokens(ctx, &a.Terminal, api, r, body, what)
}

// revokeToken revokes a token by its value.
func revokeToken(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, token string) error {
	answer, err := api.Do(ctx, apiclient.Post(map[string]string{"token": token}, "tokens", "revoke"))
	if err != nil {
		return err
	}
	return printChange(out, answer, map[string]any{"revoked": true}, "the token is revoked")
}

// selection is the body of the request, and what it does in words.
func (r *revocation) selection(now time.Time) (body map[string]any, what string, err error) {
	of := "client " + r.clientID
	if r.allClients {
		of = "every client and person"
	}
	switch {
	case r.all:
		return map[string]any{"all": true}, "every token of " + of, nil
	case r.tokenID != "":
		return map[string]any{"token_id": r.tokenID}, "token " + r.tokenID, nil
	case r.secretID != "":
		return map[string]any{"secret_id": r.secretID}, "every token issued with secret " + r.secretID, nil
	case r.before != "":
		t, err := terminal.ParsePast(r.before, now)
		if err != nil {
			return nil, "", terminal.BadUsage("--issued-before: %w", err)
		}
		body = map[string]any{"issued_before": t}
		if r.allClients {
			body["all"] = true
		}
		return body, "every token of " + of + " issued before " + terminal.Time(&t), nil
	case r.allClients:
		return nil, "", terminal.BadUsage("which tokens of all clients? Add --issued-before TIME, or --all for those issued so far")
	}
	return nil, "", terminal.BadUsage("which tokens? Add --all, --token-id, --secret-id or --issued-before")
}

// revokeAllTokens revokes tokens of all clients and people.
func revokeAllTokens(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, yes bool, body map[string]any, what string) error {
	if err := out.Confirm(ctx, yes, "This ends "+what+", at once and for good", "all-clients"); err != nil {
		return err
	}
	answer, err := api.Do(ctx, apiclient.Post(body, "tokens", "revoke"))
	if err != nil {
		return err
	}
	return printChange(out, answer, map[string]any{"revoked": true}, "revoked %s", what)
}

// revokeTokens revokes tokens of a client: body selects them, what names them.
func revokeTokens(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, r *revocation, body map[string]any, what string) error {
	if r.tokenID == "" { // more than one token
		if err := confirmForClient(ctx, out, api, r.yes, r.clientID, "This ends "+what+", at once and for good"); err != nil {
			return err
		}
	}
	answer, err := api.Do(ctx, apiclient.Post(body, "clients", r.clientID, "tokens", "revoke"))
	if apiclient.IsStatus(err, http.StatusNotFound) {
		if r.tokenID != "" && isIssuer(ctx, api, r.clientID) {
			return apiclient.Instead(err, "%s is a rule about an issuer; revoke its tokens with: fosite-mcp issuer revoke %[1]s --token-id %s", terminal.Printable(r.clientID), terminal.Printable(r.tokenID))
		}
		return apiclient.Instead(err, "there is no client %s, or it has nothing with this id: nothing was revoked; see: fosite-mcp token list, client show", terminal.Printable(r.clientID))
	}
	if err != nil {
		return err
	}
	if err := printChange(out, answer, map[string]any{"revoked": true}, "revoked %s", terminal.Printable(what)); err != nil {
		return err
	}
	if r.secretID != "" {
		out.Notice("secret %s itself goes on working; if it has leaked: fosite-mcp client delete-secret %s %[1]s", terminal.Printable(r.secretID), terminal.Printable(r.clientID))
	}
	return nil
}
