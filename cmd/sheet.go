package cmd

import (
	"bytes"
	"context"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
)

// printSheet prints a list of the admin API in CSV, as the server writes it: one page, or all, under one head.
func printSheet(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, call apiclient.Call, all bool) (next string, err error) {
	call.Accept = "text/csv"
	for page := 0; ; page++ {
		answer, err := api.Do(ctx, call)
		if err != nil {
			return "", err
		}
		body := answer.Body
		if page > 0 {
			_, body, _ = bytes.Cut(body, []byte("\r\n"))
		}
		if _, err := out.Stdout.Write(body); err != nil {
			return "", err
		}
		if next = answer.Next; next == "" || !all {
			return next, nil
		}
		call.Query.Set("cursor", next)
	}
}
