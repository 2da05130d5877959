package cmd

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExitCodesTellFailuresApart(t *testing.T) {
	folder := t.TempDir()
	keyFile, secretFile := filepath.Join(folder, "admin.key"), filepath.Join(folder, "secret")
	for _, file := range []string{keyFile, secretFile} {
		if err := os.WriteFile(file, []byte("the-key\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const show, mint = "client show ci", "token mint --client-id ci --client-secret-file SECRET"
	for name, tt := range map[string]struct {
		command, body string
		status, want  int
	}{
		"done":                             {show, `{"client_id":"ci"}`, 200, 0},
		"a mistake in the request":         {show, `{"title":"The request is not valid"}`, 400, 1},
		"another host":                     {show, `{"title":"Not this host"}`, 421, 1},
		"an answer of something else":      {show, `<html>`, 404, 1},
		"used wrongly":                     {"client show ..", ``, 200, 2},
		"no such command":                  {"client sohw", ``, 200, 2},
		"not found":                        {show, `{"title":"Not found"}`, 404, 3},
		"not found when it was looked for": {"client delete-secret ci cs_1 --yes", `{"items":[]}`, 200, 3},
		"exists":                           {show, `{"title":"Conflict"}`, 409, 4},
		"changed meanwhile":                {"client update ci --name x", `{"title":"The client has changed"}`, 412, 4},
		"a wrong admin key":                {show, `{"title":"An admin key is needed"}`, 401, 5},
		"a role that does not suffice":     {show, `{"title":"Forbidden"}`, 403, 5},
		"too many failures":                {show, `{"title":"Too many"}`, 429, 6},
		"an outage":                        {show, `{"title":"Service unavailable"}`, 503, 6},
		"an outage behind a proxy":         {show, `<html>`, 502, 6},
		"a wrong secret":                   {mint, `{"error":"invalid_client"}`, 401, 5},
		"a wrong scope":                    {mint, `{"error":"invalid_scope"}`, 400, 1},
		"a busy token endpoint":            {mint, `{"error":"temporarily_unavailable"}`, 503, 6},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && tt.status == http.StatusPreconditionFailed {
					answerJSON(w, 200, `{}`)
					return
				}
				answerJSON(w, tt.status, tt.body)
			}))
			defer server.Close()
			args := strings.Fields(strings.ReplaceAll(tt.command, "SECRET", secretFile) + " --json")
			if tt.command == mint {
				args = append(args, "--public-url", server.URL)
			} else {
				args = append(args, "--admin-url", server.URL, "--admin-key-file", keyFile)
			}
			told := wantExit(t, tt.want, args)
			if tt.want == 0 {
				return
			}
			if tt.status >= 400 && tt.body[0] == '{' && told["title"] == nil && told["error"] == nil {
				t.Errorf("what the server says is missing: %v", told)
			}
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		wantExit(t, exitUnavailable, []string{"client", "list", "--json", "--admin-url", "http://127.0.0.1:9", "--admin-key-file", keyFile})
	})
}

// wantExit runs a command, and returns the JSON that it writes to stderr.
func wantExit(t *testing.T, want int, args []string) map[string]any {
	t.Helper()
	stdout, stderr := new(bytes.Buffer), new(bytes.Buffer)
	code := Main(args, nil, strings.NewReader(""), stdout, stderr)
	if code != want {
		t.Errorf("%v: exit code %d, want %d\n%s", args, code, want, stderr)
	}
	if want == 0 {
		return nil
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout: %s", stdout)
	}
	var told map[string]any
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &told); err != nil {
		t.Fatalf("stderr %q: %v", stderr, err)
	}
	if told["exit_code"] != float64(want) || told["message"] == "" {
		t.Errorf("stderr %s", stderr)
	}
	return told
}

func TestAnErrorInJSONHasWhatTheServerSays(t *testing.T) {
	const body = `{"type":"urn:fosite-mcp:problem:invalid-request","title":"The request is not valid","status":400,"detail":"Nothing was changed.",` +
		`"instance":"/admin/v1/clients","request_id":"r1","errors":[{"pointer":"/scope","code":"unknown_scope","detail":"is unknown"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, 400, body) }))
	defer server.Close()
	key := filepath.Join(t.TempDir(), "admin.key")
	if err := os.WriteFile(key, []byte("the-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := wantExit(t, exitFailed, []string{"client", "create", "--name", "x", "--json", "--admin-url", server.URL, "--admin-key-file", key})
	var want map[string]any
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		t.Fatal(err)
	}
	want["message"], want["exit_code"] = "--scope: is unknown", float64(exitFailed)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
}
