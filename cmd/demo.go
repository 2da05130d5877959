package cmd

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fosite-mcp/cmd/mcp-search/search"
	"fosite-mcp/config"
	"fosite-mcp/handlers/resource"

	"github.com/spf13/cobra"
)

//go:embed demo-pages
var demoPages embed.FS

func (a *app) demoCommand() *cobra.Command {
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
			return a.demo(ctx)
		},
	}
}

// demo is the story. Each step stops it when it does not go as told.
func (a *app) demo(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "fosite-mcp-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	mcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer mcp.Close()
	d := &demo{app: a, resource: "http://" + mcp.Addr().String() + "/authed/mcp", http: &http.Client{Timeout: 10 * time.Second}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped, err := d.startServer(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { stop(); <-stopped }()
	return d.tell(ctx, mcp)
}

// startServer runs the real server, with its data in folder and ports of the system's choice.
func (d *demo) startServer(ctx context.Context, folder string) (stopped <-chan error, err error) {
	cfg := config.Default()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", folder
	cfg.Database.URL = config.DatabaseURL("sqlite:" + filepath.Join(folder, "demo.db"))
	cfg.PublicURL, cfg.Issuer = "", ""
	cfg.Resources = map[string]config.Resource{d.resource: {Name: "Demo documentation", Scopes: []string{"mcp:search"}}}
	cfg.DefaultResource = d.resource
	ready, done := make(chan Addresses, 1), make(chan error, 1)
	server := &Server{Config: cfg, Log: slog.New(slog.NewTextHandler(d.app.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Ready: func(at Addresses) { ready <- at }}
	go func() { done <- server.Run(ctx) }()
	select {
	case d.at = <-ready:
	case err := <-done:
		return nil, fmt.Errorf("the demo's server did not start: %w", err)
	}
	key, err := os.ReadFile(d.at.AdminKey)
	if err != nil {
		return nil, err
	}
	d.adminKey = strings.TrimSpace(string(key))
	d.endpoints = d.at.PublicURL + cfg.BasePath
	return done, nil
}

// startSearch serves the protected MCP server, which introspects as a client of its own.
func (d *demo) startSearch(listener net.Listener, id, secret string) error {
	pages, err := fs.Sub(demoPages, "demo-pages")
	if err != nil {
		return err
	}
	index, err := search.Load(pages)
	if err != nil {
		return err
	}
	verifier, err := resource.NewIntrospector(resource.Config{
		Endpoint: d.endpoints + "/introspect", ClientID: id, ClientSecret: secret, Resource: d.resource,
	})
	if err != nil {
		return err
	}
	handler, err := search.Server{
		Pages: index, Verifier: verifier, Resource: d.resource, AuthorizationServer: d.at.Issuer,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}.Handler()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return nil
}

// step is one line of the story.
type step struct {
	Title  string          `json:"step"`
	Curl   string          `json:"curl"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

func (d *demo) print(s step) {
	d.steps++
	if d.app.JSON {
		_ = d.app.Encode(s)
		return
	}
	fmt.Fprintf(d.app.Stdout, "\n%d. %s\n   $ %s\n   %d", d.steps, s.Title, s.Curl, s.Status)
	if len(s.Answer) > 0 {
		fmt.Fprintf(d.app.Stdout, " %s", s.Answer)
	}
	fmt.Fprintln(d.app.Stdout)
}
