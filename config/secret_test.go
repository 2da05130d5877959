package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const hidden = "nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"

func secretConfig() Config {
	c := Default()
	c.Admin.Key, c.SystemSecret, c.SystemSecretsPrevious = hidden, hidden, []Secret{hidden}
	c.Database.URL = "postgres://u:" + hidden + "@db.example/x?sslpassword=" + hidden
	c.Login.Methods = []string{LoginOIDC}
	c.Login.OIDC.Issuer, c.Login.OIDC.ClientID, c.Login.OIDC.ClientSecret = "https://id.example", "fosite-mcp", hidden
	return c
}

func TestSecretsNeverShow(t *testing.T) {
	c, err := secretConfig().Resolve()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T %v", "%08.3f"} {
		shown[verb] = fmt.Sprintf(verb, c.Admin.Key, c) + fmt.Sprintf(verb, c.Database.URL, c) + fmt.Sprintf(verb, c, &c.Admin)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown["JSON"] = string(encoded)
	encoded, err = yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown["YAML"] = string(encoded)
	var log, printed bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "key", c.Admin.Key, "url", c.Database.URL, "config", c, "pointer", &c)
	}
	shown["slog"] = log.String()
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	shown["Print"] = printed.String()
	for way, text := range shown {
		if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) || strings.Contains(text, fmt.Sprintf("%X", hidden)) {
			t.Errorf("%s shows the secret: %s", way, text)
		}
	}
	if c.Admin.Key.Reveal() != hidden || !strings.Contains(c.Database.URL.Reveal(), hidden) {
		t.Error("Reveal does not return the secret")
	}
}

func TestErrorsNeverQuoteSecrets(t *testing.T) {
	files := []string{
		hidden,
		"admin: " + hidden,
		"admin: {key: [" + hidden + "]}",
		"admin:\n  key: *" + hidden,
		"admin:\n  key: !!int " + hidden,
		"admin:\n  key: !!binary " + hidden + "%",
		"admin:\n  key: '" + hidden,
		"admin:\n  key: " + hidden + ": " + hidden,
		"system_secrets_previous: " + hidden,
		"database: {url: 'mysql://u:" + hidden + "@db.example'}",
		"database: {url: 'postgres://u:" + hidden + "%zz@db.example'}",
		"login: {oidc: {client_secret: {a: " + hidden + "}}}",
	}
	for _, file := range files {
		if _, err := load(t, file); err == nil || strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), hidden[:7]) {
			t.Errorf("%q: %v", file, err)
		}
	}
	environ := []string{
		"FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS=" + hidden,
		`FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS=["` + hidden + `"`,
		"FOSITE_MCP_DATABASE_URL=" + hidden,
		"FOSITE_MCP_ADMIN_KEY_FILE=/" + hidden,
		"FOSITE_MCP_ADMIN_KEY=" + hidden + " ",
	}
	for _, variable := range environ {
		if _, err := load(t, "", variable); err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("%q: %v", variable, err)
		}
	}
}

func TestDatabaseURLsShowEverythingButThePassword(t *testing.T) {
	tests := []struct{ url, want string }{
		{"", ""},
		{"sqlite:data/fosite-mcp.db", "sqlite:data/fosite-mcp.db"},
		{"postgres://db.example/x?sslmode=disable", "postgres://db.example/x?sslmode=disable"},
		{"postgres://u:secret@db.example:5432/x?sslmode=disable", "postgres://u:REDACTED@db.example:5432/x?sslmode=disable"},
		{"postgresql://u@db.example/x?password=secret", "postgresql://u@db.example/x?password=REDACTED"},
		{"postgres://u:secret@db1:5432,db2/x?sslmode=disable", "postgres://u:REDACTED@db1:5432,db2/x?sslmode=disable"},
		{"postgres://u:secret@[::1]:5432,[::2]:5433/x", "postgres://u:REDACTED@[::1]:5432,[::2]:5433/x"},
		{"postgres://u:12,3@secret@db1,db2:x/x", "REDACTED"},
		{"postgres://u:12?secret@db.example/x", "REDACTED"},
		{"postgres://u:12#secret@db.example/x", "REDACTED"},
		{"postgres://u:12/secret@db.example/x", "REDACTED"},
		{"postgres://u:sec%zzret@db.example/x", "REDACTED"},
		{"postgres://db.example/x?password=sec%zzret", "REDACTED"},
		{"host=db.example password=secret", "REDACTED"},
	}
	for _, tt := range tests {
		if got := DatabaseURL(tt.url).String(); got != tt.want {
			t.Errorf("%s shows as %s, want %s", tt.url, got, tt.want)
		}
	}
}

func TestAnAbsentSecretShowsAsAbsent(t *testing.T) {
	if got := fmt.Sprintf("%s|%q|%#v", Secret(""), Secret(""), Secret("")); got != `|""|config.Secret("")` {
		t.Error(got)
	}
}
