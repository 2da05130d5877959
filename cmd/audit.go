package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/spf13/cobra"
)

// followInterval is how often --follow asks for new events.
const followInterval = 2 * time.Second

// auditFlags say which events to show.
type auditFlags struct {
	list                    apiclient.ListFlags
	since, until            string
	clientID, action, actor string
	follow                  bool
	interval                time.Duration // how often follow asks
}

func auditCommand(a *app) *cobra.Command {
	var admin apiclient.Flags
	f := auditFlags{interval: followInterval}
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what: registrations, changes, revocations, failed logins",
		Long: `Show the newest audit events of the time that --since and --until span, in the order they happened, through the admin
API. With --json each event is a line of its own (NDJSON). The events form a chain of hashes: fosite-mcp audit verify tells
whether one was changed or removed.`,
		Example: `  fosite-mcp audit
  fosite-mcp audit --since 7d --client-id mcp_4xw7 --all
  fosite-mcp audit --follow --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkAction(f.action); err != nil {
				return err
			}
			query, err := f.query(time.Now())
			if err != nil {
				return err
			}
			api, err := a.adminAPI(&admin)
			if err != nil {
				return err
			}
			return newAuditLog(&a.Console, api, query).print(c.Context(), &f)
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
	flags.BoolVar(&f.follow, "follow", false, "go on showing events as they happen")
	c.MarkFlagsMutuallyExclusive("follow", "until")
	c.MarkFlagsMutuallyExclusive("follow", "cursor")
	c.AddCommand(auditVerifyCommand(a))
	return c
}

func (f *auditFlags) query(now time.Time) (url.Values, error) {
	if f.follow {
		f.list.All = true
	}
	query, err := f.list.Query()
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"since": f.since, "until": f.until} {
		if text == "" {
			continue
		}
		t, err := console.ParsePast(text, now)
		if err != nil {
			return nil, console.BadUsage("--%s: %w", name, err)
		}
		query.Set(name, t.Format(time.RFC3339Nano))
	}
	for name, text := range map[string]string{"client_id": f.clientID, "action": f.action, "actor": f.actor} {
		if text != "" {
			query.Set(name, text)
		}
	}
	return query, nil
}

func newAuditLog(out *console.Console, api *apiclient.Admin, query url.Values) *auditLog {
	return &auditLog{out: out, api: api, call: apiclient.Call{Method: http.MethodGet, Path: []string{"audit"}, Query: query}, head: auditHead}
}

// auditLog prints events, and remembers the id of the last one.
type auditLog struct {
	out  *console.Console
	api  *apiclient.Admin
	call apiclient.Call
	head []string // of the table; nil once it is printed
	last int64
}

// print prints the newest events and, with --follow, all events and those that come.
func (l *auditLog) print(ctx context.Context, f *auditFlags) error {
	if !f.list.All && f.list.Cursor == "" {
		return l.printNewest(ctx, f.list.Limit)
	}
	next, err := l.api.Pages(ctx, l.call, f.list.All, l.printEvents)
	if err != nil {
		return err
	}
	if next != "" {
		l.out.Notice("there are more: add --all, or --cursor %s", console.Printable(next))
	}
	if !f.follow {
		return nil
	}
	return l.follow(ctx, f.interval)
}

// printEvents prints events: as NDJSON, or as rows of a table.
func (l *auditLog) printEvents(items []json.RawMessage) error {
	if l.out.JSON {
		return l.printLines(items)
	}
	t := l.out.NewTable(l.head...)
	l.head = nil
	for _, item := range items {
		var event auditView
		if err := json.Unmarshal(item, &event); err != nil {
			return l.api.Foreign(err)
		}
		l.last = event.ID
		t.Row(event.cells()...)
	}
	return t.Close()
}

// printLines prints events as NDJSON.
func (l *auditLog) printLines(items []json.RawMessage) error {
	for _, item := range items {
		var event struct {
			ID int64 `json:"id"`
		}
		if err := json.Unmarshal(item, &event); err != nil {
			return fmt.Errorf("an event of the audit log has no id: %w", err)
		}
		l.last = event.ID
		if err := l.out.PrintJSON(item); err != nil {
			return err
		}
	}
	return nil
}

// printNewest prints the last events of the window, in the order of time. The API lists the oldest first: it reads all of
// them, and holds as many as it prints.
func (l *auditLog) printNewest(ctx context.Context, limit int) error {
	var newest []json.RawMessage
	total := 0
	l.call.Query.Set("limit", strconv.Itoa(apiclient.LargestPage))
	_, err := l.api.Pages(ctx, l.call, true, func(items []json.RawMessage) error {
		total += len(items)
		newest = append(newest, items...)
		newest = slices.Clone(newest[max(0, len(newest)-limit):])
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.printEvents(newest); err != nil {
		return err
	}
	if total > limit {
		l.out.Notice("these are the newest %d of %d events; there are more with --limit, or --all", limit, total)
	}
	return nil
}

// printNew prints the events after the last one that it has printed.
func (l *auditLog) printNew(ctx context.Context) error {
	l.call.Query.Del("cursor")
	if l.last > 0 {
		l.call.Query.Set("after", strconv.FormatInt(l.last, 10))
		l.call.Query.Del("since")
	}
	_, err := l.api.Pages(ctx, l.call, true, l.printEvents)
	return err
}

// follow prints new events until ctx ends. It waits for a server that restarts.
func (l *auditLog) follow(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := l.printNew(ctx)
		var down apiclient.NotRunning
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &down), apiclient.IsStatus(err, http.StatusServiceUnavailable):
			if !waiting {
				l.out.Notice("%v; waiting for it", err)
			}
			waiting = true
		case err != nil:
			return err
		default:
			waiting = false
		}
	}
}

func auditVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that no audit event was changed or removed",
		Long: `Check the chain of hashes through all audit events, on the database itself (with the settings of the server). Exits
with 1 when an event was changed, removed or put in.`,
		Example: "  fosite-mcp audit verify",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withData(c.Context(), func(ctx context.Context, _ config.Config, store *storage.Store) error {
				count, firstBad, err := store.Audit().Verify(ctx, nil)
				if err != nil {
					return err
				}
				return printVerdict(&a.Console, count, firstBad)
			})
		},
	}
}

func printVerdict(out *console.Console, count, firstBad int64) error {
	if out.JSON {
		result := map[string]any{"intact": firstBad == 0, "events": count}
		if firstBad != 0 {
			result["first_bad"] = firstBad
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
	if firstBad != 0 {
		return fmt.Errorf("the audit log is not intact: event %d was changed, removed or put in (%d events before it are in order)", firstBad, count)
	}
	if out.JSON {
		return nil
	}
	_, err := fmt.Fprintf(out.Stdout, "intact: %d events, an unbroken chain\n", count)
	return err
}
