package test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// reader is somebody who pastes the shell blocks of a document, with both programs on the PATH and ports of the
// test's own.
type reader struct {
	t           *testing.T
	folder      string
	environment []string
	ports       *strings.Replacer
	log         *lockedBuffer
	public, mcp string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	programs, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, folder: t.TempDir(), log: new(lockedBuffer), public: freeAddress(t), mcp: freeAddress(t)}
	admin := freeAddress(t)
	r.ports = strings.NewReplacer("127.0.0.1:8080", r.public, "127.0.0.1:8081", admin, "127.0.0.1:9000", r.mcp)
	r.environment = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "FOSITE_MCP_LISTEN="+r.public,
		"FOSITE_MCP_ADMIN_LISTEN="+admin, "MCP_SEARCH_LISTEN="+r.mcp, "MCP_SEARCH_ISSUER=http://"+r.public,
		"MCP_PROXY_LISTEN="+r.mcp, "MCP_PROXY_ISSUER=http://"+r.public)
	docs, err := filepath.Abs("../docs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docs, filepath.Join(r.folder, "docs")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *reader) command(snippet string) *exec.Cmd {
	command := exec.Command("bash", "-euo", "pipefail", "-c", r.ports.Replace(snippet))
	command.Dir, command.Env = r.folder, r.environment
	return command
}

// paste runs lines to their end and returns what they print.
func (r *reader) paste(snippet string) string {
	r.t.Helper()
	output, err := r.command(snippet).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s\n%s\n%s", err, snippet, output, r.log)
	}
	return string(output)
}

// leave starts a line that goes on running, and waits until it serves. stop ends it before the test does.
func (r *reader) leave(line, address string) (stop func()) {
	r.t.Helper()
	command := r.command("exec " + line)
	command.Stderr = r.log
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = command.Process.Kill(); _ = command.Wait() })
	r.t.Cleanup(stop)
	path := "/readyz"
	if address == r.mcp {
		path = "/.well-known/oauth-protected-resource/authed/mcp"
	}
	waitFor(r.t, "http://"+address+path, r.log)
	return stop
}

func TestTheSearchServersDocumentWorksAsPasted(t *testing.T) {
	r := newReader(t)
	blocks := shellBlocks(t, "docs/mcp-search.md")
	r.paste(blocks[0])
	r.leave(blocks[1], r.public)
	register, start, _ := strings.Cut(blocks[2], "\nmcp-search ")
	r.paste(register)
	r.leave("mcp-search "+start, r.mcp)
	if output := r.paste(blocks[3]); !strings.Contains(output, `{"path":"`) {
		t.Errorf("the search found nothing: %s", output)
	}
	call := blocks[3][strings.Index(blocks[3], "curl"):]
	token := blocks[3][strings.Index(blocks[3], "TOKEN="):strings.Index(blocks[3], "curl")]
	if output := r.paste(token + blocks[4] + call); !strings.Contains(output, "revoked") {
		t.Errorf("after the revocation: %s", output)
	}
}

func TestTheProxyOfTheProtectionDocumentWorksAsPasted(t *testing.T) {
	t.Parallel()
	r, upstream := newReader(t), startOpenMCP(t)
	blocks := shellBlocks(t, "docs/protect.md")
	r.paste(blocks[0])
	r.leave(blocks[1], r.public)
	register, start, _ := strings.Cut(blocks[2], "\nfosite-mcp proxy ")
	r.paste(register)
	r.leave("fosite-mcp proxy "+strings.Replace(start, "127.0.0.1:9001", upstream.address, 1), r.mcp)
	if output := r.paste(blocks[3]); !strings.Contains(output, `"result":{}`) {
		t.Errorf("the MCP server does not answer a ping: %s\n%s", output, r.log)
	}
}

