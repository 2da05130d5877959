package apiclient

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
)

// adminOrigin is the origin of the admin listener for a command on the same machine.
func adminOrigin(cfg config.Config) (string, error) {
	host, port, err := net.SplitHostPort(cfg.Admin.Listen)
	if err != nil || port == "0" {
		return "", errors.New("the setting admin.listen does not say which port the server has; give --admin-url")
	}
	switch addr, err := netip.ParseAddr(host); {
	case host == "", err == nil && addr == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr == netip.IPv6Unspecified():
		host = "::1"
	}
	scheme := "http"
	if cfg.AdminTLS() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// adminKey reads the admin key: from the file of the flag, from the settings, or from the file that the server wrote.
func adminKey(cfg config.Config, file string) (key, source string, err error) {
	if file == "" && cfg.Admin.Key != "" {
		return cfg.Admin.Key.Reveal(), "the setting admin.key", nil
	}
	named := file != ""
	if !named {
		file = filepath.Join(cfg.DataDir, "admin.key")
		if err := privatefile.Check(file); err != nil {
			return "", "", fmt.Errorf("read the admin key: %w", err)
		}
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return "", "", fmt.Errorf("no admin key: %s does not exist. The server writes it on its first start (fosite-mcp serve): run this in the server's folder, or give --config; on another machine give --admin-key-file, or set FOSITE_MCP_ADMIN_KEY_FILE", file)
	}
	if err != nil {
		return "", "", fmt.Errorf("read the admin key: %w", err)
	}
	if key = strings.TrimSpace(string(content)); key == "" {
		return "", "", fmt.Errorf("read the admin key: %s is empty", file)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", "", fmt.Errorf("read the admin key: %s does not hold one key alone", file)
	}
	return key, file, nil
}
