package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/guard"
)

const clientSecret = "mcp_cs_do_not_show"

func environment(values map[string]string) guard.LookupEnv {
	return func(key string) (string, bool) { value, ok := values[key]; return value, ok }
}

func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func docs(t *testing.T) string {
	dir := t.TempDir()
	file(t, dir, "index.md", "# Start\n")
	return dir
}

// runToEnd runs the program with a context that is done already, so that what
// starts well also ends.
func runToEnd(t *testing.T, env map[string]string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code = run(ctx, args, environment(env), &stdout, &stderr)
	output = stdout.String() + stderr.String()
	if strings.Contains(output, clientSecret) {
		t.Errorf("the output shows the client secret:\n%s", output)
	}
	return code, output
}

func TestStartUp(t *testing.T) {
	secretFile := file(t, t.TempDir(), "secret", clientSecret+"\n")
	inEnv := map[string]string{"MCP_SEARCH_CLIENT_SECRET": clientSecret}
	pages := docs(t)
	empty := t.TempDir()
	good := []string{"--listen", "127.0.0.1:0", "--docs", pages, "--client-id", "docs_search", "--introspection-endpoint", "http://127.0.0.1:8080/introspect"}
	with := func(more ...string) []string { return append(append([]string(nil), good...), more...) }
	for _, tc := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		want []string
	}{
		{"secret from a file", nil, with("--client-secret-file", secretFile), 0, []string{"serving", "pages=1"}},
		{"secret from the environment", inEnv, good, 0, []string{"serving", "/authed/mcp"}},
		{"flags from the environment", map[string]string{
			"MCP_SEARCH_CLIENT_SECRET_FILE": secretFile, "MCP_SEARCH_CLIENT_ID": "docs_search", "MCP_SEARCH_DOCS": pages,
			"MCP_SEARCH_LISTEN": "127.0.0.1:0", "MCP_SEARCH_INTROSPECTION_ENDPOINT": "http://127.0.0.1:8080/introspect",
			"MCP_SEARCH_RESOURCE": "https://docs.example.com/mcp",
		}, nil, 0, []string{"url=https://docs.example.com/mcp"}},
		{"a flag wins over the environment", map[string]string{"MCP_SEARCH_CLIENT_SECRET": clientSecret, "MCP_SEARCH_DOCS": "/nonexistent"}, good, 0, []string{"serving"}},
		{"a signal while waiting for the authorization server", inEnv, with("--introspection-endpoint", ""), 0, nil},
		{"help", nil, []string{"--help"}, 0, []string{"--client-secret-file", "Examples:", "MCP_SEARCH_"}},

		{"nothing given", nil, nil, 2, []string{"--client-id", "client secret", "--help"}},
		{"unknown flag", nil, []string{"--client-secret", clientSecret}, 2, []string{"unknown flag: --client-secret"}},
		{"argument", inEnv, with("docs"), 2, []string{"unknown command"}},
		{"bad value in the environment", map[string]string{"MCP_SEARCH_VERBOSE": "maybe"}, nil, 2, []string{"MCP_SEARCH_VERBOSE", "maybe"}},
		{"secret given twice", inEnv, with("--client-secret-file", secretFile), 2, []string{"both"}},
		{"secret file missing", nil, with("--client-secret-file", "/nonexistent/secret"), 2, []string{"--client-secret-file", "/nonexistent/secret"}},
		{"secret file empty", nil, with("--client-secret-file", file(t, t.TempDir(), "empty", "\n")), 2, []string{"client secret is missing"}},
		{"listen address without a port", inEnv, with("--listen", "9000"), 2, []string{"127.0.0.1:9000"}},
		{"listening to the network", inEnv, with("--listen", "0.0.0.0:0"), 2, []string{"--insecure-allow-http", "--resource is missing"}},
		{"resource that is no URL", inEnv, with("--resource", "docs"), 2, []string{"--resource", "absolute"}},
		{"resource over plain http", inEnv, with("--resource", "http://docs.example.com/mcp"), 2, []string{"--resource is plain http"}},
		{"plain http on purpose", inEnv, with("--resource", "http://docs.internal/mcp", "--insecure-allow-http"), 0, []string{"serving"}},
		{"issuer that is no URL", inEnv, with("--issuer", "auth"), 2, []string{"--issuer", "absolute"}},
		{"issuer with a password", inEnv, with("--issuer", "https://joe:"+clientSecret+"@auth.example.com"), 2, []string{"--issuer", "user name"}},
		{"issuer over plain http", inEnv, with("--issuer", "http://auth.example.com"), 2, []string{"--issuer is plain http"}},

		{"no such folder", inEnv, with("--docs", "/nonexistent/docs"), 1, []string{"--docs /nonexistent/docs", "no such file"}},
		{"folder without pages", inEnv, with("--docs", empty), 1, []string{"no Markdown file", empty}},
		{"address that cannot be used", inEnv, with("--listen", "127.0.0.1:99999"), 1, []string{"cannot listen"}},
		{"plain http to the authorization server", inEnv, with("--introspection-endpoint", "http://auth.example.com/introspect"), 1, []string{"use https"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, output := runToEnd(t, tc.env, tc.args...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(output, want) {
					t.Errorf("output does not speak of %q:\n%s", want, output)
				}
			}
		})
	}
}

// lines passes each line that is written on to a channel.
type lines struct{ c chan string }

func (l lines) Write(p []byte) (int, error) {
	l.c <- string(p)
	return len(p), nil
}

func TestItFindsTheAuthorizationServerServesAndStops(t *testing.T) {
	var auth *httptest.Server
	auth = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/introspect" {
			io.WriteString(w, `{"active":false}`)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"introspection_endpoint":%q}`, auth.URL, auth.URL+"/introspect")
	}))
	defer auth.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr := lines{make(chan string, 100)}
	ended := make(chan int, 1)
	args := []string{"--listen", "127.0.0.1:0", "--docs", docs(t), "--client-id", "docs_search", "--issuer", auth.URL}
	go func() {
		ended <- run(ctx, args, environment(map[string]string{"MCP_SEARCH_CLIENT_SECRET": clientSecret}), io.Discard, stderr)
	}()

	var endpoint string
	select {
	case line := <-stderr.c:
		match := regexp.MustCompile(`msg=serving url=(\S+)`).FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("first line %q does not tell the URL", line)
		}
		endpoint = match[1]
	case code := <-ended:
		t.Fatalf("ended with %d", code)
	}
	for path, want := range map[string]int{"/authed/mcp": 401, "/livez": 200} {
		req, _ := http.NewRequest("GET", strings.TrimSuffix(endpoint, "/authed/mcp")+path, nil)
		req.Header.Set("Authorization", "Bearer unknown")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after a signal, want 0", code)
	}
	if _, err := http.Get(endpoint); err == nil {
		t.Error("it still listens")
	}
}
