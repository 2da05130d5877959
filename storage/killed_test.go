package storage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/ory/fosite"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"

	"fosite-mcp/provider/client"
)

// hostToKill names the engine and the database of TestAHostThatWritesUntilItIsKilled.
const hostToKill = "FOSITE_MCP_TEST_HOST_TO_KILL"

// It is the program that the next test runs and kills. It issues tokens, revokes every other one, and prints what was
// acknowledged.
func TestAHostThatWritesUntilItIsKilled(t *testing.T) {
	engine, dsn, found := strings.Cut(os.Getenv(hostToKill), " ")
	if !found {
		return
	}
	dialector := sqlite.Open(dsn)
	if engine == "postgres" {
		dialector = postgres.Open(dsn)
	}
	store := New(openPool(t, dialector))
	var out sync.Mutex
	say := func(what, id string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(what, id)
	}
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				request := newTestRequest("machine")
				if request.ID = fmt.Sprintf("%d-%d-%d", os.Getpid(), writer, i); i%4 < 2 { // a machine's token has no grant
					request.Session = &fosite.DefaultSession{}
					request.Form.Set("grant_type", "client_credentials")
				}
				if err := store.CreateAccessTokenSession(t.Context(), request.ID, request); err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					say("issued", request.ID)
					continue
				}
				if err := store.RevokeGrant(t.Context(), request.ID); err != nil {
					t.Error(err)
					return
				}
				say("revoked", request.ID)
			}
		})
	}
	writers.Wait()
}

// What was acknowledged, in tables with a prefix, is true after the death of the host, whatever it was doing.
func TestNothingAcknowledgedIsLostWhenAHostIsKilled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		t.Setenv("FOSITE_MCP_TEST_TABLE_PREFIX", "oauth_")
		open := e.dialector(t)
		store := New(openPool(t, open()))
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := store.Clients().Create(t.Context(), &client.Client{ID: "machine", TokenEndpointAuthMethod: "none"}); err != nil {
			t.Fatal(err)
		}
		var dsn string
		switch d := open().(type) {
		case *sqlite.Dialector:
			dsn = d.DSN
		case *postgres.Dialector:
			dsn = d.DSN
		}
		promised := make(map[string]string)
		for range 5 {
			host := exec.Command(os.Args[0], "-test.run=^TestAHostThatWritesUntilItIsKilled$")
			host.Env = append(os.Environ(), hostToKill+"="+e.name+" "+dsn)
			output, err := host.StdoutPipe()
			if err == nil {
				err = host.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(output)
			for n := 1; lines.Scan(); n++ {
				what, id, _ := strings.Cut(lines.Text(), " ")
				if what != "issued" && what != "revoked" {
					t.Errorf("the host says %q", lines.Text())
				}
				promised[id] = what
				if n == 60 {
					_ = host.Process.Kill()
				}
			}
			_ = host.Wait()
		}
		if len(promised) < 5*60 {
			t.Fatalf("%d promises, want more", len(promised))
		}
		for id, what := range promised {
			_, err := store.GetAccessTokenSession(t.Context(), id, nil)
			if dead := errors.Is(err, fosite.ErrNotFound); err != nil && !dead || dead != (what == "revoked") {
				t.Errorf("%s was %s, and reading it answers %v", id, what, err)
			}
		}
	})
}
