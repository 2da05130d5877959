package cmd

import (
	"slices"
	"strings"

	"fosite-mcp/cmd/internal/guard"
	"fosite-mcp/cmd/internal/terminal"
)

// noticeSecret says where a new secret is, and which command takes it.
func (a *app) noticeSecret(client *clientView, secret, file string) {
	switch {
	case secret != "":
		a.Notice("client_secret is shown only now; keep it somewhere safe")
	case file != "":
		a.Notice("wrote the client secret to %s", file)
	default:
		return
	}
	id := terminal.Printable(client.ID)
	switch {
	case len(client.Introspects) > 0:
		if file == "" {
			file = "FILE"
		}
		with := "--client-id " + id + " --client-secret-file " + file + a.otherIssuer()
		a.Notice("start the MCP server as this client, such as: mcp-search %s", with)
		a.Notice("or put OAuth in front of one that knows nothing of it: fosite-mcp proxy --upstream URL %s", with)
	case slices.Contains(client.GrantTypes, "client_credentials"):
		if file == "" {
			file = "-"
		}
		settings := ""
		if a.configFile != "" {
			settings = "--config " + shellWord(a.configFile) + " "
		}
		a.Notice("get a token with: fosite-mcp token mint %s--client-id %s --client-secret-file %s", settings, id, file)
	}
}

// otherIssuer is the flag for the issuer of the settings, where that is not the one which resource servers take by themselves.
func (a *app) otherIssuer() string {
	cfg, err := a.config()
	if err != nil || cfg.Issuer == "" || cfg.Issuer == guard.DefaultIssuer {
		return ""
	}
	return " --issuer " + shellWord(cfg.Issuer)
}

// shellWord quotes text for a shell, if it has to be.
func shellWord(text string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@%+=,", c)
	}
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
