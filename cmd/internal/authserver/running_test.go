package authserver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fosite-mcp/config"
)

// runningServer is a whole server in this process, as configured, on free ports of loopback.
type runningServer struct {
	Addresses
	data     string
	adminKey string
	mu       sync.Mutex
	log      bytes.Buffer
	notices  []string
}

// Write takes log lines.
func (s *runningServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *runningServer) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// runServer starts a server with these settings, each as NAME=value without FOSITE_MCP_, and stops it with the test.
func runServer(t *testing.T, settings ...string) *runningServer {
	t.Helper()
	s := &runningServer{data: filepath.Join(t.TempDir(), "data")}
	environ := []string{"FOSITE_MCP_DATA_DIR=" + s.data, "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0"}
	for _, setting := range settings {
		environ = append(environ, "FOSITE_MCP_"+setting)
	}
	cfg, err := config.Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	ready, stopped := make(chan Addresses, 1), make(chan error, 1)
	server := &Instance{
		Config: cfg, Log: slog.New(slog.NewTextHandler(s, nil)), Ready: func(at Addresses) { ready <- at },
		Notice: func(format string, args ...any) { s.notices = append(s.notices, fmt.Sprintf(format, args...)) },
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { stopped <- server.Run(ctx) }()
	select {
	case s.Addresses = <-ready:
	case err := <-stopped:
		stop()
		t.Fatalf("the server did not start: %v", err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
	})
	key, err := os.ReadFile(s.AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	s.adminKey = strings.TrimSpace(string(key))
	return s
}
