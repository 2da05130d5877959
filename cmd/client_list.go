package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"fosite-mcp/cmd/internal/console"

	"github.com/spf13/cobra"
)

// listFlags are those of every command that lists: one page, or all of them.
type listFlags struct {
	limit  int
	cursor string
	all    bool
}

const (
	defaultPage = 50
	largestPage = 200
)

func (f *listFlags) register(c *cobra.Command) {
	c.Flags().IntVar(&f.limit, "limit", defaultPage, "how many to show")
	c.Flags().StringVar(&f.cursor, "cursor", "", "go on after an earlier page")
	c.Flags().BoolVar(&f.all, "all", false, "show all, page after page")
	c.MarkFlagsMutuallyExclusive("all", "cursor")
	c.MarkFlagsMutuallyExclusive("all", "limit")
}

func (f *listFlags) query() (url.Values, error) {
	if f.limit < 1 || f.limit > largestPage {
		return nil, console.BadUsage("--limit must be 1 to %d; --all shows everything", largestPage)
	}
	query := url.Values{"limit": {strconv.Itoa(f.limit)}}
	if f.all {
		query.Set("limit", strconv.Itoa(largestPage))
	}
	if f.cursor != "" {
		query.Set("cursor", f.cursor)
	}
	return query, nil
}

// pages reads one page, or all with --all, and hands each to show. It returns the cursor of what was left out.
func (f *listFlags) pages(ctx context.Context, api *adminAPI, path string, query url.Values, show func(items []json.RawMessage) error) (next string, err error) {
	for {
		var p page[json.RawMessage]
		if _, err := api.decode(ctx, apiCall{method: http.MethodGet, path: path, query: query}, &p); err != nil {
			return "", err
		}
		if err := show(p.Items); err != nil {
			return "", err
		}
		if !f.all || p.NextCursor == "" {
			return p.NextCursor, nil
		}
		if p.NextCursor == query.Get("cursor") {
			return "", fmt.Errorf("%s answers the same page again and again", api.origin)
		}
		query.Set("cursor", p.NextCursor)
	}
}

// list prints a list of the admin API: {"items":…,"next_cursor":…} with --json, else a table whose rows row makes.
func (a *app) list(ctx context.Context, api *adminAPI, f *listFlags, path string, query url.Values, head []string, row func(item json.RawMessage) ([]string, error)) error {
	if a.JSON {
		return a.listJSON(ctx, api, f, path, query)
	}
	t := a.NewTable(head...)
	next, err := f.pages(ctx, api, path, query, func(items []json.RawMessage) error {
		for _, item := range items {
			cells, err := row(item)
			if err != nil {
				return fmt.Errorf("%s does not answer like fosite-mcp: %w", api.origin, err)
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
		a.Notice("there are more: add --all, or --cursor %s", console.Printable(next))
	}
	return nil
}

// listJSON prints page after page without holding all of them.
func (a *app) listJSON(ctx context.Context, api *adminAPI, f *listFlags, path string, query url.Values) error {
	separator := `{"items":[`
	next, err := f.pages(ctx, api, path, query, func(items []json.RawMessage) error {
		for _, item := range items {
			if _, err := fmt.Fprintf(a.Stdout, "%s%s", separator, item); err != nil {
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
		fmt.Fprint(a.Stdout, separator)
	}
	end := "]}\n"
	if next != "" {
		cursor, err := json.Marshal(next)
		if err != nil {
			return err
		}
		end = `],"next_cursor":` + string(cursor) + "}\n"
	}
	_, err = fmt.Fprint(a.Stdout, end)
	return err
}

func (a *app) clientListCommand(admin *adminFlags) *cobra.Command {
	var list listFlags
	var status, search string
	c := &cobra.Command{
		Use:   "list",
		Short: "List clients in the order of their registration",
		Example: `  fosite-mcp client list
  fosite-mcp client list --q search --status active
  fosite-mcp client list --all --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := list.query()
			if err != nil {
				return err
			}
			if status != "" && status != "active" && status != "disabled" {
				return console.BadUsage("--status is active or disabled, not %q", status)
			}
			if status != "" {
				query.Set("status", status)
			}
			if search != "" {
				query.Set("q", search)
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			head := []string{"CLIENT ID", "NAME", "STATUS", "SCOPE", "GRANTS", "OWNER", "CREATED", "LAST USED"}
			return a.list(c.Context(), api, &list, "/clients", query, head, clientRow)
		},
	}
	list.register(c)
	c.Flags().StringVar(&status, "status", "", "only clients that are active or disabled")
	c.Flags().StringVar(&search, "q", "", "only clients with this `text` in id, name or owner")
	return c
}

func clientRow(item json.RawMessage) ([]string, error) {
	var c clientView
	err := json.Unmarshal(item, &c)
	return []string{c.ID, c.Name, c.Status, c.Scope, strings.Join(c.GrantTypes, " "), c.Owner, console.Time(c.CreatedAt), console.Time(c.LastUsedAt)}, err
}
