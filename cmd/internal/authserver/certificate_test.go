package authserver

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"

	"fosite-mcp/config"
)

// served is the certificate that a new connection gets.
func served(t *testing.T, c *tlsCertificate) string {
	t.Helper()
	pair, err := c.get(new(tls.ClientHelloInfo))
	if err != nil || pair == nil {
		t.Fatalf("no certificate: %v", err)
	}
	return string(pair.Leaf.Raw)
}

// put replaces a file as one that renews certificates does.
func put(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	next := to + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, to); err != nil {
		t.Fatal(err)
	}
}

func TestARenewedCertificateIsServedAndABrokenOneIsNot(t *testing.T) {
	certFile, keyFile := certificate(t)
	var log bytes.Buffer
	c, err := newCertificate(config.TLS{CertFile: certFile, KeyFile: keyFile}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	errors := func() int { return strings.Count(log.String(), "level=ERROR") }
	first := served(t, c)
	if served(t, c) != first || log.Len() > 0 {
		t.Errorf("files that nobody touched were read again: %s", &log)
	}

	newCert, newKey := certificate(t)
	put(t, newCert, certFile) // and not yet the key
	for range 5 {
		if served(t, c) != first {
			t.Error("a certificate without its key is served")
		}
	}
	if errors() != 1 {
		t.Errorf("%d errors in the log, want one for one bad file:\n%s", errors(), &log)
	}
	put(t, newKey, keyFile)
	second := served(t, c)
	if second == first {
		t.Error("the renewed certificate is not served")
	}

	for name, spoil := range map[string]func(){
		"garbage":    func() { _ = os.WriteFile(certFile, []byte("no certificate"), 0o600) },
		"gone":       func() { _ = os.Remove(certFile) },
		"empty":      func() { _ = os.WriteFile(certFile, nil, 0o600) },
		"broken key": func() { _ = os.WriteFile(keyFile, []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600) },
	} {
		before := errors()
		spoil()
		if served(t, c) != second || errors() != before+1 {
			t.Errorf("%s: another certificate, or no error:\n%s", name, &log)
		}
		put(t, newCert, certFile)
		put(t, newKey, keyFile)
		if served(t, c) != second {
			t.Errorf("%s: the good certificate is not back", name)
		}
	}

	// Where a change cannot be seen, SIGHUP helps.
	thirdCert, thirdKey := certificate(t)
	for from, to := range map[string]string{thirdCert: certFile, thirdKey: keyFile} {
		content, _ := os.ReadFile(from)
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.read = c.look()
	if served(t, c) != second {
		t.Fatal("the change was seen")
	}
	c.reread(t.Context())
	if served(t, c) == second {
		t.Error("the files were not read again")
	}
}

func TestAServerDoesNotStartWithABrokenCertificate(t *testing.T) {
	certFile, _ := certificate(t)
	_, otherKey := certificate(t)
	for _, files := range []config.TLS{{CertFile: certFile, KeyFile: otherKey}, {CertFile: certFile, KeyFile: "nowhere"}, {CertFile: otherKey, KeyFile: otherKey}} {
		if _, err := newCertificate(files, nil); err == nil || !strings.Contains(err.Error(), "tls.cert_file "+files.CertFile) {
			t.Errorf("%+v: error %v", files, err)
		}
	}
	if c, err := newCertificate(config.TLS{}, nil); c != nil || err != nil {
		t.Errorf("no files: %v, %v", c, err)
	}
}
