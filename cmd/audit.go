package cmd

import (
	"net/url"
	"strconv"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// followInterval is how often --follow asks for new events.
const followInterval = 2 * time.Second

// auditFlags say which events to show.
type auditFlags struct {
	list                    apiclient.ListFlags
	since, until            string
	clientID, action, actor string
	after                   string
	sinceGiven              bool // --since was given, and is not the default
	csv, follow             bool
	interval                time.Duration // how often follow asks
}

func auditCommand(a *app) *cobra.Command {
	var admin apiclient.Flags
	f := auditFlags{interval: followInterval}
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what: registrations, changes, revocations, failed logins",
		Long: `Show the newest audit events of the time that --since and --until span, in the order they happened, through the admin
API. With --json each event is a line of its own (NDJSON), with --csv a row for a spreadsheet, where no cell is a formula. The
events form a chain of hashes: fosite-mcp audit verify tells whether one was changed or removed.

--follow goes on showing events, waits for a server that restarts, and ends with Ctrl-C. It then says where to go on:
with --after, to which the output of an earlier run can be added (>>).`,
		Example: `  fosite-mcp audit
  fosite-mcp audit --since 7d --client-id mcp_4xw7 --all
  fosite-mcp audit --since 2026-11-01 --until 2026-12-01 --all --csv > november.csv
  fosite-mcp audit --follow --json --after 4711-1795689000000 >> audit.ndjson`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkAction(f.action); err != nil {
				return err
			}
			if f.csv && a.JSON {
				return terminal.BadUsage("--csv and --json do not go together")
			}
			f.sinceGiven = c.Flags().Changed("since")
			query, err := f.query(time.Now())
			if err != nil {
				return err
			}
			api, err := a.adminAPI(&admin)
			if err != nil {
				return err
			}
			return newAuditLog(&a.Terminal, api, query).print(c.Context(), &f)
		},
	}
	admin.Register(c)
	f.list.Register(c)
	flags := c.Flags()
	flags.StringVar(&f.since, "since", "24h", "events since this `time`, or how long ago")
	flags.StringVar(&f.until, "until", "", "events before this `time`, or how long ago")
	flags.StringVar(&f.clientID, "client-id", "", "only events about this client")
	flags.StringVar(&f.action, "action", "", "only this `action`, such as client.registered")
	flags.StringVar(&f.actor, "actor", "", "only what was done with the admin key of this `name`")
	flags.StringVar(&f.after, "after", "", "only events after the one of this `cursor`, which an earlier run has told, or after the event of this id")
	flags.BoolVar(&f.csv, "csv", false, "answer in CSV; with --after it has no head")
	flags.BoolVar(&f.follow, "follow", false, "go on showing events as they happen")
	c.MarkFlagsMutuallyExclusive("follow", "until")
	c.MarkFlagsMutuallyExclusive("follow", "cursor")
	c.MarkFlagsMutuallyExclusive("after", "cursor")
	c.AddCommand(auditVerifyCommand(a, &admin), auditCheckpointCommand(a, &admin))
	return c
}

// setWindow sets since and until, of which an empty one stays open.
func setWindow(query url.Values, since, until string, now time.Time) error {
	for name, text := range map[string]string{"since": since, "until": until} {
		if text == "" {
			continue
		}
		t, err := terminal.ParsePast(text, now)
		if err != nil {
			return terminal.BadUsage("--%s: %w", name, err)
		}
		query.Set(name, t.Format(time.RFC3339Nano))
	}
	return nil
}

func (f *auditFlags) query(now time.Time) (url.Values, error) {
	if f.follow {
		f.list.All = true
	}
	query, err := f.list.Query()
	if err != nil {
		return nil, err
	}
	if f.after != "" {
		id, _, err := parseAuditCursor(f.after)
		if err != nil {
			return nil, err
		}
		query.Set("after", strconv.FormatInt(id, 10))
	}
	since := f.since
	if f.after != "" && !f.sinceGiven {
		since = ""
	}
	if err := setWindow(query, since, f.until, now); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"client_id": f.clientID, "action": f.action, "actor": f.actor} {
		if text != "" {
			query.Set(name, text)
		}
	}
	return query, nil
}
