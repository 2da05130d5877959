package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fosite-mcp/cmd/internal/guard"
	"fosite-mcp/cmd/mcp-search/search"
	"fosite-mcp/handlers/resource"
)

const (
	exitFailed = 1
	exitUsage  = 2

	envPrefix = "MCP_SEARCH_"
)

// options are the flags.
type options struct {
	guard.Options
	docs       string
	toolScopes map[string]string
}

func (o *options) register(f *pflag.FlagSet) {
	o.Register(f)
	f.StringVar(&o.docs, "docs", "./docs", "folder of Markdown pages; one with a line such as \"groups: staff, authors\" between lines of --- at its top is for people in one of these groups")
	f.StringToStringVar(&o.toolScopes, "tool-scope", nil, "scopes that a tool needs besides "+search.Scope+", as get_page=docs:read; several scopes with spaces between")
}

func (o *options) scopesOfTools() resource.ToolScopes {
	scopes := resource.ToolScopes{}
	for tool, text := range o.toolScopes {
		scopes[tool] = strings.Fields(text)
	}
	return scopes
}

// usageError is a mistake in flags or environment.
type usageError struct{ error }

// run is the whole program: it serves until ctx is done and returns the exit
// code. Messages go to stderr.
func run(ctx context.Context, args []string, env guard.LookupEnv, stdout, stderr io.Writer) int {
	o := options{Options: guard.Options{EnvPrefix: envPrefix}}
	command := &cobra.Command{
		Use:   "mcp-search",
		Short: "An MCP server over a folder of Markdown pages, protected by access tokens",
		Long: "mcp-search offers the MCP tools search and get_page over a folder of Markdown pages.\n" +
			"Clients need an access token with the scope " + search.Scope + "; each one is checked at the\n" +
			"authorization server, so that a revoked token is refused at its next use.\n\n" +
			"Every flag can also be set in the environment, such as " + envPrefix + "LISTEN for --listen.",
		Example: "  mcp-search --client-id docs_search --client-secret-file ./secret\n" +
			"  mcp-search --docs ./handbook --resource https://docs.example.com/authed/mcp --issuer https://auth.example.com \\\n" +
			"    --client-id docs_search --client-secret-file /run/secrets/docs_search",
		Args:          func(cmd *cobra.Command, args []string) error { return asUsage(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Complete(cmd.Flags(), env); err != nil {
				return asUsage(err)
			}
			return serve(cmd.Context(), &o, stderr)
		},
	}
	o.register(command.Flags())
	command.Flags().SortFlags = false
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return asUsage(err) })
	command.CompletionOptions.DisableDefaultCmd = true
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)

	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "mcp-search: %v\n", err)
	if errors.As(err, new(usageError)) {
		fmt.Fprintln(stderr, "Run mcp-search --help for the flags and an example.")
		return exitUsage
	}
	return exitFailed
}

func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// serve loads the pages, finds the authorization server and serves.
func serve(ctx context.Context, o *options, stderr io.Writer) error {
	logger := o.Logger(stderr)
	pages, err := loadPages(o.docs)
	if err != nil {
		return fmt.Errorf("cannot serve the pages of --docs %s: %w", o.docs, err)
	}
	for _, file := range pages.Skipped {
		logger.Warn("page left out", "page", file)
	}
	listener, err := o.Open()
	if err != nil {
		return err
	}
	defer listener.Close()
	return o.Serve(ctx, listener, guard.Documents, logger, func(verifier *resource.Introspector) (http.Handler, error) {
		return search.Service{
			Pages: pages, Verifier: verifier, Resource: o.Resource, AuthorizationServer: o.Issuer, ToolScopes: o.scopesOfTools(), Logger: logger,
		}.Handler()
	}, func() {
		logger.Info("serving", "url", o.Resource, "listen", listener.Addr().String(), "pages", pages.Len(), "docs", o.docs)
	})
}

// loadPages opens the folder as a root, out of which no link leads.
func loadPages(folder string) (*search.Pages, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return search.Load(root.FS())
}
