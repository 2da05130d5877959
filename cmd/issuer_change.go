package cmd

import (
	"fmt"
	"net/http"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func issuerUpdateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	flags := clientFlags{of: issuerMembers}
	c := &cobra.Command{
		Use: "update ID", Short: "Change a rule about an issuer",
		Long: `Change a rule. What no flag names stays as it is; a list that is given replaces the old one, and claims are merged member by
member, null taking one out (RFC 7396). A change of whom the rule trusts ends the tokens that were issued so far.`,
		Example: `  fosite-mcp issuer update mcp_4xw7 --subject 'repo:my-org/my-repo:environment:production'
  fosite-mcp issuer update mcp_4xw7 --access-token-lifespan 1h`,
		RunE: func(c *cobra.Command, args []string) error {
			fields, err := flags.fields(c, time.Now())
			if err != nil {
				return err
			}
			if len(fields) == 0 {
				return terminal.BadUsage("nothing to change; see %s --help", c.CommandPath())
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			var view issuerView
			after, err := patchUnchanged(c.Context(), api, "issuer", args[0], fields, &view, noIssuer)
			if err != nil {
				return err
			}
			return printIssuer(&a.Terminal, &view, after.Body)
		},
	}
	flags.register(c)
	return c
}

func issuerSwitchCommand(a *app, admin *apiclient.Flags, verb string) *cobra.Command {
	short, told, status := "Let a disabled rule work again", "enabled issuer %s; tokens of workloads that have not ended work again", "active"
	if verb == "disable" {
		short, told, status = "Stop a rule until it is enabled again", "disabled issuer %s: it gives no tokens, and those that it has given are inactive", "disabled"
	}
	return &cobra.Command{
		Use: verb + " ID", Short: short,
		Long:    short + ". Enabling a rule about workloads brings back their tokens that have not\nended; tokens that clients got by identity assertions are gone.",
		Example: "  fosite-mcp issuer " + verb + " mcp_4xw7",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			answer, err := api.Do(c.Context(), apiclient.Post(nil, "issuers", args[0], verb))
			if err != nil {
				return noIssuer(err, args[0])
			}
			return printChange(&a.Terminal, answer, map[string]any{"id": args[0], "status": status}, told, terminal.Printable(args[0]))
		},
	}
}

func issuerDeleteCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "delete ID", Short: "Delete a rule about an issuer for good",
		Long:    "Delete a rule for good: the tokens that it has given stop working at once. To be able to bring it back, disable it instead.",
		Example: "  fosite-mcp issuer delete mcp_4xw7\n  fosite-mcp issuer delete mcp_4xw7 --yes",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			if _, err := api.Do(c.Context(), apiclient.Get("issuers", args[0])); err != nil {
				return noIssuer(err, args[0])
			}
			consequence := fmt.Sprintf("Issuer %s and every token that it has given end at once and for good", args[0])
			if err := a.Confirm(c.Context(), yes, consequence, args[0]); err != nil {
				return err
			}
			if _, err := api.Do(c.Context(), apiclient.Delete("issuers", args[0])); err != nil {
				return noIssuer(err, args[0])
			}
			return a.Done(map[string]any{"id": args[0], "deleted": true}, "deleted issuer %s; its tokens are dead", terminal.Printable(args[0]))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func issuerTokensCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var list apiclient.ListFlags
	var subject string
	var allStatus bool
	c := &cobra.Command{
		Use: "tokens ID", Short: "List the access tokens that a rule has given: what they are for, never the tokens themselves",
		Example: "  fosite-mcp issuer tokens mcp_4xw7\n  fosite-mcp issuer tokens mcp_4xw7 --subject repo:my-org/my-repo:ref:refs/heads/main --all-status",
		RunE: func(c *cobra.Command, args []string) error {
			query, err := list.Query()
			if err != nil {
				return err
			}
			if !allStatus {
				query.Set("active", "true")
			}
			if subject != "" {
				query.Set("subject", subject)
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"issuers", args[0], "tokens"}, Query: query}
			err = printList[tokenView](c.Context(), &a.Terminal, api, call, list.All, "TOKEN ID", "STATUS", "SCOPE", "SUBJECT", "SECRET", "ISSUED", "EXPIRES", "LAST USED")
			return noIssuer(err, args[0])
		},
	}
	list.Register(c)
	c.Flags().StringVar(&subject, "subject", "", "only tokens of this `sub`, in full")
	c.Flags().BoolVar(&allStatus, "all-status", false, "also tokens that have expired or been revoked")
	return c
}

func issuerRevokeCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var r struct {
		all, yes                 bool
		subject, tokenID, before string
	}
	c := &cobra.Command{
		Use: "revoke ID", Short: "Take back tokens that a rule has given",
		Long:    "Take back tokens for good: all that a rule has given, those of one subject or from\nbefore a time, or one. The rule itself goes on giving tokens: disable or delete it, or change whom it trusts.",
		Example: "  fosite-mcp issuer revoke mcp_4xw7 --subject repo:my-org/my-repo:ref:refs/heads/main\n  fosite-mcp issuer revoke mcp_4xw7 --all --yes",
		RunE: func(c *cobra.Command, args []string) error {
			body, what := map[string]any{}, ""
			switch {
			case r.all:
				body["all"], what = true, "every token that issuer "+args[0]+" has given"
			case r.subject != "":
				body["subject"], what = r.subject, "every token of "+r.subject+" that issuer "+args[0]+" has given"
			case r.tokenID != "":
				body["token_id"], what = r.tokenID, "token "+r.tokenID
			case r.before != "":
				t, err := terminal.ParsePast(r.before, time.Now())
				if err != nil {
					return terminal.BadUsage("--issued-before: %w", err)
				}
				body["issued_before"], what = t, "every token that issuer "+args[0]+" has given before "+terminal.Time(&t)
			default:
				return terminal.BadUsage("which tokens? Add --all, --subject, --issued-before or --token-id")
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			if r.tokenID == "" { // more than one token
				if _, err := api.Do(c.Context(), apiclient.Get("issuers", args[0])); err != nil {
					return noIssuer(err, args[0])
				}
				if err := a.Confirm(c.Context(), r.yes, "This ends "+what+", at once and for good", args[0]); err != nil {
					return err
				}
			}
			answer, err := api.Do(c.Context(), apiclient.Post(body, "issuers", args[0], "tokens", "revoke"))
			if apiclient.IsStatus(err, http.StatusNotFound) {
				return apiclient.Instead(err, "there is no issuer %s, or it has given no such token: nothing was revoked; see: fosite-mcp issuer list, issuer tokens", terminal.Printable(args[0]))
			}
			if err != nil {
				return err
			}
			return printChange(&a.Terminal, answer, map[string]any{"revoked": true}, "revoked %s", terminal.Printable(what))
		},
	}
	c.Flags().BoolVar(&r.all, "all", false, "every token that the rule has given")
	c.Flags().StringVar(&r.subject, "subject", "", "every token of this `sub`")
	c.Flags().StringVar(&r.tokenID, "token-id", "", "the token with this `id` (see issuer tokens)")
	c.Flags().StringVar(&r.before, "issued-before", "", "tokens issued before this `time`, or longer ago than 24h")
	c.Flags().BoolVar(&r.yes, "yes", false, "do it without asking")
	c.MarkFlagsMutuallyExclusive("all", "subject", "issued-before", "token-id")
	return c
}
