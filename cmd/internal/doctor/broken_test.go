package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fosite-mcp/cmd/internal/authserver"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

// broken are cases, each with what is found and a word of the remedy.
var broken = []struct {
	name          string
	spoil         func(s *site)
	check         string
	status        Status
	found, remedy string
}{
	{"everybody reads the admin key", func(s *site) { s.chmod("admin.key", 0o644) }, "files", Problem, "admin.key (mode 0644)", "run the command"},
	{"everybody reads the system secret", func(s *site) { s.chmod("system.secret", 0o604) }, "files", Problem, "system.secret (mode 0604)", "run the command"},
	{"everybody reads the database", func(s *site) { s.chmod("fosite-mcp.db", 0o644) }, "files", Problem, "fosite-mcp.db (mode 0644)", "run the command"},
	{"the group reads the admin key", func(s *site) { s.chmod("admin.key", 0o640) }, "files", Warning, "the group of", "chmod 0600"},
	{"everybody replaces files", func(s *site) { s.chmod("", 0o777) }, "files", Warning, "may replace files", "chmod o-w"},
	{"no certificate", func(s *site) { s.tls("none.pem", "none.pem") }, "tls", Problem, "none.pem", "PEM"},
	{"a key of another certificate", func(s *site) {
		cert, _ := s.certificate("docs.example.com", s.now.Add(90*24*time.Hour))
		_, other := s.certificate("docs.example.com", s.now.Add(90*24*time.Hour))
		s.tls(cert, other)
	}, "tls", Problem, "private key does not match", "PEM"},
	{"a certificate that has ended", func(s *site) { s.tls(s.certificate("docs.example.com", s.now.Add(-time.Hour))) }, "tls", Problem, "has ended on", "renew"},
	{"a certificate that ends soon", func(s *site) { s.tls(s.certificate("docs.example.com", s.now.Add(24*time.Hour))) }, "tls", Warning, "ends on", "renew"},
	{"a certificate for another name", func(s *site) {
		s.set("BEHIND_PROXY", "false")
		s.tls(s.certificate("other.example.com", s.now.Add(90*24*time.Hour)))
	}, "tls", Problem, "is not for docs.example.com", "for this name"},
	{"everybody reads the TLS key", func(s *site) {
		cert, key := s.certificate("docs.example.com", s.now.Add(90*24*time.Hour))
		s.tls(cert, key)
		s.chmod(filepath.Base(key), 0o644)
	}, "files", Warning, "the TLS key", "chmod 0600"},
	{"no database", func(s *site) { s.set("DATABASE_URL", "sqlite:"+filepath.Join(s.folder, "other.db")) }, "database", Warning, "no database yet", "--config"},
	{"a folder for a database", func(s *site) { s.set("DATABASE_URL", "sqlite:"+s.folder) }, "database", Problem, "is a folder", "database.url"},
	{"no SQLite file", func(s *site) {
		s.write("text.db", strings.Repeat("no database\n", 100))
		s.set("DATABASE_URL", "sqlite:"+filepath.Join(s.folder, "text.db"))
	}, "database", Problem, "not a database", "database.url"},
	{"PostgreSQL does not answer", func(s *site) { s.set("DATABASE_URL", "postgres://u:geheim@127.0.0.1:1/x") }, "database", Problem, "postgres://u:REDACTED@127.0.0.1:1/x", "start the database"},
	{"no collector of traces", func(s *site) { s.set("TRACING_ENDPOINT", "http://127.0.0.1:1") }, "traces", Warning, "takes no traces", "tracing.endpoint"},
	{"a pending migration", func(s *site) { s.execute("DELETE FROM fosite_mcp_migrations WHERE version_id = 1008") }, "schema", Warning, "1 of ", "migrate up"},
	{"a newer schema", func(s *site) {
		s.execute("INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (1999, 1)")
	}, "schema", Problem, "1999", "later"},
	{"a table that is gone", func(s *site) { s.execute("DROP TABLE consents") }, "schema", Problem, "consents", "backup"},
	{"another journal", func(s *site) {
		s.close()
		s.patch("fosite-mcp.db", 18, []byte{1, 1})
	}, "durability", Warning, "not wal", "next start"},
	{"another issuer", func(s *site) { s.fact("issuer", "https://old.example.com") }, "issuer", Problem, "https://old.example.com", "set issuer"},
	{"another system secret", func(s *site) { s.fact("system_secret_fingerprint", "00") }, "system_secret", Problem, "not the one that this database was started with", "the others have"},
	{"no system secret", func(s *site) {
		s.fact("system_secret_fingerprint", "00")
		_ = os.Remove(filepath.Join(s.folder, "system.secret"))
	}, "system_secret", Problem, "there is none", "the others have"},
	{"signing keys that nobody has made", func(s *site) { s.set("TOKENS_FORMAT", "jwt") }, "signing_keys", Warning, "no signing keys yet", "start the server"},
	{"no admin key", func(s *site) { s.execute("DELETE FROM admin_keys") }, "admin_keys", Warning, "no admin keys yet", "first start"},
	{"admin keys that have ended", func(s *site) { s.execute("UPDATE admin_keys SET expires_at = 1") }, "admin_keys", Problem, "none of the 1 admin keys works", "admin-key create"},
	{"no admin key of role admin", func(s *site) {
		s.execute("UPDATE admin_keys SET expires_at = 1")
		s.addKey("auditor", audit.RoleRead, time.Time{})
	}, "admin_keys", Warning, "(1 read)", "admin-key create"},
	{"admin keys that end soon", func(s *site) { s.execute("UPDATE admin_keys SET expires_at = ?", s.now.Add(24*time.Hour).UnixMilli()) }, "admin_keys", Warning, "14 days: first", "admin-key create"},
	{"last secrets that end soon", func(s *site) {
		tomorrow := client.Secret{ExpiresAt: s.now.Add(24 * time.Hour)}
		for _, id := range []string{"a", "b", "c", "d"} {
			s.register(id, tomorrow, tomorrow)
		}
		s.register("lasting", tomorrow, client.Secret{})
	}, "clients", Warning, "4 clients end within 14 days, or the last secret of theirs does: a, b, c, …", "client rotate"},
}