// The import of the operations' document goes into the server of the search server's document.
func TestTheOperationsDocumentImportsAsPasted(t *testing.T) {
	r := newReader(t)
	server := shellBlocks(t, "docs/mcp-search.md")
	r.paste(server[0])
	r.leave(server[1], r.public)
	blocks := shellBlocks(t, "docs/operations.md")
	if len(blocks) != operationsBlocks {
		t.Fatalf("%d blocks, want %d: what runs the others?", len(blocks), operationsBlocks)
	}
	leakedSecret, leak, imports := blocks[0], blocks[1], blocks[2]
	output := r.paste(imports)
	for _, want := range []string{
		`nightly  would create; scope "offline" is left out; its tokens are for http://` + r.mcp + "/authed/mcp, the default resource",
		"nothing was changed; add --apply to do it", `nightly  created; `,
	} {
		if !strings.Contains(output, want) {
			t.Errorf("the import does not say %q:\n%s", want, output)
		}
	}
	if output := r.paste(imports); strings.Count(output, "nightly  unchanged") != 2 {
		t.Errorf("repeated:\n%s", output)
	}
	r.paste(`MCP_CLIENT_SECRET='correct horse battery staple' fosite-mcp token mint --client-id nightly`)
	r.wantPrivate("clients.json")
	if output := r.paste(shellBlocks(t, "docs/console.md")[0]); !strings.Contains(output, "\n200\n") {
		t.Errorf("the console does not answer: %s", output)
	}
	r.wantPrivate("dana.key")
	if output := r.paste(leakedSecret); !strings.Contains(output, " 0 active, 1 revoked\n") || !strings.Contains(output, "secret.created") {
		t.Errorf("what the leaked secret was used for is not told:\n%s", output)
	}
	r.wantPrivate("nightly-2.secret")
	r.appliesFiftyClients()

	r.paste("fosite-mcp admin-key create --name deploy --role clients --key-file deploy.key\nfosite-mcp client create --name theirs --client-id theirs --admin-key-file deploy.key")
	if output := r.paste(leak); !strings.Contains(output, "client.registered") || !strings.Contains(output, "deploy") {
		t.Errorf("what the leaked key was used for is not told:\n%s", output)
	}
	if output := r.paste("! fosite-mcp client list --admin-key-file deploy.key"); !strings.Contains(output, "refuses the key") {
		t.Errorf("the leaked key still works:\n%s", output)
	}
}

// operationsBlocks are run by the tests of the import, with the leaked secret and the leaked key, and of the restore, the audit and the doctor.
const operationsBlocks = 8

// A token that was revoked after the backup is dead after the restore, and a client that was deleted is on the list.
func TestTheOperationsDocumentRestoresAsPasted(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	blocks := shellBlocks(t, "docs/operations.md")[3:]
	stop := r.leave("fosite-mcp serve", r.public)
	r.paste(`fosite-mcp client create --client-id ci --name ci --secret-file ci.secret
fosite-mcp client create --client-id gone --name gone --secret-file gone.secret
fosite-mcp token mint --client-id ci --client-secret-file ci.secret > revoked.token
fosite-mcp token mint --client-id ci --client-secret-file ci.secret > old.token`)
	r.paste(blocks[0])
	r.wantPrivate("backup.db")
	r.paste(`fosite-mcp token revoke --token-file revoked.token
fosite-mcp client delete gone --yes
fosite-mcp audit --all --json > audit.ndjson`)
	stop()
	if output := r.paste(blocks[1]); !strings.Contains(output, "  fosite-mcp client delete gone\n") {
		t.Errorf("the list lacks the client that was deleted:\n%s", output)
	}
	r.leave("fosite-mcp serve", r.public)
	introspect := "fosite-mcp token introspect --client-id ci --client-secret-file ci.secret --json --token-file "
	for _, token := range []string{"revoked.token", "old.token"} {
		if output := r.paste(introspect + token); output != "{\"active\":false}\n" {
			t.Errorf("%s: %s", token, output)
		}
	}
	if output := r.paste("fosite-mcp token mint --client-id ci --client-secret-file ci.secret | " + introspect + "-"); !strings.Contains(output, `"active":true`) {
		t.Errorf("a new token: %s", output)
	}
	r.wantPrivate("fosite-mcp-data/fosite-mcp.db")
	if output := r.paste(blocks[2]); !strings.HasPrefix(output, "intact: ") && !strings.Contains(output, "\nintact: ") {
		t.Errorf("the audit log: %s", output)
	}
	if table := r.paste("cat audit.csv"); !strings.HasPrefix(table, "id,time,actor,") || !strings.Contains(table, ",database.restored,") {
		t.Errorf("the audit in CSV:\n%s", table)
	}
	if output := r.paste("fosite-mcp audit verify --checkpoint checkpoint.json"); !strings.Contains(output, "agrees with the checkpoint") {
		t.Errorf("the audit log and the checkpoint: %s", output)
	}
	if output := r.paste(blocks[3] + "\ncat access.csv"); !strings.HasPrefix(output, "KIND ") || !strings.Contains(output, "\nclient,gone,gone,") {
		t.Errorf("who had access:\n%s", output)
	}
	if output := r.paste(blocks[4]); !strings.Contains(output, "ok  well_known") || strings.Contains(output, "problem") {
		t.Errorf("the doctor: %s", output)
	}
}

