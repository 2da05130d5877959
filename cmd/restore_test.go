package cmd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// shop is a database of a server and how it is backed up and put back.
type shop struct {
	t       *testing.T
	url     string
	environ []string
	folder  string
	store   *storage.Store
	stop    func()
}

func (s *shop) open() {
	s.t.Helper()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(s.url), MaxConnections: 2})
	if err != nil {
		s.t.Fatal(err)
	}
	s.store, s.stop = storage.New(db), func() { _ = pool.Close() }
}

// run runs the program and returns what it prints.
func (s *shop) run(want int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	var out, messages bytes.Buffer
	if code := Main(args, s.environ, strings.NewReader(""), &out, &messages); code != want {
		s.t.Fatalf("%v: exit code %d, want %d: %s%s", args, code, want, &out, &messages)
	}
	return out.String(), messages.String()
}

// onEveryShop runs a test on SQLite, and on PostgreSQL where there is one.
func onEveryShop(t *testing.T, test func(t *testing.T, s *shop)) {
	start := func(t *testing.T, url string) *shop {
		s := &shop{t: t, url: url, folder: t.TempDir()}
		s.environ = []string{"FOSITE_MCP_DATABASE_URL=" + url, "FOSITE_MCP_DATA_DIR=" + s.folder}
		s.open()
		if err := s.store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("sqlite", func(t *testing.T) {
		test(t, start(t, "sqlite:"+filepath.Join(t.TempDir(), "fosite-mcp.db")))
	})
	if server := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) { test(t, start(t, newPostgresDatabase(t, server))) })
	}
}

// newPostgresDatabase makes a database of the test's own, which ends with it.
func newPostgresDatabase(t *testing.T, server string) string {
	t.Helper()
	root, err := gorm.Open(postgres.Open(server), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	name := "restore_" + strings.ToLower(rand.Text())
	if err := root.Exec("CREATE DATABASE " + name).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		root.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		if pool, err := root.DB(); err == nil {
			_ = pool.Close()
		}
	})
	own, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	own.Path = "/" + name
	return own.String()
}

// backUp and putBack are what an operator does.
func (s *shop) backUp(file string) {
	s.t.Helper()
	if !config.DatabaseURL(s.url).IsPostgres() {
		s.run(exitOK, "backup", file)
		return
	}
	_, message := s.run(exitUsage, "backup", file)
	command, _, _ := strings.Cut(message[strings.Index(message, "pg_dump"):], "\n")
	if password, _ := s.parsed().User.Password(); strings.Contains(message, password) {
		s.t.Error("the password is in the message")
	}
	s.shell(command)
}

func (s *shop) putBack(file string, args ...string) (stdout, stderr string) {
	s.t.Helper()
	args = append([]string{"restore", "--yes"}, args...)
	if !config.DatabaseURL(s.url).IsPostgres() {
		return s.run(exitOK, append(args, "--from", file)...)
	}
	s.run(exitUsage, append(args, "--from", file)...)
	at := s.parsed()
	s.shell("pg_restore --clean --if-exists --no-password --host=" + at.Hostname() + " --port=" + at.Port() + " --username=" + at.User.Username() + " --dbname=" + at.Path[1:] + " " + file)
	return s.run(exitOK, args...)
}

