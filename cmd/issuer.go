package cmd

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"

	"github.com/spf13/cobra"
)

// issuerCommand is the group of commands on rules about issuers, whose assertions are exchanged for tokens.
func issuerCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "issuer",
		Short: "Trust a platform or an enterprise: its assertions are exchanged for tokens",
		Long: `Make and manage rules about issuers through the admin API of a running server. A job or a pod then gets a token with the
JWT that its platform signs, without a client and a secret; and a client gets one for a person whose enterprise says so.`,
		Example: "  fosite-mcp issuer create --name ci --preset github-actions --subject 'repo:my-org/my-repo:ref:refs/heads/main'\n  fosite-mcp issuer list",
	}
	var admin apiclient.Flags
	admin.Register(c)
	c.AddCommand(issuerCreateCommand(a, &admin), issuerListCommand(a, &admin), issuerShowCommand(a, &admin), issuerUpdateCommand(a, &admin),
		issuerSwitchCommand(a, &admin, "enable"), issuerSwitchCommand(a, &admin, "disable"), issuerDeleteCommand(a, &admin),
		issuerTokensCommand(a, &admin), issuerRevokeCommand(a, &admin))
	return c
}

var issuerMembers = &memberSet{noun: "issuer", names: client.IssuerMemberNames(), kindOf: client.IssuerKindOf, help: map[string]string{
	"name":     "name of the rule for people",
	"owner":    "who answers for the rule",
	"profile":  "whose assertions: `workload`, or id-jag for clients that an enterprise lets in (default workload)",
	"issuer":   "`iss` of the assertions, byte by byte",
	"audience": "`aud` of the assertions; repeatable (default: this server's issuer or token URL)",
	"subject":  "`sub` of the assertions; * stands for any characters but / and :, ** for any at all",
	"claims":   "further claims as a JSON `object`, with the same wildcards; all must hold",
	"reusable": "an assertion counts more than once, until it expires",
	"scope":    "`scopes` of the tokens, separated by spaces; repeatable",
	"resource": "resource `URI` that the tokens may be for; repeatable",
	"jwks_uri": "`URI` of the issuer's public keys (default: the issuer's metadata names it)",
	"metadata": "a JSON `object` of your own",
}}

// issuerView is a rule as the admin API shows it.
type issuerView struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Profile    string     `json:"profile"`
	Issuer     string     `json:"issuer"`
	Subject    string     `json:"subject"`
	Scope      string     `json:"scope"`
	Status     string     `json:"status"`
	LastUsedAt *time.Time `json:"last_used_at"`

	members map[string]json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *issuerView) UnmarshalJSON(body []byte) error {
	type fields issuerView
	if err := json.Unmarshal(body, (*fields)(v)); err != nil {
		return err
	}
	return json.Unmarshal(body, &v.members)
}

func (v issuerView) cells() []string {
	return []string{v.ID, v.Name, v.Status, v.Profile, v.Issuer, v.Subject, v.Scope, terminal.Time(v.LastUsedAt)}
}

// printIssuer prints what the API has answered about a rule.
func printIssuer(out *terminal.Terminal, view *issuerView, body []byte) error {
	if out.JSON {
		return out.PrintJSON(body)
	}
	names := slices.Concat(client.IssuerMemberNames()[1:], []string{"created_at", "updated_at", "last_used_at"})
	pairs, err := memberPairs([]string{"id", view.ID}, names, view.members)
	if err != nil {
		return err
	}
	return out.Fields(pairs...)
}

// noIssuer replaces the admin API's "not found" for a rule.
func noIssuer(err error, id string) error {
	if apiclient.IsStatus(err, http.StatusNotFound) {
		return apiclient.Instead(err, "there is no issuer %s; see: fosite-mcp issuer list", terminal.Printable(id))
	}
	return err
}

func issuerCreateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	flags := clientFlags{of: issuerMembers}
	var id, preset string
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a rule about an issuer",
		Long:  "Make a rule about an issuer. Assertions of the issuer that fit it are exchanged for access tokens at the token endpoint.",
		Example: `  fosite-mcp issuer create --name ci --preset github-actions --subject 'repo:my-org/my-repo:ref:refs/heads/main'
  fosite-mcp issuer create --name indexer --preset kubernetes --issuer https://oidc.cluster.example/id --subject system:serviceaccount:search:indexer
  fosite-mcp issuer create --name acme --profile id-jag --issuer https://acme.idp.example`,
		RunE: func(c *cobra.Command, _ []string) error {
			fields, err := flags.fields(c, time.Now())
			if err != nil {
				return err
			}
			if fields["name"] == nil || fields["name"] == "" {
				return terminal.BadUsage("--name is missing: a name tells people which rule this is")
			}
			if id != "" {
				fields["id"] = id
			}
			if preset != "" {
				fields["preset"] = preset
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			var view issuerView
			answer, err := api.Decode(c.Context(), apiclient.Post(fields, "issuers"), &view)
			if err != nil {
				return err
			}
			return printIssuer(&a.Terminal, &view, answer.Body)
		},
	}
	flags.register(c)
	c.Flags().StringVar(&id, "id", "", "`id` of your choice (default: a random one)")
	c.Flags().StringVar(&preset, "preset", "", "what is known of an issuer: `NAME` is "+strings.Join(client.Presets(), ", "))
	return c
}

func issuerListCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var list apiclient.ListFlags
	var search string
	c := &cobra.Command{
		Use: "list", Short: "List the rules about issuers, in the order in which they are tried",
		Example: "  fosite-mcp issuer list\n  fosite-mcp issuer list --q ci --json",
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := list.Query()
			if err != nil {
				return err
			}
			if search != "" {
				query.Set("q", search)
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"issuers"}, Query: query}
			return printList[issuerView](c.Context(), &a.Terminal, api, call, list.All, "ID", "NAME", "STATUS", "PROFILE", "ISSUER", "SUBJECT", "SCOPE", "LAST USED")
		},
	}
	list.Register(c)
	c.Flags().StringVar(&search, "q", "", "only rules with this `text` in id, name or owner")
	return c
}

func issuerShowCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a rule about an issuer",
		Example: "  fosite-mcp issuer show mcp_4xw7\n  fosite-mcp issuer show mcp_4xw7 --json",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			var view issuerView
			answer, err := api.Decode(c.Context(), apiclient.Get("issuers", args[0]), &view)
			if err != nil {
				return noIssuer(err, args[0])
			}
			return printIssuer(&a.Terminal, &view, answer.Body)
		},
	}
}
