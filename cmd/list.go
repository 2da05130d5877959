package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
)

// row is an item of a list: JSON of its own, and a row of a table.
type row interface{ cells() []string }

// printItems prints a list from the database: as JSON, or as a table.
func printItems[T any, V row](out *terminal.Terminal, items []T, view func(T) V, head ...string) error {
	views := make([]V, len(items))
	for i, item := range items {
		views[i] = view(item)
	}
	if out.JSON {
		return out.Encode(map[string]any{"items": views})
	}
	t := out.NewTable(head...)
	for _, v := range views {
		t.Row(v.cells()...)
	}
	return t.Close()
}

// optional is a time for JSON: null when it is zero.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// printList prints a list of the admin API: as JSON, or as a table.
func printList[V row](ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, call apiclient.Call, all bool, head ...string) error {
	if out.JSON {
		return printListJSON(ctx, out, api, call, all, nil)
	}
	t := out.NewTable(head...)
	next, err := api.Pages(ctx, call, all, func(items []json.RawMessage) error {
		for _, item := range items {
			var v V
			if err := json.Unmarshal(item, &v); err != nil {
				return api.Foreign(err)
			}
			t.Row(v.cells()...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	noticeMore(out, next)
	return nil
}

// noticeMore says how to go on after a page.
func noticeMore(out *terminal.Terminal, next string) {
	if next != "" {
		out.Notice("there are more: add --all, or --cursor %s", terminal.Printable(next))
	}
}

// printListJSON prints page after page, and holds one at a time. The members of head, unless it is nil, come first.
func printListJSON(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, call apiclient.Call, all bool, head any) error {
	separator := `{"items":[`
	if head != nil {
		members, err := json.Marshal(head)
		if err != nil {
			return err
		}
		separator = strings.TrimSuffix(string(members), "}") + `,"items":[`
	}
	next, err := api.Pages(ctx, call, all, func(items []json.RawMessage) error {
		for _, item := range items {
			if _, err := fmt.Fprintf(out.Stdout, "%s%s", separator, item); err != nil {
				return err
			}
			separator = ","
		}
		return nil
	})
	if err != nil {
		return err
	}
	if separator != "," {
		fmt.Fprint(out.Stdout, separator)
	}
	end := "]}\n"
	if next != "" {
		cursor, err := json.Marshal(next)
		if err != nil {
			return err
		}
		end = `],"next_cursor":` + string(cursor) + "}\n"
	}
	_, err = fmt.Fprint(out.Stdout, end)
	return err
}
