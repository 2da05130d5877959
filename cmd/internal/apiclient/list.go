package apiclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// ListFlags choose one page of a list, or all of it.
type ListFlags struct {
	Limit  int
	Cursor string
	All    bool
}

const (
	defaultPage = 50
	// LargestPage is how many items the admin API answers at most.
	LargestPage = 200
)

// Register adds the flags to a command.
func (f *ListFlags) Register(c *cobra.Command) {
	c.Flags().IntVar(&f.Limit, "limit", defaultPage, "how many to show")
	c.Flags().StringVar(&f.Cursor, "cursor", "", "go on after an earlier page")
	c.Flags().BoolVar(&f.All, "all", false, "show all, page after page")
	c.MarkFlagsMutuallyExclusive("all", "cursor")
	c.MarkFlagsMutuallyExclusive("all", "limit")
}

// Query is the query for the first page.
func (f *ListFlags) Query() (url.Values, error) {
	if f.Limit < 1 || f.Limit > LargestPage {
		return nil, terminal.BadUsage("--limit must be 1 to %d; --all shows everything", LargestPage)
	}
	query := url.Values{"limit": {strconv.Itoa(f.Limit)}}
	if f.All {
		query.Set("limit", strconv.Itoa(LargestPage))
	}
	if f.Cursor != "" {
		query.Set("cursor", f.Cursor)
	}
	return query, nil
}

// Pages reads one page, or all pages with All, and passes each to visit. next is the cursor of the next page.
func (api *Admin) Pages(ctx context.Context, call Call, all bool, visit func(items []json.RawMessage) error) (next string, err error) {
	for {
		var p Page[json.RawMessage]
		if _, err := api.Decode(ctx, call, &p); err != nil {
			return "", err
		}
		if err := visit(p.Items); err != nil {
			return "", err
		}
		if !all || p.NextCursor == "" {
			return p.NextCursor, nil
		}
		if p.NextCursor == call.Query.Get("cursor") {
			return "", fmt.Errorf("%s answers the same page again and again", api.origin)
		}
		call.Query.Set("cursor", p.NextCursor)
	}
}

// Page is one page of a list of the admin API.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}
