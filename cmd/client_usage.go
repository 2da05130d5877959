package cmd

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/audit"

	"github.com/spf13/cobra"
)

func clientUsageCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var secretID, since, until string
	var csv bool
	c := &cobra.Command{
		Use:   "usage CLIENT_ID",
		Short: "Show what a client, or one of its secrets, was used for",
		Long: `Show what a client, or one of its secrets, was used for: its secrets, the tokens that were issued with them, and what the audit
log tells of the client: changes, revocations, refusals, and issued tokens where audit.issued_tokens is set. Lines that differ in nothing
but their times are counted together. It works for a client that was deleted, too. ` + lastUsedLags,
		Example: `  fosite-mcp client usage mcp_4xw7
  fosite-mcp client usage mcp_4xw7 --secret-id cs_3kq9wz --since 2026-11-23
  fosite-mcp client usage mcp_4xw7 --since 90d --csv > usage.csv`,
		RunE: func(c *cobra.Command, args []string) error {
			if csv && a.JSON {
				return errTwoFormats
			}
			query := url.Values{"limit": {strconv.Itoa(apiclient.LargestPage)}}
			if secretID != "" {
				query.Set("secret_id", secretID)
			}
			if err := setWindow(query, since, until, time.Now()); err != nil {
				return err
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"clients", args[0], "usage"}, Query: query}
			var usage usageView
			answer, err := api.Decode(c.Context(), call, &usage)
			if err != nil {
				return noClient(c.Context(), api, err, args[0])
			}
			switch {
			case a.JSON:
				return a.PrintJSON(answer.Body)
			case csv:
				_, err = printSheet(c.Context(), &a.Terminal, api, call, false)
			default:
				err = usage.print(&a.Terminal)
			}
			usage.notice(&a.Terminal)
			return err
		},
	}
	c.Flags().StringVar(&secretID, "secret-id", "", "leave out what was done with other secrets than that of this `id`")
	c.Flags().StringVar(&since, "since", "30d", "from this `time`, or how long ago, on")
	c.Flags().StringVar(&until, "until", "", "before this `time`, or how long ago")
	c.Flags().BoolVar(&csv, "csv", false, "answer in CSV")
	return c
}

var errTwoFormats = terminal.BadUsage("--csv and --json do not go together")

// usageView is the usage of a client as the admin API shows it.
type usageView struct {
	ClientID      string     `json:"client_id"`
	ClientName    string     `json:"client_name"`
	Owner         string     `json:"owner"`
	Status        string     `json:"status"`
	SecretID      string     `json:"secret_id"`
	Since         *time.Time `json:"since"`
	Until         *time.Time `json:"until"`
	CompleteSince *time.Time `json:"complete_since"`
	EventsSince   *time.Time `json:"events_since"`
	Truncated     bool       `json:"truncated"`
	Items         []useView  `json:"items"`
}

type useView struct {
	What       string     `json:"what"`
	SecretID   string     `json:"secret_id"`
	Subject    string     `json:"subject"`
	Scope      string     `json:"scope"`
	Audience   []string   `json:"audience"`
	Actor      string     `json:"actor"`
	IP         string     `json:"ip"`
	Outcome    string     `json:"outcome"`
	Detail     string     `json:"detail"`
	Count      int64      `json:"count"`
	Active     *int64     `json:"active"`
	Revoked    *int64     `json:"revoked"`
	FirstAt    *time.Time `json:"first_at"`
	LastAt     *time.Time `json:"last_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func (v *usageView) print(out *terminal.Terminal) error {
	err := out.Fields("client_id", v.ClientID, "client_name", v.ClientName, "owner", v.Owner, "status", v.Status, "secret_id", v.SecretID,
		"since", terminal.Time(v.Since), "until", terminal.Time(v.Until))
	if err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout)
	t := out.NewTable("WHAT", "COUNT", "FIRST", "LAST", "LAST USED", "SECRET", "SUBJECT", "SCOPE", "RESOURCES", "FROM", "BY", "DETAIL")
	for i := range v.Items {
		u := &v.Items[i]
		t.Row(u.What, strconv.FormatInt(u.Count, 10), terminal.Time(u.FirstAt), terminal.Time(u.LastAt), terminal.Time(u.LastUsedAt), u.SecretID, u.Subject, u.Scope,
			strings.Join(u.Audience, " "), u.IP, u.Actor, u.detail())
	}
	return t.Close()
}

func (u *useView) detail() string {
	if u.Active == nil || u.Revoked == nil {
		return u.Detail
	}
	return fmt.Sprintf("%d active, %d revoked", *u.Active, *u.Revoked)
}

// notice says what the answer cannot know.
func (v *usageView) notice(out *terminal.Terminal) {
	noticeKnown(out, v.Since, v.CompleteSince, v.EventsSince)
	for i := range v.Items {
		if v.Items[i].Outcome == audit.OutcomeFailure {
			out.Notice("of failures a sample is on record: there were at least as many")
			break
		}
	}
	if v.Truncated {
		out.Notice("there is more: narrow it down with --since, --until or --secret-id")
	}
}

// noticeKnown says from when on tokens and events are all known.
func noticeKnown(out *terminal.Terminal, since, complete, events *time.Time) {
	later := func(t *time.Time) bool { return t != nil && (since == nil || t.After(*since)) }
	switch {
	case complete == nil:
		out.Notice("tokens that have expired are known until clean-up deletes them: audit.issued_tokens keeps them on record")
	case later(complete):
		out.Notice("each issued token is on record since %s; of those before, the ones that have expired are known until clean-up deletes them", terminal.Time(complete))
	}
	if later(events) {
		out.Notice("the audit log begins at %s (audit.retention)", terminal.Time(events))
	}
}