func TestEachBrokenCaseIsNamed(t *testing.T) {
	for _, c := range broken {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c.spoil(s)
			bad := 0
			for _, finding := range s.examine() {
				if finding.Status == OK {
					continue
				}
				bad++
				if finding.Check != c.check || finding.Status != c.status || !strings.Contains(finding.Found, c.found) || !strings.Contains(finding.Remedy, c.remedy) {
					t.Errorf("%+v, want %s %s with %q and %q", finding, c.status, c.check, c.found, c.remedy)
				}
				if strings.Contains(finding.Found+finding.Remedy, "geheim") || strings.Contains(finding.Found+finding.Remedy, systemSecret) {
					t.Errorf("a secret in %+v", finding)
				}
			}
			if bad != 1 {
				t.Errorf("%d findings, want 1", bad)
			}
		})
	}
}

// patch overwrites bytes of a file.
func (s *site) patch(name string, at int64, with []byte) {
	s.t.Helper()
	file, err := os.OpenFile(filepath.Join(s.folder, name), os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(with, at); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tls(cert, key string) {
	s.set("TLS_CERT_FILE", cert)
	s.set("TLS_KEY_FILE", key)
}

// certificate writes a certificate for a host and its key.
func (s *site) certificate(host string, end time.Time) (certFile, keyFile string) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: end}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	name := rand.Text()
	s.write(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER})))
	s.write(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return filepath.Join(s.folder, name+".pem"), filepath.Join(s.folder, name+".key")
}

func TestRoomThatEnds(t *testing.T) {
	for _, c := range []struct {
		free, all uint64
		want      Status
	}{
		{32 << 20, 100 << 30, Problem}, {512 << 20, 2 << 30, Warning}, {4 << 30, 100 << 30, Warning}, {40 << 30, 100 << 30, OK},
	} {
		if got := judgeRoom("/data", c.free, c.all); got[0].Status != c.want || !strings.Contains(got[0].Found, "/data") {
			t.Errorf("%d of %d: %+v, want %s", c.free, c.all, got, c.want)
		}
	}
	for name, want := range map[string]Status{"fsync": Problem, "full_page_writes": Warning} {
		if got := durable(name, "off", want, "set it"); len(got) != 1 || got[0].Status != want || durable(name, "on", want, "set it") != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An earlier system secret stays while tokens from before may live.
func TestEarlierSystemSecretsAreJudgedByTheirTokens(t *testing.T) {
	s := newSite(t)
	s.set("SYSTEM_SECRET", systemSecret)
	previous := "0d3c7a1e55b94f60a8e2c9d1f7b36e48"
	s.set("SYSTEM_SECRETS_PREVIOUS", `["`+previous+`"]`)
	found := func(status Status, found, remedy string) {
		t.Helper()
		for _, finding := range s.examine() {
			if finding.Check == "system_secret" {
				if finding.Status != status || !strings.Contains(finding.Found, found) || !strings.Contains(finding.Remedy, remedy) || strings.Contains(finding.Found, previous) {
					t.Errorf("%+v, want %s with %q and %q", finding, status, found, remedy)
				}
				return
			}
		}
		t.Errorf("nothing is said of %q", found)
	}
	found(Warning, "no server has started with the current system_secret", "start every replica")
	fingerprint := s.fingerprint()
	s.fact("system_secret_fingerprint", fingerprint)
	found(Warning, "is not on record", "longest life of a token")
	replaced := s.now.Add(-time.Hour).UTC().Truncate(time.Second)
	s.fact("system_secret_since", fingerprint+" "+replaced.Format(time.RFC3339))
	found(Warning, "no token from before lives", "take the one before out")
	s.execute(`INSERT INTO access_tokens (signature, request_id, client_id, epoch, scope, audience, issued_at, expires_at) VALUES (x'00', 'r', 'ci', 0, '', '', ?, ?)`,
		replaced.Add(-time.Minute).UnixMilli(), s.now.Add(time.Hour).UnixMilli())
	found(Warning, "live until "+day(s.now.Add(time.Hour)), "keep the one before until then")
}

// fingerprint is that of the system secret, as a start stores it.
func (s *site) fingerprint() string {
	s.t.Helper()
	key, err := hkdf.Key(sha256.New, []byte(systemSecret), nil, "fosite-mcp fingerprint", 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return hex.EncodeToString(key)
}

// A key that should have been replaced shows that no server has looked after it.
func TestSigningKeysThatAreOverdueAreTold(t *testing.T) {
	s := newSite(t)
	s.set("TOKENS_FORMAT", "jwt")
	keys, err := authserver.SigningKeys(t.Context(), s.store, s.config())
	if err == nil {
		err = keys.Ensure(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for later, want := range map[time.Duration]Status{0: OK, s.config().Tokens.KeyLifespan + 2*time.Hour: Warning} {
		s.now = time.Now().Add(later)
		findings := s.examine()
		i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == "signing_keys" })
		if i < 0 || findings[i].Status != want || !strings.Contains(findings[i].Found, " signs since ") {
			t.Errorf("after %s: %+v, want %s", later, findings, want)
		}
	}
}
