package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"fosite-mcp/cmd/mcp-search/search"
	"fosite-mcp/handlers/resource"
)

const (
	exitFailed = 1
	exitUsage  = 2

	shutdownTime = 10 * time.Second
)

// usageError is a mistake in flags or environment.
type usageError struct{ error }

// run is the whole program: it serves until ctx is done and returns the exit
// code. Messages go to stderr.
func run(ctx context.Context, args []string, env lookupEnv, stdout, stderr io.Writer) int {
	var o options
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
			if err := o.complete(cmd.Flags(), env); err != nil {
				return asUsage(err)
			}
			return serve(cmd.Context(), o, stderr)
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
func serve(ctx context.Context, o options, stderr io.Writer) error {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))

	pages, err := loadPages(o.docs)
	if err != nil {
		return fmt.Errorf("cannot serve the pages of --docs %s: %w", o.docs, err)
	}
	for _, file := range pages.Skipped {
		logger.Warn("page left out", "page", file)
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", o.listen, err)
	}
	defer listener.Close()
	if o.resource == "" {
		o.resource = "http://" + listener.Addr().String() + "/authed/mcp"
	}
	verifier, err := newVerifier(ctx, o, logger)
	if errors.Is(err, context.Canceled) {
		return nil // a signal came while waiting for the authorization server
	}
	if err != nil {
		return err
	}
	handler, err := search.Service{
		Pages: pages, Verifier: verifier, Resource: o.resource, AuthorizationServer: o.issuer, Logger: logger,
	}.Handler()
	if err != nil {
		return err
	}
	logger.Info("serving", "url", o.resource, "listen", listener.Addr().String(), "pages", pages.Len(), "docs", o.docs)
	return serveUntilDone(ctx, listener, handler, logger)
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

func newVerifier(ctx context.Context, o options, logger *slog.Logger) (*resource.Introspector, error) {
	config := resource.Config{
		Endpoint: o.introspection, ClientID: o.clientID, ClientSecret: o.clientSecret,
		Resource: o.resource, InsecureAllowHTTP: o.insecureAllowHTTP,
	}
	if config.Endpoint == "" {
		discover := func() error { return config.Discover(ctx, o.issuer) }
		if err := retry(ctx, discover, wait, func(err error) {
			logger.Warn("waiting for the authorization server", "issuer", o.issuer, "error", err)
		}); err != nil {
			return nil, fmt.Errorf("%w (start the authorization server, correct --issuer, or set --introspection-endpoint)", err)
		}
	}
	return resource.NewIntrospector(config)
}

// serveUntilDone lets requests in progress finish before it returns.
func serveUntilDone(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving stopped: %w", err)
	case <-ctx.Done():
	}
	logger.Info("stopping: requests in progress may finish", "within", shutdownTime)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		server.Close()
		return fmt.Errorf("some requests did not finish within %s and were cut off: %w", shutdownTime, err)
	}
	return nil
}