func (s *shop) parsed() *url.URL {
	at, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// shell runs one of PostgreSQL's programs, which are newest in the last folder. The password comes from a file.
func (s *shop) shell(line string) {
	s.t.Helper()
	password, _ := s.parsed().User.Password()
	passwords := filepath.Join(s.folder, "pgpass")
	if err := os.WriteFile(passwords, []byte("*:*:*:*:"+password+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	command := exec.Command("bash", "-euc", `PATH="$(printf '%s:' $(ls -d /usr/lib/postgresql/*/bin | sort -rV))$PATH"; `+line)
	command.Env = append(os.Environ(), "PGPASSFILE="+passwords, "PGPASSWORD=")
	if output, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// token stores an access token and a refresh token of a client under a name.
func (s *shop) token(name, clientID string) {
	s.t.Helper()
	c, err := s.store.GetClient(s.t.Context(), clientID)
	if err != nil {
		s.t.Fatal(err)
	}
	request := fosite.NewRequest()
	request.Client, request.Session = c, &fosite.DefaultSession{Subject: "ada"}
	err = s.store.CreateAccessTokenSession(s.t.Context(), name, request)
	if err := errors.Join(err, s.store.CreateRefreshTokenSession(s.t.Context(), name, name, request)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) wantToken(name string, alive bool) {
	s.t.Helper()
	_, access := s.store.GetAccessTokenSession(s.t.Context(), name, nil)
	_, refresh := s.store.GetRefreshTokenSession(s.t.Context(), name, nil)
	if (access == nil) != alive || (refresh == nil) != alive {
		s.t.Errorf("token %s: %v, %v; want alive %v", name, access, refresh, alive)
	}
}

// copyOfTheLog is the audit log as audit --json and audit --csv print it.
func (s *shop) copyOfTheLog() (file string) {
	s.t.Helper()
	events, _, err := s.store.Audit().List(s.t.Context(), audit.Filter{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	var lines bytes.Buffer
	for _, e := range events {
		line, err := json.Marshal(map[string]any{"id": e.ID, "time": e.Time, "actor": e.Actor, "action": e.Action, "client_id": e.ClientID, "outcome": e.Outcome, "changes": e.Changes})
		if err != nil {
			s.t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	file = filepath.Join(s.t.TempDir(), "audit.ndjson")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// What had ended since the backup does not live again, what changed is listed with what to do, and what comes then works.
func TestNothingOfARestoredDatabaseLivesAgain(t *testing.T) {
	onEveryShop(t, func(t *testing.T, s *shop) {
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Actor: "admin"})
		do := func(errs ...error) {
			t.Helper()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		record := func(action, clientID string) error {
			return s.store.Audit().Append(ctx, audit.Event{Action: action, ClientID: clientID})
		}
		for _, id := range []string{"machine", "gone", "it's off"} {
			do(s.store.Clients().Create(ctx, &client.Client{ID: id, Scope: []string{"mcp:search"}}), record("client.registered", id))
		}
		s.token("revoked", "machine")
		s.token("old", "machine")
		s.token("gone", "gone")
		do(s.store.LoginSessions().Create(ctx, "cookie", "ada", "ada", "local", nil, time.Now().Add(time.Hour)))

		backup := filepath.Join(s.folder, "backup")
		s.backUp(backup)
		page, err := s.store.Revocations(ctx, storage.FromNow, nil, 10)
		do(err, s.store.DeleteAccessTokenSession(ctx, "revoked"), record("token.revoked", "machine"), s.store.Clients().Delete(ctx, "gone"), record("client.deleted", "gone"))
		_, err = s.store.Clients().SetStatus(ctx, "it's off", client.Disabled, 0)
		do(err, record("client.disabled", "it's off"))
		s.token("of after the backup", "machine")
		copied := s.copyOfTheLog()
		s.stop()

		table, messages := s.putBack(backup, "--audit-copy", copied)
		s.open()
		defer s.stop()
		for _, name := range []string{"revoked", "old", "gone", "of after the backup"} {
			s.wantToken(name, false)
		}
		if _, _, err := s.store.LoginSessions().Find(ctx, "cookie"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("the browser is logged in: %v", err)
		}
		s.token("new", "machine")
		s.wantToken("new", true)
		now, err := s.store.Revocations(ctx, page.Cursor, nil, 10)
		if err != nil || !now.Reset && !tellsOf(now, "machine") {
			t.Errorf("who follows the feed hears %+v (%v)", now, err)
		}
		if strings.Count(table, "\n") != 3 || !strings.Contains(table, "  fosite-mcp client delete gone\n") || !strings.Contains(table, `  fosite-mcp client disable 'it'\''s off'`+"\n") ||
			!strings.Contains(messages, "3 events that the backup lacks: 2 changes, listed above, and 1 revocations") || strings.Contains(messages, "in neither") {
			t.Errorf("told:\n%s%s", table, messages)
		}
		events, _, err := s.store.Audit().List(ctx, audit.Filter{Action: "database.restored"})
		if err != nil || len(events) != 1 || !strings.HasPrefix(events[0].Actor, "shell") {
			t.Errorf("on record: %+v (%v)", events, err)
		}
		if count, bad, err := s.store.Audit().Verify(ctx, nil); err != nil || bad != 0 || count != 5 {
			t.Errorf("the chain: %d events, bad %d, %v", count, bad, err)
		}
	})
}

func tellsOf(page *storage.RevocationPage, clientID string) bool {
	for _, entry := range page.Revocations {
		if entry.Kind == storage.ChangedClient && entry.ID == clientID {
			return true
		}
	}
	return false
}

// Every user of the machine sees command lines, and a dump must not trust any server that answers.
func TestTheDumpCommandHoldsNoPassword(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://app:s3cr3t@db:5433/my%20app?sslmode=verify-full&sslrootcert=ca%20.pem": "umask 077; PGSSLROOTCERT='ca .pem' PGSSLMODE=verify-full " +
			"pg_dump --format=custom --no-password --file='x y' --host=db --port=5433 --username=app --dbname='my app'\n",
		"postgres://db1,db2/app?user=u&password=s3cr3t": "--host=db1 --port=5432 --username=u --dbname=app\n",
	} {
		var messages bytes.Buffer
		code := Main([]string{"backup", "x y"}, []string{"FOSITE_MCP_DATABASE_URL=" + url}, strings.NewReader(""), io.Discard, &messages)
		if code != exitUsage || !strings.Contains(messages.String(), want) || strings.Contains(messages.String(), "s3cr3t") {
			t.Errorf("%s: exit code %d, %s", url, code, &messages)
		}
	}
}

// The server's role may be one that changes rows alone, as which a dump fails.
func TestTheDumpIsMadeAsTheOwnerOfTheTables(t *testing.T) {
	onEveryShop(t, func(t *testing.T, s *shop) {
		if !config.DatabaseURL(s.url).IsPostgres() {
			return
		}
		defer s.stop()
		owner, at := s.parsed().User.Username(), s.parsed()
		role := "rows_" + strings.ToLower(rand.Text())
		root, pool, err := database.Open(config.Database{URL: config.DatabaseURL(s.url), MaxConnections: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if err := root.Exec("CREATE ROLE " + role + " LOGIN PASSWORD 'x'").Error; err != nil {
			t.Fatal(err)
		}
		defer root.Exec("DROP ROLE " + role)
		at.User = url.UserPassword(role, "x")
		s.environ[0] = "FOSITE_MCP_DATABASE_URL=" + at.String()
		if _, message := s.run(exitUsage, "backup", "backup.db"); !strings.Contains(message, " --username="+owner+" ") || !strings.Contains(message, " --file=backup.dump ") {
			t.Error(message)
		}
	})
}

// A server would serve what the backup has brought back.
func TestNothingIsRestoredWhileServersRun(t *testing.T) {
	onEveryShop(t, func(t *testing.T, s *shop) {
		defer s.stop()
		if !config.DatabaseURL(s.url).IsPostgres() {
			return // whose file has a lock
		}
		if _, message := s.run(exitFailed, "restore", "--yes"); !strings.Contains(message, "stop every one") {
			t.Error(message)
		}
		s.run(exitOK, "restore", "--yes", "--ignore-connections")
	})
}

// A wrong copy is found before anything ends.
func TestAWrongAuditCopyEndsNothing(t *testing.T) {
	s := &shop{t: t, url: "sqlite:" + filepath.Join(t.TempDir(), "fosite-mcp.db"), folder: t.TempDir()}
	s.environ = []string{"FOSITE_MCP_DATABASE_URL=" + s.url, "FOSITE_MCP_DATA_DIR=" + s.folder}
	s.open()
	defer s.stop()
	if err := errors.Join(s.store.Migrate(t.Context()), s.store.Clients().Create(t.Context(), &client.Client{ID: "machine"}),
		s.store.Audit().Append(context.Background(), audit.Event{Action: "client.registered", ClientID: "machine"})); err != nil {
		t.Fatal(err)
	}
	s.token("token", "machine")
	line := `{"id":1,"time":"2020-01-01T00:00:00Z","action":"client.registered","outcome":"success"}`
	for content, want := range map[string]string{
		"":                        "event 1",
		line + "\n" + line[:40]:   "event 2",
		`{"time":"2020"}`:         "event 1",
		`{"items":[]}`:            "no id",
		"id,time,action\n1,x,y\n": "no time",
		"id,time,action\n":        "event 1",
		line:                      "events of another server",
	} {
		file := filepath.Join(s.folder, "copy")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, message := s.run(exitFailed, "restore", "--yes", "--audit-copy", file); !strings.Contains(message, want) {
			t.Errorf("%q: %s", content, message)
		}
	}
	s.run(exitUsage, "restore") // nobody was asked
	s.wantToken("token", true)
}

func TestWhatChangedSinceABackupIsListedWithItsCommand(t *testing.T) {
	store := storage.New(newDatabase(t))
	for range 3 {
		if err := store.Audit().Append(t.Context(), audit.Event{Actor: "a", Action: "client.changed", ClientID: "c"}); err != nil {
			t.Fatal(err)
		}
	}
	events, _, err := store.Audit().List(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	at := events[1].Time.Format(time.RFC3339Nano)
	file := filepath.Join(t.TempDir(), "copy.csv")
	content := "id,time,actor,action,client_id,token_id,request_id,ip,outcome,changes\r\n2," + at + ",a,client.changed,c,,,,success,\r\n"
	lines := []struct{ event, command string }{
		{`,'=a,client.registered,c d,,,,success,`, "fosite-mcp client create --client-id 'c d'"},
		{`,metadata_document,client.registered,https://x,,,,success,`, ""},
		{`,a,client.changed,c,,,,success,"{""owner"":{""before"":"""",""after"":""x""}}"`, "fosite-mcp client update c"},
		{`,a,secret.created,c,,,,success,"{""tokens_revoked"":{""after"":true}}"`, "fosite-mcp client rotate c --leaked"},
		{`,a,secret.created,c,,,,success,"{""tokens_revoked"":{""after"":false}}"`, "fosite-mcp client rotate c"},
		{`,a,secret.deleted,c,,,,success,"{""secret_id"":{""before"":""cs_1""}}"`, "fosite-mcp client delete-secret c cs_1"},
		{`,a,issuer.disabled,i,,,,success,`, "fosite-mcp issuer disable i"},
		{`,a,user.password_changed,,,,,success,"{""username"":{""after"":""$(id)""}}"`, "fosite-mcp user password '$(id)'"},
		{`,a,user.deleted,,,,,success,"{""username"":{""after"":""ada""}}"`, "fosite-mcp user delete ada"},
		{`,a,user.revoked,,,,,success,"{""username"":{""after"":""ada""},""subject"":{""after"":""u_1""}}"`, "fosite-mcp user revoke ada"},
		{`,a,user.enabled,,,,,success,"{""subject"":{""after"":""oidc|x""}}"`, "fosite-mcp user enable --subject 'oidc|x'"},
		{`,a,user.created,,,,,success,"{""username"":{""after"":""bob""}}"`, "fosite-mcp user create --username bob"},
		{`,a,consent.withdrawn,c,,,,success,"{""subject"":{""after"":""s""}}"`, "fosite-mcp consent revoke --subject s --client-id c"},
		{`,a,admin_key.revoked,,,,,success,"{""name"":{""after"":""bob""}}"`, "fosite-mcp admin-key revoke bob"},
		{`,a,admin_key.created,,,,,success,"{""name"":{""after"":""ci""},""role"":{""after"":""read""},""expires_at"":{""after"":""2030-01-02T03:04:05Z""}}"`,
			"fosite-mcp admin-key create --name ci --role read --expires-at 2030-01-02T03:04:05Z"},
		{`,system,signing_key.discarded,,,,,success,`, "fosite-mcp key rotate --now"},
		{`,a,user.deleted,,,,,success,"{""username"":{""after"":""--help""}}"`, ""},
		{`,a,something.new,,,,,success,`, ""},
	}
	for i, line := range lines {
		content += fmt.Sprint(i+5) + "," + at + line.event + "\r\n" // 4 is in neither
	}
	content += fmt.Sprint(len(lines)+5) + "," + at + ",a,tokens.revoked,c,,,,success,\r\n"
	content += fmt.Sprint(len(lines)+6) + "," + at + ",a,client.login_failed,c,,,,failure,\r\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	lost, err := compare(t.Context(), store.Audit(), file)
	if err != nil {
		t.Fatal(err)
	}
	if len(lost.items) != len(lines) || lost.count != len(lines)+2 || lost.revocations != 1 || fmt.Sprint(lost.missing) != "[[4 4]]" {
		t.Fatalf("found %+v", lost)
	}
	for i, line := range lines {
		if lost.items[i].Command != line.command {
			t.Errorf("%s: do %q, want %q", line.event, lost.items[i].Command, line.command)
		}
	}
	if first := lost.items[0]; first.Actor != "=a" || first.Target != "c d" || lost.items[2].Changed != "owner" {
		t.Errorf("items %+v", lost.items[:3])
	}
}
