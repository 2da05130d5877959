package doctor

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"gorm.io/gorm"
)

// site is a deployment in which nothing is wrong.
type site struct {
	t       *testing.T
	folder  string
	environ []string
	db      *gorm.DB // of newSite; nil after close
	store   *storage.Store
	close   func()
	now     time.Time
}

const systemSecret = "9f1c0d7be2a84c35b6e0f7d1a2c94e83"

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, folder: filepath.Join(t.TempDir(), "data"), now: time.Now()}
	s.environ = []string{"FOSITE_MCP_DATA_DIR=" + s.folder, "FOSITE_MCP_PUBLIC_URL=https://docs.example.com", "FOSITE_MCP_BEHIND_PROXY=true"}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("system.secret", systemSecret)
	s.write("admin.key", "an admin key")
	db, pool, err := database.Open(s.config().Database)
	if err != nil {
		t.Fatal(err)
	}
	s.close = func() { _ = pool.Close() }
	t.Cleanup(s.close)
	s.db, s.store = db, storage.New(db)
	if err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.addKey("first", audit.RoleAdmin, time.Time{})
	return s
}

func (s *site) addKey(name string, role audit.Role, expires time.Time) {
	s.t.Helper()
	if err := s.store.AdminKeys().Create(s.t.Context(), &audit.AdminKey{Name: name, Role: role, ExpiresAt: expires}, rand.Text()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) chmod(name string, mode fs.FileMode) {
	s.t.Helper()
	if err := os.Chmod(filepath.Join(s.folder, name), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) execute(statement string, args ...any) {
	s.t.Helper()
	if err := s.db.Exec(statement, args...).Error; err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) fact(name, value string) {
	s.t.Helper()
	if _, err := s.store.Settings().Once(s.t.Context(), name, value); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) set(name, value string) { s.environ = append(s.environ, "FOSITE_MCP_"+name+"="+value) }

func (s *site) config() config.Config {
	s.t.Helper()
	cfg, err := config.Load("", s.environ)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *site) examine() []Finding {
	s.t.Helper()
	return Examine(s.t.Context(), Options{Config: s.config(), Offline: true, Now: func() time.Time { return s.now }})
}

// register adds a client with these secrets.
func (s *site) register(id string, secrets ...client.Secret) {
	s.t.Helper()
	c := &client.Client{ID: id, Name: id, Status: client.Active, GrantTypes: []string{"client_credentials"}, TokenEndpointAuthMethod: "client_secret_basic"}
	for _, secret := range secrets {
		secret.ID, secret.Hash = rand.Text(), []byte(rand.Text())
		c.Secrets = append(c.Secrets, secret)
	}
	if err := s.store.Clients().Create(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// content is what lies in the data directory.
func (s *site) content() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(s.folder, entry.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

func TestNothingIsWrongAndNothingChanges(t *testing.T) {
	s := newSite(t)
	s.close()
	before := s.content()
	findings := s.examine()
	for _, finding := range findings {
		if finding.Status != OK || finding.Found == "" {
			t.Errorf("%+v", finding)
		}
	}
	if len(findings) < 14 || Worst(findings) != OK {
		t.Errorf("%d findings, the worst is %s", len(findings), Worst(findings))
	}
	after := s.content()
	for name, content := range after {
		if before[name] != content {
			t.Errorf("%s was changed or made", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d files, and there were %d", len(after), len(before))
	}
}

// A server that was never started has no data directory, and gets none.
func TestAFreshFolderStaysEmpty(t *testing.T) {
	folder := t.TempDir()
	cfg, err := config.Load("", []string{"FOSITE_MCP_DATA_DIR=" + filepath.Join(folder, "data")})
	if err != nil {
		t.Fatal(err)
	}
	findings := Examine(t.Context(), Options{Config: cfg, Offline: true})
	if Worst(findings) != Warning {
		t.Errorf("%+v", findings)
	}
	if entries, err := os.ReadDir(folder); len(entries) > 0 || err != nil {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestMistakesInSettingsHaveTheirNames(t *testing.T) {
	_, err := config.Load("", []string{"FOSITE_MCP_TOKENS_FORMAT=x", "FOSITE_MCP_DATABASE_URL=postgres://u:geheim#1@db/x"})
	findings := OfConfiguration(err)
	if len(findings) != 2 || Worst(findings) != Problem {
		t.Fatalf("%+v", findings)
	}
	for _, finding := range findings {
		if !strings.Contains(finding.Found+finding.Remedy, "geheim") && (strings.HasPrefix(finding.Found, "tokens.format: ") || strings.HasPrefix(finding.Found, "database.url: ")) {
			continue
		}
		t.Errorf("%+v", finding)
	}
	if good := OfConfiguration(nil); len(good) != 1 || good[0].Status != OK {
		t.Errorf("without mistakes: %+v", good)
	}
}
