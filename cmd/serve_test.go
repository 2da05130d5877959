package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/provider/client/slowhash"
)

// whenSaid cancels once a text has been written, so that nothing has to wait for a time.
type whenSaid struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (w *whenSaid) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.cancel()
	}
	return w.Buffer.Write(p)
}

func TestWithJSONLogsEveryLineOfTheServerIsJSON(t *testing.T) {
	cfg, err := config.Load("", []string{
		"FOSITE_MCP_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0", "FOSITE_MCP_LOG_FORMAT=json",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &whenSaid{text: `"msg":"serving"`, cancel: cancel}
	if err := (&app{Terminal: terminal.Terminal{Stderr: stderr}}).serve(ctx, cfg, nil, &slowhash.Process{}); err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(stderr.String()) {
		var entry struct {
			Message string `json:"msg"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%q is not JSON: %v", line, err)
		}
		said = append(said, entry.Message)
	}
	for _, want := range []string{"wrote the admin key to ", "serving", "stopping"} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("the log does not say %q: %q", want, said)
		}
	}
}

// So is why it ends, which Main then does not print again.
func TestWithJSONLogsAFatalErrorIsALine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for format, want := range map[string]string{"json": `{"time":`, "text": "fosite-mcp: "} {
		var stderr bytes.Buffer
		code := Main([]string{"serve"}, []string{
			"FOSITE_MCP_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "FOSITE_MCP_LISTEN=" + taken.Addr().String(), "FOSITE_MCP_LOG_FORMAT=" + format,
		}, nil, io.Discard, &stderr)
		if line := stderr.String(); code != exitFailed || !strings.HasPrefix(line, want) || strings.Count(line, "\n") != 1 || !strings.Contains(line, "in use") {
			t.Errorf("%s: exit %d, %s", format, code, line)
		}
	}
}

// SIGHUP takes over the log level, and nothing from a configuration that has mistakes.
func TestAHangupTakesOverTheLogLevel(t *testing.T) {
	file := t.TempDir() + "/fosite-mcp.yaml"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\n")
	hangup := make(chan os.Signal)
	var stderr lockedLog
	a := &app{Terminal: terminal.Terminal{Stderr: &stderr}, configFile: file, hangup: hangup}
	cfg, err := a.config()
	if err != nil {
		t.Fatal(err)
	}
	var level slog.LevelVar
	reread := a.onHangup(t.Context(), cfg, newLogger(cfg.Log, &level, &stderr), &level)
	for _, c := range []struct {
		config, says string
		level        slog.Level
	}{
		{"log: {level: debug}\n", "log_level=debug", slog.LevelDebug},
		{"log: {level: loud}\n", "log.level", slog.LevelDebug},
		{"log: {level: debug}\nbase_path: /oauth\n", "from the next start on", slog.LevelDebug},
		{"log: {level: warn}\n", "", slog.LevelWarn},
	} {
		stderr.reset()
		write(c.config)
		hangup <- nil
		<-reread
		if level.Level() != c.level || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: level %v, want %v; log %q", c.config, level.Level(), c.level, stderr.String())
		}
	}
	// Nobody listens to the channel: the next hangups are heard all the same.
	for range 3 {
		select {
		case hangup <- nil:
		case <-time.After(10 * time.Second):
			t.Fatal("a hangup blocks the ones behind it")
		}
	}
}

// lockedLog is a log that is written while the test reads it.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lockedLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}
