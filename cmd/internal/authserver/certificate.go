package authserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"fosite-mcp/config"
)

// tlsCertificate is one certificate that follows its files, so that renewing it takes no restart.
type tlsCertificate struct {
	files config.TLS
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    [2]fs.FileInfo // the files when they were last read, whether or not they were any good
}

// newCertificate reads the files; nil where there are none.
func newCertificate(files config.TLS, log *slog.Logger) (*tlsCertificate, error) {
	if !files.Enabled() {
		return nil, nil
	}
	c := &tlsCertificate{files: files, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the files. The certificate that was there stays when they are no good.
func (c *tlsCertificate) load() error {
	c.read = c.look()
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return fmt.Errorf("tls.cert_file %s and tls.key_file %s: %w", c.files.CertFile, c.files.KeyFile, err)
	}
	c.current = &pair
	return nil
}

func (c *tlsCertificate) look() (files [2]fs.FileInfo) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			files[i] = info
		}
	}
	return files
}

// changed tells whether the files are others than those that were read. It costs two system calls.
func (c *tlsCertificate) changed() bool {
	for i, now := range c.look() {
		before := c.read[i]
		if (now == nil) != (before == nil) {
			return true
		}
		if now != nil && (!now.ModTime().Equal(before.ModTime()) || now.Size() != before.Size() || !os.SameFile(now, before)) {
			return true
		}
	}
	return false
}

// get is for [tls.Config.GetCertificate]: each new connection looks whether the files have changed.
func (c *tlsCertificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed() {
		c.renew(hello.Context())
	}
	return c.current, nil
}

// reread reads the files, changed or not.
func (c *tlsCertificate) reread(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew(ctx)
}

func (c *tlsCertificate) renew(ctx context.Context) {
	if err := c.load(); err != nil {
		c.log.ErrorContext(ctx, "the new TLS certificate is not used, the one before stays", "cause", err)
		return
	}
	c.log.InfoContext(ctx, "read the TLS certificate again", "not_after", c.current.Leaf.NotAfter)
}

// config is what a listener serves TLS with.
func (c *tlsCertificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// follow reads the files whenever somebody asks for it, until ctx ends. Without a certificate nobody is heard.
func (c *tlsCertificate) follow(ctx context.Context, asked <-chan struct{}) {
	for c != nil {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			c.reread(ctx)
		}
	}
}
