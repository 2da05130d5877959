package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
)

func newAuditLog(out *terminal.Terminal, api *apiclient.Admin, query url.Values) *auditLog {
	return &auditLog{out: out, api: api, call: apiclient.Call{Method: http.MethodGet, Path: []string{"audit"}, Query: query}, head: auditHead, since: query.Get("since")}
}

// auditLog prints events, and remembers the last one.
type auditLog struct {
	out      *terminal.Terminal
	api      *apiclient.Admin
	call     apiclient.Call
	csv      bool
	head     []string // of the table; nil once it is printed
	since    string   // of the query
	last     int64
	lastTime *time.Time // nil: not known
}

// print prints events, and says what was left out without being asked to.
func (l *auditLog) print(ctx context.Context, f *auditFlags) error {
	err := l.printEvery(ctx, f)
	if err == nil && ctx.Err() == nil && !f.sinceGiven && f.list.Cursor == "" && l.since != "" {
		l.tellOlder(ctx)
	}
	return err
}

// printEvery prints the newest events, or those after a place, and with --follow all events and those that come.
func (l *auditLog) printEvery(ctx context.Context, f *auditFlags) error {
	l.csv = f.csv
	if f.after != "" {
		var err error
		if l.last, l.lastTime, err = parseAuditCursor(f.after); err == nil {
			err = l.goesOn(ctx)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case !l.csv:
	case f.after == "":
		l.head = csvHead
	default:
		l.head = nil
	}
	if !f.list.All && f.list.Cursor == "" && f.after == "" {
		return l.printNewest(ctx, f.list.Limit)
	}
	next, err := l.api.Pages(ctx, l.call, f.list.All, l.printEvents)
	if f.follow && (err == nil || ctx.Err() != nil) {
		err = l.follow(ctx, f.interval)
	}
	if err == nil {
		noticeMore(l.out, next)
	}
	if l.last > 0 && (f.follow || f.list.All || f.after != "") {
		l.out.Notice("go on with --after %s", auditCursor(l.last, l.lastTime))
	}
	return err
}

// tellOlder says that there are events from before the time that --since has by default, if there are.
func (l *auditLog) tellOlder(ctx context.Context) {
	query := maps.Clone(l.call.Query)
	for _, name := range []string{"cursor", "since", "after"} {
		query.Del(name)
	}
	query.Set("until", l.since)
	query.Set("limit", "1")
	var page apiclient.Page[json.RawMessage]
	call := apiclient.Call{Method: http.MethodGet, Path: []string{"audit"}, Query: query}
	if _, err := l.api.Decode(ctx, call, &page); err == nil && len(page.Items) > 0 {
		l.out.Notice("older events are left out: --since says from when on, such as --since 30d; without it these are the last 24 hours")
	}
}

// auditCursor is the place after an event: its id, and its time in milliseconds, by which it is known again.
func auditCursor(id int64, at *time.Time) string {
	if at == nil {
		return strconv.FormatInt(id, 10)
	}
	return fmt.Sprintf("%d-%d", id, at.UnixMilli())
}

func parseAuditCursor(text string) (id int64, at *time.Time, err error) {
	first, second, both := strings.Cut(text, "-")
	id, err = strconv.ParseInt(first, 10, 64)
	if both && err == nil {
		var millis int64
		millis, err = strconv.ParseInt(second, 10, 64)
		t := time.UnixMilli(millis)
		at = &t
	}
	if err != nil || id < 0 {
		return 0, nil, terminal.BadUsage("--after %q is no cursor that an earlier run has told, and no id of an event", text)
	}
	return id, at, nil
}

// goesOn checks that the log has the last event still. One that was restored from a backup gives its id out again, and what
// came in between would be missed.
func (l *auditLog) goesOn(ctx context.Context) error {
	if l.last == 0 || l.lastTime == nil {
		return nil
	}
	var page apiclient.Page[auditView]
	call := apiclient.Call{Method: http.MethodGet, Path: []string{"audit"}, Query: url.Values{"after": {strconv.FormatInt(l.last-1, 10)}, "limit": {"1"}}}
	if _, err := l.api.Decode(ctx, call, &page); err != nil {
		return err
	}
	if len(page.Items) == 1 {
		found := page.Items[0]
		if found.ID > l.last || found.ID == l.last && found.Time != nil && found.Time.Equal(*l.lastTime) { // or the event was deleted by age
			return nil
		}
	}
	return fmt.Errorf("the log has no event %d of %s any more: the database was restored from a backup, or events were taken away. Look with: fosite-mcp audit verify; then begin again with --since",
		l.last, terminal.Time(l.lastTime))
}

// printEvents prints events: as NDJSON, as CSV, or as rows of a table.
func (l *auditLog) printEvents(items []json.RawMessage) error {
	t := l.out.NewTable()
	if l.head != nil && !l.out.JSON && !l.csv {
		t.Row(slices.Clone(l.head)...)
	}
	if l.csv && l.head != nil {
		if err := l.out.CSV(l.head...); err != nil {
			return err
		}
	}
	l.head = nil
	for _, item := range items {
		var event auditView
		if err := json.Unmarshal(item, &event); err != nil {
			return l.api.Foreign(err)
		}
		var err error
		switch {
		case l.out.JSON:
			err = l.out.PrintJSON(item)
		case l.csv:
			err = l.out.CSV(event.csv()...)
		default:
			t.Row(event.cells()...)
		}
		if err != nil {
			return err
		}
		l.last, l.lastTime = event.ID, event.Time
	}
	return t.Close()
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

// longestWait bounds how long follow waits before it asks a server again that does not answer, in times of its interval.
const longestWait = 16

// follow prints new events until ctx ends. It waits for a server that restarts, a little longer each time.
func (l *auditLog) follow(ctx context.Context, every time.Duration) error {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for wait := every; ; timer.Reset(wait) {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		var err error
		if wait > every { // it may be another database now
			err = l.goesOn(ctx)
		}
		if err == nil {
			err = l.printNew(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			wait = every
		case exitCode(err) != exitUnavailable:
			return err
		default:
			if wait == every {
				l.out.Notice("%v; waiting for it", err)
			}
			wait = min(2*wait, longestWait*every)
		}
	}
}
