package cmd

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

func (a *app) serveCommand() *cobra.Command {
	var printConfig bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the authorization server",
		Long: `Run the authorization server. Without any configuration it listens on 127.0.0.1:8080 (admin API: 8081) and
keeps everything in ./fosite-mcp-data. The first start writes an admin key there.`,
		Example: `  fosite-mcp serve
  fosite-mcp serve --config fosite-mcp.yaml
  FOSITE_MCP_PUBLIC_URL=https://auth.example.com FOSITE_MCP_BEHIND_PROXY=true fosite-mcp serve`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if printConfig {
				return cfg.Print(a.stdout)
			}
			tuneGarbageCollector(a.environ)
			server := &Server{Config: cfg, Log: newLogger(cfg.Log, a.stderr), Notice: a.notice, Ready: a.announce}
			return server.Run(c.Context())
		},
	}
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the settings, secrets masked, and exit")
	return c
}

// tuneGarbageCollector spends a few megabytes on collecting half as often, unless the operator has decided otherwise.
func tuneGarbageCollector(environ []string) {
	decided := slices.ContainsFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, "GOGC=") })
	if !decided {
		debug.SetGCPercent(200)
	}
}

// notice tells a person something, apart from the data on stdout.
func (a *app) notice(format string, args ...any) {
	fmt.Fprintf(a.stderr, "fosite-mcp: "+format+"\n", args...)
}

func (a *app) announce(at Addresses) {
	a.notice("serving %s (admin API: %s)", at.PublicURL, at.AdminURL)
}

func newLogger(settings config.Log, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.SlogLevel()}
	if settings.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
