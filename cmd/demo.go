package cmd

import (
	"context"
	"time"

	"fosite-mcp/cmd/internal/demo"

	"github.com/spf13/cobra"
)

func demoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story against a throw-away server",
		Long: `Start a throw-away authorization server and a protected MCP search server on loopback, and go through the life
of a machine's token: register, fetch, use, introspect, revoke, delete. Every step is real HTTP, checked, and
printed with the curl line that does the same. The exit code is 1 if any step misbehaves.`,
		Example: "  fosite-mcp demo\n  fosite-mcp demo --json",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			return demo.Run(ctx, &a.Terminal)
		},
	}
}
