package cmd

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// fleetWorld is a server, with a proxy before its admin API that can lose answers.
type fleetWorld struct {
	t           *testing.T
	folder, key string
	admin       string
	lose        atomic.Int64 // which answer to a POST that creates a client, from 1, gets lost; 0: none
}

func newFleetWorld(t *testing.T) *fleetWorld {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	addresses, stop, err := serveForTest(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	target, err := url.Parse(addresses.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	w := &fleetWorld{t: t, folder: t.TempDir(), key: filepath.Join(data, "admin.key")}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy.ModifyResponse = func(response *http.Response) error {
		if response.StatusCode == http.StatusCreated && w.lose.Load() > 0 && w.lose.Add(-1) == 0 {
			return fmt.Errorf("the answer is lost")
		}
		return nil
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	w.admin = server.URL
	return w
}

// run runs fosite-mcp client with arguments; FOLDER is the folder of the test.
func (w *fleetWorld) run(want int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FOLDER", w.folder)
	}
	args = slices.Concat([]string{"client"}, args, []string{"--admin-url", w.admin, "--admin-key-file", w.key})
	var out, messages bytes.Buffer
	if code := Main(args, nil, strings.NewReader(""), &out, &messages); code != want {
		w.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, &out, &messages)
	}
	return out.String(), messages.String()
}

func (w *fleetWorld) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *fleetWorld) files(folder string) []string {
	entries, _ := os.ReadDir(filepath.Join(w.folder, folder))
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// fifty is a file with fifty clients, of three lines each.
func fifty() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "- client_id: ci_%02d\n  client_name: CI %d\n  owner: team %d\n", i, i, i%5)
	}
	return b.String()
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestFiftyClientsAreAppliedOnceAndASecondTimeChangesNothing(t *testing.T) {
	w := newFleetWorld(t)
	w.write("clients.yaml", fifty())
	plan, told := w.run(0, "apply", "-f", "FOLDER/clients.yaml")
	if strings.Count(plan, "  create") != 50 {
		t.Errorf("the plan is\n%s", plan)
	}
	wantText(t, told, "50 would be created, 0 would be changed, 0 unchanged", "nothing was changed; add --yes and --secrets-dir DIR to do it")
	if list, _ := w.run(0, "list", "--json"); list != "{\"items\":[]}\n" {
		t.Errorf("a dry run has made clients: %s", list)
	}
	_, told = w.run(2, "apply", "-f", "FOLDER/clients.yaml", "--yes")
	wantText(t, told, "say where to with --secrets-dir DIR")

	// The twentieth answer gets lost, with its secret: the server has done what it was asked.
	w.lose.Store(20)
	done, told := w.run(6, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes", "--secrets-expire-in", "90d")
	wantText(t, told, "19 of 50 clients are as the file says; run the same command again to go on")
	if n := len(w.files("secrets")); n != 20 { // one of them what was asked for
		t.Errorf("%d files, want 20", n)
	}
	done2, told := w.run(0, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes", "--secrets-expire-in", "90d")
	wantText(t, told, "30 created, 0 changed, 19 unchanged, 1 secrets fetched again")
	if all := done + done2 + told; strings.Contains(all, "mcp_cs_") {
		t.Error("a secret is printed")
	}
	names := w.files("secrets")
	for i, name := range names {
		path := filepath.Join(w.folder, "secrets", name)
		content, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || name != fmt.Sprintf("ci_%02d.secret", i) || !strings.HasPrefix(string(content), "mcp_cs_") || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: %v", name, info.Mode(), err)
		}
	}
	if len(names) != 50 {
		t.Errorf("%d secrets, want 50", len(names))
	}
	if soon, _ := w.run(0, "list", "--all", "--json", "--expires-within", "91d"); strings.Count(soon, `"client_id"`) != 50 {
		t.Errorf("these secrets end: %s", soon)
	}
	again, told := w.run(0, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	if strings.Count(again, "  unchanged\n") != 50 {
		t.Errorf("the second run:\n%s", again)
	}
	wantText(t, told, "0 created, 0 changed, 50 unchanged")
}

func TestAFileWithMistakesIsNotHalfDone(t *testing.T) {
	w := newFleetWorld(t)
	lines := strings.Split(strings.TrimSpace(fifty()), "\n")
	lines[16] = "  redirect_uris: javascript:alert(1)"
	lines[20] = "  ownr: team"
	lines[25] = "  access_token_lifespan: soon"
	lines[27] = "- client_id: ci_08"
	lines[30] = "- client_id: ../ci"
	lines[33] = "- client_id: " + strings.Repeat("a", 129)
	w.write("clients.yaml", strings.Join(lines, "\n"))
	_, told := w.run(1, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	wantText(t, told, "nothing was changed", "line 21: ownr: is not a member of this object; did you mean \"owner\"?", "line 26: access_token_lifespan: must be seconds",
		"line 28: client_id: ci_08 is also in line 25", "line 31: client_id: must be 1 to 64 letters",
		"line 34: client_id: must be 1 to 64 letters")
	for _, line := range []int{20, 25, 27, 30, 33} {
		lines[line] = strings.Split(fifty(), "\n")[line]
	}
	lines[26] = "  scope: nonsense"
	w.write("clients.yaml", strings.Join(lines, "\n"))
	_, told = w.run(1, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	wantText(t, told, "\n  line 17: redirect_uris: ", "\n  line 27: scope: \"nonsense\" is no scope of this server")
	_, told = w.run(1, "apply", "-f", "FOLDER/clients.yaml", "--json")
	wantText(t, told, `"exit_code":1`, `{"line":17,"client_id":"ci_05","pointer":"/redirect_uris/0","code":"invalid"`)
	if list, _ := w.run(0, "list", "--json"); list != "{\"items\":[]}\n" || len(w.files("secrets")) > 0 {
		t.Errorf("something was done: %s", list)
	}
}

func TestApplyChangesWhatTheFileSaysAndNothingElse(t *testing.T) {
	w := newFleetWorld(t)
	w.run(0, "create", "--name", "CI", "--client-id", "ci", "--owner", "team a", "--metadata", `{"a":1}`, "--expires-in", "90d", "--secret-file", "FOLDER/ci.secret")
	w.write("clients.csv", "\ufeffclient_id;client_name;owner;expires_at;grant_types;redirect_uris;token_endpoint_auth_method\r\n"+
		"ci;CI;team b;never;;;\r\n"+
		"desktop;Desktop;;;authorization_code refresh_token;http://127.0.0.1/a http://127.0.0.1/b;none\r\n")
	shown, _ := w.run(0, "apply", "-f", "FOLDER/clients.csv", "--yes")
	wantText(t, shown, `line 2  ci  change  expires_at: "20`, ` → null  owner: "team a" → "team b"`, "line 3  desktop  create")
	client, _ := w.run(0, "show", "ci", "--json")
	wantText(t, client, `"metadata":{"a":1}`, `"owner":"team b"`)
	w.write("clients.csv", "client_id,owner\nci,team b\ndesktop,me\n")
	shown, _ = w.run(0, "apply", "-f", "FOLDER/clients.csv", "--json")
	wantText(t, shown, `{"line":2,"client_id":"ci","result":"unchanged","applied":false}`,
		`{"line":3,"client_id":"desktop","result":"change","applied":false,"changes":{"owner":{"before":"","after":"me"}}}`)
	w.run(0, "delete", "desktop", "--yes")
	_, told := w.run(1, "apply", "-f", "FOLDER/clients.csv", "--yes")
	wantText(t, told, "line 3: client_name: is missing")
	w.write("clients.csv", "client_id,client_name\ndesktop,Desktop\n")
	_, told = w.run(1, "apply", "-f", "FOLDER/clients.csv", "--yes")
	wantText(t, told, "line 2: client_id: is taken: ")
}

// A secret that has got lost for good is said to be lost, and so is what helps.
func TestASecretThatCannotBeFetchedAgainIsNotCalledDone(t *testing.T) {
	w := newFleetWorld(t)
	w.write("clients.yaml", "clients: [{client_id: ci, client_name: CI}]")
	w.run(0, "create", "--name", "CI", "--client-id", "ci", "--secret-file", "FOLDER/other.secret")
	if err := os.Mkdir(filepath.Join(w.folder, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("secrets/ci.pending", `{"idempotency_key":"`+strings.Repeat("x", 40)+`","request":{"client_id":"ci","client_name":"CI"}}`)
	_, told := w.run(1, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	wantText(t, told, "its first secret is not shown any more. Make another: fosite-mcp client rotate ci --secret-file "+w.folder+"/secrets/ci.secret")
	w.run(0, "rotate", "ci", "--secret-file", "FOLDER/secrets/ci.secret", "--expires-previous-in", "0s")
	w.run(0, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	if files := w.files("secrets"); !slices.Equal(files, []string{"ci.secret"}) {
		t.Errorf("files %v", files)
	}
	// A file that is there already is no client's of this run.
	w.write("clients.yaml", "- {client_id: new, client_name: New}")
	w.write("secrets/new.secret", "precious")
	_, told = w.run(1, "apply", "-f", "FOLDER/clients.yaml", "--secrets-dir", "FOLDER/secrets", "--yes")
	wantText(t, told, "new.secret is there already and is not overwritten")
	w.run(3, "show", "new")
}
