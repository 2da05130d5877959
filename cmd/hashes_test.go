package cmd

import (
	"strings"
	"testing"
)

// The process that compares slow hashes gets the secrets that it is asked about, on its standard input, and no others.
func TestTheProcessForHashesIsToldNoSettings(t *testing.T) {
	t.Setenv("FOSITE_MCP_SYSTEM_SECRET", "keep this to yourself")
	c := computeHashes()
	if len(c.Args) != 2 || c.Args[1] != "compute-hashes" {
		t.Errorf("it is started as %q", c.Args)
	}
	if len(c.Env) != 1 || !strings.HasPrefix(c.Env[0], "GOMAXPROCS=") {
		t.Errorf("its environment is %q", c.Env)
	}
}
