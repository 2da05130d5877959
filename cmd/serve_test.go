package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/config"
	"fosite-mcp/provider/client/slowhash"
)

func TestAPortInUseNamesTheSettingThatMovesTheServer(t *testing.T) {
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	address := occupied.Addr().String()
	for setting, environ := range map[string][]string{
		"set listen (FOSITE_MCP_LISTEN)":             {"FOSITE_MCP_LISTEN=" + address},
		"set admin.listen (FOSITE_MCP_ADMIN_LISTEN)": {"FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=" + address},
	} {
		cfg, err := config.Load("", append(environ, "FOSITE_MCP_DATA_DIR="+t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		err = (&Server{Config: cfg}).Run(t.Context())
		if want := address + " is in use, perhaps by another fosite-mcp: stop it, or " + setting; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

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
	if err := (&app{Console: console.Console{Stderr: stderr}}).serve(ctx, cfg, nil, &slowhash.Process{}); err != nil {
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
