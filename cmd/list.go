package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/console"
)

// printList prints a list of the admin API: as JSON, or as a table whose rows are made by row.
func printList(ctx context.Context, out *console.Console, api *apiclient.Admin, call apiclient.Call, all bool, head []string, row func(item json.RawMessage) ([]string, error)) error {
	if out.JSON {
		return printListJSON(ctx, out, api, call, all)
	}
	t := out.NewTable(head...)
	next, err := api.Pages(ctx, call, all, func(items []json.RawMessage) error {
		for _, item := range items {
			cells, err := row(item)
			if err != nil {
				return api.Foreign(err)
			}
			t.Row(cells...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	if next != "" {
		out.Notice("there are more: add --all, or --cursor %s", console.Printable(next))
	}
	return nil
}

// printListJSON prints page after page, and holds one at a time.
func printListJSON(ctx context.Context, out *console.Console, api *apiclient.Admin, call apiclient.Call, all bool) error {
	separator := `{"items":[`
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
