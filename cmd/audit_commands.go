package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/spf13/cobra"
)

// followInterval is how often --follow looks for new events.
const followInterval = 2 * time.Second

// auditFlags say which events to show.
type auditFlags struct {
	list                    listFlags
	since, until            string
	clientID, action, actor string
	follow                  bool
	interval                time.Duration // how often follow asks
}

func (a *app) auditCommand() *cobra.Command {
	var admin adminFlags
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
			return a.audit(c.Context(), api, &f, query)
		},
	}
	admin.register(c)
	f.list.register(c)
	flags := c.Flags()
	flags.StringVar(&f.since, "since", "24h", "events since this `time`, or how long ago")
	flags.StringVar(&f.until, "until", "", "events before this `time`, or how long ago")
	flags.StringVar(&f.clientID, "client-id", "", "only events about this client")
	flags.StringVar(&f.action, "action", "", "only this `action`, such as client.registered")
	flags.StringVar(&f.actor, "actor", "", "only what was done with the admin key of this `name`")
	flags.BoolVar(&f.follow, "follow", false, "go on showing events as they happen")
	c.MarkFlagsMutuallyExclusive("follow", "until")
	c.MarkFlagsMutuallyExclusive("follow", "cursor")
	c.AddCommand(a.auditVerifyCommand())
	return c
}

func (f *auditFlags) query(now time.Time) (url.Values, error) {
	if f.follow {
		f.list.all = true
	}
	query, err := f.list.query()
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

// audit shows the newest events there are and, with --follow, all there are and those that come.
func (a *app) audit(ctx context.Context, api *adminAPI, f *auditFlags, query url.Values) error {
	last := int64(0)
	show := a.auditPrinter(api, &last)
	if !f.list.all && f.list.cursor == "" {
		return a.newestEvents(ctx, api, f.list.limit, query, show)
	}
	next, err := f.list.pages(ctx, api, "/audit", query, show)
	if err != nil {
		return err
	}
	if next != "" {
		a.Notice("there are more: add --all, or --cursor %s", console.Printable(next))
	}
	if !f.follow {
		return nil
	}
	return a.followAudit(ctx, f.interval, func() error {
		query.Del("cursor")
		if last > 0 {
			query.Set("after", strconv.FormatInt(last, 10))
			query.Del("since")
		}
		_, err := f.list.pages(ctx, api, "/audit", query, show)
		return err
	})
}

// auditPrinter returns what prints events, and keeps the id of the last one.
func (a *app) auditPrinter(api *adminAPI, last *int64) func(items []json.RawMessage) error {
	head := auditHead
	return func(items []json.RawMessage) error {
		if a.JSON {
			return a.auditLines(items, last)
		}
		t := a.NewTable(head...)
		head = nil // once
		for _, item := range items {
			var event auditView
			if err := json.Unmarshal(item, &event); err != nil {
				return fmt.Errorf("%s does not answer like fosite-mcp: %w", api.origin, err)
			}
			*last = event.ID
			t.Row(event.cells()...)
		}
		return t.Close()
	}
}

// newestEvents shows the last events of the window, in the order of time. The API lists them oldest first, so it reads
// all and holds only as many as it shows.
func (a *app) newestEvents(ctx context.Context, api *adminAPI, limit int, query url.Values, show func(items []json.RawMessage) error) error {
	var newest []json.RawMessage
	total := 0
	everything := listFlags{all: true}
	query.Set("limit", strconv.Itoa(largestPage))
	_, err := everything.pages(ctx, api, "/audit", query, func(items []json.RawMessage) error {
		total += len(items)
		newest = append(newest, items...)
		newest = slices.Clone(newest[max(0, len(newest)-limit):])
		return nil
	})
	if err != nil {
		return err
	}
	if err := show(newest); err != nil {
		return err
	}
	if total > limit {
		a.Notice("these are the newest %d of %d events; there are more with --limit, or --all", limit, total)
	}
	return nil
}

// auditLines prints events as NDJSON.
func (a *app) auditLines(items []json.RawMessage, last *int64) error {
	for _, item := range items {
		var event struct {
			ID int64 `json:"id"`
		}
		if err := json.Unmarshal(item, &event); err != nil {
			return fmt.Errorf("an event of the audit log has no id: %w", err)
		}
		*last = event.ID
		if err := a.PrintJSON(item); err != nil {
			return err
		}
	}
	return nil
}

// followAudit asks again and again until the person stops it. A server that restarts meanwhile is waited for.
func (a *app) followAudit(ctx context.Context, every time.Duration, ask func() error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := ask()
		var down notRunning
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &down), isStatus(err, http.StatusServiceUnavailable):
			if !waiting {
				a.Notice("%v; waiting for it", err)
			}
			waiting = true
		case err != nil:
			return err
		default:
			waiting = false
		}
	}
}

func (a *app) auditVerifyCommand() *cobra.Command {
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
				return a.auditVerdict(a.Stdout, count, firstBad)
			})
		},
	}
}

func (a *app) auditVerdict(out io.Writer, count, firstBad int64) error {
	if a.JSON {
		result := map[string]any{"intact": firstBad == 0, "events": count}
		if firstBad != 0 {
			result["first_bad"] = firstBad
		}
		if err := json.NewEncoder(out).Encode(result); err != nil {
			return err
		}
	}
	if firstBad != 0 {
		return fmt.Errorf("the audit log is not intact: event %d was changed, removed or put in (%d events before it are in order)", firstBad, count)
	}
	if a.JSON {
		return nil
	}
	_, err := fmt.Fprintf(out, "intact: %d events, an unbroken chain\n", count)
	return err
}
