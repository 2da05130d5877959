package cmd

import (
	"slices"
	"testing"
)

// The process that compares slow hashes gets the secrets that it is asked about, on its standard input, and no others.
func TestTheProcessForHashesIsToldNoSettings(t *testing.T) {
	environ := []string{"FOSITE_MCP_SYSTEM_SECRET=keep this to yourself", "PGPASSWORD=too", "GOMEMLIMIT=1GiB"}
	c := hashProcess(environ, 3).Command()
	if len(c.Args) != 2 || c.Args[1] != "compute-hashes" {
		t.Errorf("it is started as %q", c.Args)
	}
	if want := []string{hashProcessVariable + "=1", "GOMAXPROCS=3", "GOMEMLIMIT=1GiB"}; !slices.Equal(c.Env, want) {
		t.Errorf("its environment is %q, want %q", c.Env, want)
	}
}

func TestTheProcessForHashesStartsNoOther(t *testing.T) {
	t.Setenv(hashProcessVariable, "1")
	if err := hashProcess(nil, 1).Command().Start(); err == nil {
		t.Error("it was started")
	}
}
