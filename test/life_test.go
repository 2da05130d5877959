package test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stop ends the server as an operator does, and returns how it ended.
func (s *server) stop() error {
	s.t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	return s.command.Wait()
}

// Whatever a server is doing when it is told to stop, its housekeeping at the start included: a stop is no failure.
func TestAStopIsNoError(t *testing.T) {
	t.Parallel()
	s := startServer(t, binaries)
	id, secret := s.register(map[string]any{"client_name": "ci"})
	for range 12 {
		token := s.token(id, secret)
		if !s.active(id, secret, token) {
			t.Error("a fresh token is inactive")
		}
		if err := s.stop(); err != nil {
			t.Errorf("a stop: %v", err)
		}
		if log := s.stderr.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
			t.Errorf("the log of a server that was stopped:\n%s", log)
		}
		s.start()
	}
	status, answer := send(t, adminRequest(t, s, http.MethodGet, "/clients/"+id))
	if status != http.StatusOK || answer["last_used_at"] == nil {
		t.Errorf("the client was last used at %v (%d)", answer["last_used_at"], status)
	}
}

func adminRequest(t *testing.T, s *server, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.admin+"/admin/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.adminKey())
	return r
}

// SIGHUP makes the server read its TLS files and its log level again. It ends nothing, and renewed files are served
// without it, too.
func TestAHangupEndsNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certFile, keyFile, settings := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), filepath.Join(folder, "fosite-mcp.yaml")
	first := writeCertificate(t, certFile, keyFile)
	writeFile(t, settings, "log: {level: info}\n")
	s := newServer(t, binaries, "FOSITE_MCP_TLS_CERT_FILE="+certFile, "FOSITE_MCP_TLS_KEY_FILE="+keyFile)
	s.stderr = new(lockedBuffer)
	s.command = exec.Command(s.binary, "serve", "--config", settings)
	s.command.Env, s.command.Stderr = s.environment, s.stderr
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	ready := "http://" + s.admin + "/readyz"
	waitFor(t, ready, s.stderr)
	if got := servedCertificate(t, s.public); got != first {
		t.Error("the server does not serve its certificate")
	}
	second := writeCertificate(t, certFile, keyFile)
	if got := servedCertificate(t, s.public); got != second {
		t.Error("the renewed certificate is not served")
	}

	follow := exec.Command(s.binary, "audit", "--follow", "--json")
	follow.Env = s.environment
	events, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(events)
	s.register(map[string]any{"client_name": "before"})
	awaitEvent(t, lines, "before") // from here on it surely runs
	hangup := func(process *os.Process) {
		t.Helper()
		if err := process.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
	}
	for range 10 {
		hangup(follow.Process)
		hangup(s.command.Process)
	}
	writeFile(t, settings, "log: {level: debug}\n")
	hangup(s.command.Process)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.stderr.String(), "level=DEBUG"); {
		waitFor(t, ready, s.stderr) // which is logged at the level debug
		if time.Now().After(deadline) {
			t.Fatalf("the log level did not change:\n%s", s.stderr)
		}
	}
	s.register(map[string]any{"client_name": "after"})
	awaitEvent(t, lines, "after")
	if err := follow.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = follow.Wait()
	if err := s.stop(); err != nil {
		t.Errorf("the server: %v\n%s", err, s.stderr)
	}
}

func awaitEvent(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("audit --follow ended before %q", text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes a new certificate and its key, and returns the certificate.
func writeCertificate(t *testing.T, certFile, keyFile string) (der string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return string(certificate)
}

func servedCertificate(t *testing.T, address string) (der string) {
	t.Helper()
	connection, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return string(connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
}