// appliesFiftyClients pastes the recipe of the clients' document, twice.
func (r *reader) appliesFiftyClients() {
	r.t.Helper()
	blocks := shellBlocks(r.t, "docs/clients.md")
	if len(blocks) != 1 {
		r.t.Fatalf("%d blocks, want 1: what runs the others?", len(blocks))
	}
	for _, told := range []string{"50 created, 0 changed, 0 unchanged", "0 created, 0 changed, 50 unchanged"} {
		if output := r.paste(blocks[0]); !strings.Contains(output, told) || strings.Count(output, "  team 3  ") != 10 {
			r.t.Errorf("the recipe does not say %q, or lists other clients:\n%s", told, output)
		}
	}
	r.wantPrivate("secrets/ci_50.secret")
	r.paste("fosite-mcp token mint --client-id ci_50 --client-secret-file secrets/ci_50.secret")
}

// wantPrivate checks that nobody else may read a file.
func (r *reader) wantPrivate(name string) {
	r.t.Helper()
	info, err := os.Stat(filepath.Join(r.folder, name))
	if err != nil {
		r.t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		r.t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
	}
}

func TestThePeoplesDocumentWorksAsPasted(t *testing.T) {
	r := newReader(t)
	r.leave("fosite-mcp serve", r.public)
	blocks := shellBlocks(t, "docs/people.md")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks, want 2: what runs the others?", len(blocks))
	}
	r.paste(blocks[0])
	r.wantPrivate("ada.password")
	response, err := http.Get("http://" + r.public + "/authed/mcp/oauth/authorize?client_id=my_mcp_client&response_type=code&redirect_uri=http://127.0.0.1:3000/callback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.HasSuffix(response.Request.URL.Path, "/login") {
		t.Errorf("the browser ends at %s with status %d, want the login page", response.Request.URL.Path, response.StatusCode)
	}
	if output := r.paste(blocks[1]); !strings.Contains(output, "keeping the account ada out") || strings.Count(output, "user.revoked") != 2 {
		t.Errorf("when somebody leaves:\n%s", output)
	}
	if output := r.paste("fosite-mcp user list --admin-key-file fosite-mcp-data/admin.key"); strings.Count(output, "disabled") != 2 {
		t.Errorf("after somebody has left:\n%s", output)
	}
}

// The tables of the embedding document are made as pasted, and a second run stops at its first error.
func TestTheEmbeddingDocumentMakesTablesAsPasted(t *testing.T) {
	if !withPostgres() {
		return
	}
	r := newReader(t)
	database := startCluster(t)
	at, err := url.Parse(database.url)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := at.User.Password()
	r.environment = append(r.environment, "PGHOST="+at.Hostname(), "PGPORT="+at.Port(), "PGUSER="+at.User.Username(), "PGPASSWORD="+password, "PGDATABASE=postgres")
	blocks := shellBlocks(t, "docs/embedding.md")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks, want 1: what runs the others?", len(blocks))
	}
	r.paste(blocks[0])
	if tables := r.paste(`psql -c '\dt'`); !strings.Contains(tables, " oauth_access_tokens ") || strings.Contains(tables, " oauth_clients ") {
		t.Errorf("the tables are:\n%s", tables)
	}
	if output, err := r.command(blocks[0]).CombinedOutput(); err == nil {
		t.Errorf("the tables were made twice:\n%s", output)
	}
}
