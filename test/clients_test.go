package test

import "testing"

// Published clients are told the URL of an MCP server and who they are, and find out everything else.
func TestPublishedClients(t *testing.T) {
	needClients(t)
	t.Parallel()
	s := startSite(t)
	for _, client := range []struct{ name, file string }{
		{"TypeScript MCP client", "typescript.test.mjs"},
		{"openid-client", "openid-client.test.mjs"},
		{"oauth4webapi", "oauth4webapi.test.mjs"},
		{"MCP conformance suite", "conformance.test.mjs"},
	} {
		t.Run(client.name, func(t *testing.T) { s.runNode(t, client.file) })
	}
}

// Clients that nobody has registered: they are told the URL of an MCP server alone.
func TestClientsThatRegisterThemselves(t *testing.T) {
	needClients(t)
	s := startSite(t, "FOSITE_MCP_REGISTRATION_ENABLED=true")
	t.Run("TypeScript MCP client", func(t *testing.T) { s.runNode(t, "registration.test.mjs") })
	t.Run("programs", func(t *testing.T) { s.runNode(t, "programs.test.mjs") })
}

// A person at Chromium logs in, consents, denies, withdraws, and makes the mistakes that people make.
func TestBrowser(t *testing.T) {
	needClients(t)
	t.Parallel()
	s := startSite(t)
	t.Run("how the pages look", func(t *testing.T) { s.runNode(t, "pages.test.mjs") })
	t.Run("what a person does", func(t *testing.T) { s.runNode(t, "browser.test.mjs") })
	t.Run("other origins", func(t *testing.T) { s.runNode(t, "origins.test.mjs") })
	t.Run("the admin console", func(t *testing.T) { s.runNode(t, "console.test.mjs") })
}
