package cmd

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func accessCommand(a *app) *cobra.Command {
	var admin apiclient.Flags
	var list apiclient.ListFlags
	var since, until, clientID string
	var csv bool
	c := &cobra.Command{
		Use:   "access",
		Short: "Show who had access in a time: clients, rules about issuers, and people",
		Long: `Show who could have used a token in the time that --since and --until span, with scopes and resources, through the admin API:
clients that get tokens for themselves, rules about issuers, and people by the clients that act for them. Those that were deleted,
disabled or taken back since are among them. FIRST TOKEN and LAST TOKEN tell who had a token, as far as that is still known. ` + lastUsedLags,
		Example: `  fosite-mcp access
  fosite-mcp access --since 2026-11-01 --until 2026-12-01 --all --csv > november.csv
  fosite-mcp access --client-id mcp_4xw7 --since 90d --all --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if csv && a.JSON {
				return errTwoFormats
			}
			query, err := list.Query()
			if err == nil {
				err = setWindow(query, since, until, time.Now())
			}
			if err != nil {
				return err
			}
			if clientID != "" {
				query.Set("client_id", clientID)
			}
			api, err := a.adminAPI(&admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"access"}, Query: query}
			return a.printAccess(c.Context(), api, call, list.All, csv)
		},
	}
	admin.Register(c)
	list.Register(c)
	c.Flags().StringVar(&since, "since", "30d", "from this `time`, or how long ago, on")
	c.Flags().StringVar(&until, "until", "", "before this `time`, or how long ago")
	c.Flags().StringVar(&clientID, "client-id", "", "only this client or rule, and people by this client")
	c.Flags().BoolVar(&csv, "csv", false, "answer in CSV")
	return c
}

// accessKnown is how far back goes what is told.
type accessKnown struct {
	Since         *time.Time `json:"since"`
	Until         *time.Time `json:"until"`
	CompleteSince *time.Time `json:"complete_since"`
	EventsSince   *time.Time `json:"events_since"`
}

func (a *app) printAccess(ctx context.Context, api *apiclient.Admin, call apiclient.Call, all, csv bool) error {
	// Asked for by itself: a table and CSV have the items alone, and JSON has this in front of them.
	var known accessKnown
	first := call
	first.Query = maps.Clone(call.Query)
	first.Query.Set("limit", "1")
	if _, err := api.Decode(ctx, first, &known); err != nil {
		return err
	}
	out := &a.Terminal
	var err error
	switch {
	case a.JSON:
		return printListJSON(ctx, out, api, call, all, known)
	case csv:
		var next string
		next, err = printSheet(ctx, out, api, call, all)
		noticeMore(out, next)
	default:
		err = printList[accessView](ctx, out, api, call, all, "KIND", "CLIENT ID", "NAME", "OWNER", "SUBJECT", "USERNAME", "SCOPE", "RESOURCES",
			"BY", "FROM", "UNTIL", "FIRST TOKEN", "LAST TOKEN", "LAST USED", "STATUS")
	}
	if err == nil {
		noticeKnown(out, known.Since, known.CompleteSince, known.EventsSince)
	}
	return err
}

// accessView says that somebody could have used a token.
type accessView struct {
	Kind       string     `json:"kind"`
	ClientID   string     `json:"client_id"`
	ClientName string     `json:"client_name"`
	Owner      string     `json:"owner"`
	Subject    string     `json:"subject"`
	Username   string     `json:"username"`
	Scope      string     `json:"scope"`
	Resources  []string   `json:"resources"`
	By         string     `json:"by"`
	From       *time.Time `json:"access_from"`
	Until      *time.Time `json:"access_until"`
	FirstToken *time.Time `json:"first_token_at"`
	LastToken  *time.Time `json:"last_token_at"`
	LastUsed   *time.Time `json:"last_used_at"`
	Status     string     `json:"status"`
}

func (v accessView) cells() []string {
	return []string{
		v.Kind, v.ClientID, v.ClientName, v.Owner, v.Subject, v.Username, v.Scope, strings.Join(v.Resources, " "), v.By, terminal.Time(v.From), terminal.Time(v.Until),
		terminal.Time(v.FirstToken), terminal.Time(v.LastToken), terminal.Time(v.LastUsed), v.Status,
	}
}
