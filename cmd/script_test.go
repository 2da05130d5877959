package cmd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"fosite-mcp": func() { os.Exit(Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the transcripts in testdata/script: the program as people type it, each against a server of its own
// on free ports, which the environment of the transcript points to.
//
// The server is part of the test, and so is the race detector. The commands are the program as it ships: under the
// detector each of some 250 would take a tenth of a second to start. Where coverage is asked for they are the test again.
func TestScripts(t *testing.T) {
	path := os.Getenv("PATH")
	if testing.CoverMode() == "" {
		folder := t.TempDir()
		build := exec.Command("go", "build", "-o", folder, "./fosite-mcp")
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		path = folder + string(os.PathListSeparator) + path
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			data := filepath.Join(env.WorkDir, "fosite-mcp-data")
			addresses, stop, err := serveForTest(data)
			if err != nil {
				return err
			}
			env.Defer(stop)
			adminURL, err := url.Parse(addresses.AdminURL)
			if err != nil {
				return err
			}
			env.Setenv("PATH", path)
			env.Setenv("FOSITE_MCP_DATA_DIR", data)
			env.Setenv("FOSITE_MCP_PUBLIC_URL", addresses.PublicURL)
			env.Setenv("FOSITE_MCP_ADMIN_LISTEN", adminURL.Host)
			env.Setenv("RESOURCE", addresses.PublicURL+"/authed/mcp")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   scriptExits,
			"capture": scriptCapture,
			"mode":    scriptMode,
			"tamper":  scriptTamper,
		},
		RequireExplicitExec: true,
	})
}

// serveForTest runs the server that ships, and returns once it accepts connections.
func serveForTest(dataDir string, environ ...string) (authserver.Addresses, func(), error) {
	cfg, err := config.Load("", append([]string{
		"FOSITE_MCP_DATA_DIR=" + dataDir, "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0",
	}, environ...))
	if err != nil {
		return authserver.Addresses{}, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan authserver.Addresses, 1), make(chan error, 1)
	server := &authserver.Instance{Config: cfg, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ready: func(at authserver.Addresses) { ready <- at }}
	go func() { ended <- server.Run(ctx) }()
	select {
	case at := <-ready:
		return at, func() { cancel(); <-ended }, nil
	case err := <-ended:
		cancel()
		return authserver.Addresses{}, nil, errors.Join(errors.New("the server did not start"), err)
	}
}

// scriptExits is "exits CODE PROGRAM ARGS…".
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		if exit.ExitCode() != want {
			ts.Fatalf("exit code %d, want %d", exit.ExitCode(), want)
		}
	case err != nil:
		ts.Fatalf("%v", err)
	case want != 0:
		ts.Fatalf("exit code 0, want %d", want)
	}
}

// scriptCapture is "capture NAME REGEXP": it keeps the group of the last stdout in a variable.
func scriptCapture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("stdout does not match %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// scriptMode is "mode 600 FILE".
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// scriptTamper is "tamper SQL": somebody at work in the database itself.
func scriptTamper(ts *testscript.TestScript, _ bool, args []string) {
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(ts.Getenv("FOSITE_MCP_DATA_DIR"), "fosite-mcp.db"))})
	ts.Check(err)
	defer pool.Close()
	ts.Check(db.Exec(args[0]).Error)
}
