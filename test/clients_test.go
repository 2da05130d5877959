package test

import "testing"

// Published clients are told the URL of an MCP server and who they are, and find out everything else.
func TestPublishedClients(t *testing.T) {
	needClients(t)
	s := startSite(t)
	for name, file := range map[string]string{
		"the TypeScript MCP client": "typescript.test.mjs",
	} {
		t.Run(name, func(t *testing.T) { s.runNode(t, file) })
	}
}
