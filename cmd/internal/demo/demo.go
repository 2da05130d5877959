// Package demo shows the life of a machine's token against a throw-away server, with real HTTP on loopback.
package demo

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

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/cmd/mcp-search/search"
	"fosite-mcp/config"
	"fosite-mcp/handlers/resource"
)

//go:embed pages
var pages embed.FS

// Run starts the servers and goes through the steps. It ends at the first step that fails.
func Run(ctx context.Context, out *terminal.Terminal) error {
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
	d := &demo{out: out, resource: "http://" + mcp.Addr().String() + "/authed/mcp", http: &http.Client{Timeout: 10 * time.Second}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopped, err := d.startServer(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { stop(); <-stopped }()
	return d.run(ctx, mcp)
}

// startServer runs the real server, with its data in folder and ports of the system's choice.
func (d *demo) startServer(ctx context.Context, folder string) (stopped <-chan error, err error) {
	cfg := config.Default()
	cfg.Listen, cfg.Admin.Listen, cfg.DataDir = "127.0.0.1:0", "127.0.0.1:0", folder
	cfg.Database.URL = config.DatabaseURL("sqlite:" + filepath.Join(folder, "demo.db"))
	cfg.PublicURL, cfg.Issuer = "", ""
	cfg.Resources = map[string]config.Resource{d.resource: {Name: "Demo documentation", Scopes: []string{"mcp:search"}}}
	cfg.DefaultResource = d.resource
	ready, done := make(chan authserver.Addresses, 1), make(chan error, 1)
	server := &authserver.Instance{Config: cfg, Log: slog.New(slog.NewTextHandler(d.out.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Ready: func(at authserver.Addresses) { ready <- at }}
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
	folder, err := fs.Sub(pages, "pages")
	if err != nil {
		return err
	}
	index, err := search.Load(folder)
	if err != nil {
		return err
	}
	verifier, err := resource.NewIntrospector(resource.Config{
		Endpoint: d.endpoints + "/introspect", ClientID: id, ClientSecret: secret, Resource: d.resource,
	})
	if err != nil {
		return err
	}
	handler, err := search.Service{
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

// exchange is one request of the demo and its answer, as they are printed.
type exchange struct {
	Title  string          `json:"step"`
	Curl   string          `json:"curl"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

func (d *demo) print(e exchange) {
	d.steps++
	if d.out.JSON {
		_ = d.out.Encode(e)
		return
	}
	fmt.Fprintf(d.out.Stdout, "\n%d. %s\n   $ %s\n   %d", d.steps, e.Title, e.Curl, e.Status)
	if len(e.Answer) > 0 {
		fmt.Fprintf(d.out.Stdout, " %s", e.Answer)
	}
	fmt.Fprintln(d.out.Stdout)
}
