package authserver

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/resource"
)

// introspecting registers a resource server.
func (s *runningServer) introspecting(t *testing.T) (id, secret string) {
	t.Helper()
	return s.register(t, `{"client_name":"docs","introspects":["`+s.PublicURL+`/authed/mcp"]}`)
}

// The lines of docs/endpoints.md, as pasted.
func TestFeedIsReadAsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## revocations\n")
	_, block, _ := strings.Cut(section, "```sh\n")
	block, _, found := strings.Cut(block, "```")
	if !found || strings.Count(block, "curl") != 2 {
		t.Fatalf("the document has other lines: %s", block)
	}
	s := runServer(t)
	id, secret := s.introspecting(t)
	block = strings.NewReplacer("http://127.0.0.1:8080", s.PublicURL, "wait=20", "wait=0").Replace(block)
	command := exec.Command("bash", "-euo", "pipefail", "-c", block)
	command.Env = append(os.Environ(), "CLIENT_ID="+id, "CLIENT_SECRET="+secret)
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), `"revocations":[]`) || strings.Contains(string(output), "reset") {
		t.Errorf("%v: %s", err, output)
	}
}

// A server that stops does not wait for those who follow the feed.
func TestStopEndsTheStreamsOfRevocations(t *testing.T) {
	var stream *http.Response
	t.Run("server", func(t *testing.T) {
		s := runServer(t)
		id, secret := s.introspecting(t)
		r, err := http.NewRequest(http.MethodGet, s.oauth("revocations")+"?after=now", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(id, secret)
		r.Header.Set("Accept", "text/event-stream")
		if stream, err = http.DefaultClient.Do(r); err != nil || stream.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", stream, err)
		}
	})
	if stream == nil {
		return
	}
	defer stream.Body.Close()
	if body, err := io.ReadAll(stream.Body); err != nil || !strings.Contains(string(body), "event: cursor") {
		t.Errorf("%s %v", body, err)
	}
}

func TestCursorOfOtherSettingsResetsTheReader(t *testing.T) {
	p := &parts{cfg: testConfig(t)}
	same, err := digest(p.cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.cfg.DefaultResource += "/other"
	changed, err := digest(p.cfg)
	if err != nil || same == changed {
		t.Fatalf("%s %s %v", same, changed, err)
	}
	for cursor, want := range map[string]string{
		"": "", "now": "now", same + "e.1~0": "e.1~0", changed + "e.1~0": "of other settings", same: "of other settings", same + "now": "of other settings", "x": "of other settings",
	} {
		if got := ofStore(cursor, same); got != want {
			t.Errorf("%q is %q to the store, want %q", cursor, got, want)
		}
	}
}

// A service that keeps answers at one replica, and another replica that revokes.
func TestServiceHearsWithinItsBoundWhatAReplicaRevokes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		key, secret := "FOSITE_MCP_ADMIN_KEY="+rand.Text()+rand.Text(), "FOSITE_MCP_SYSTEM_SECRET="+rand.Text()+rand.Text()
		here := startReplica(t, url, key, secret)
		there := here
		if strings.HasPrefix(url, "postgres") {
			there = startReplica(t, url, key, secret)
		}
		client := here.register(strings.TrimPrefix(key, "FOSITE_MCP_ADMIN_KEY="))
		const bound = 2 * time.Second
		service, err := resource.NewIntrospector(resource.Config{
			Endpoint: here.PublicURL + "/authed/mcp/oauth/introspect", Revocations: here.PublicURL + "/authed/mcp/oauth/revocations",
			ClientID: client.id, ClientSecret: client.secret, Resource: sharedResource, Cache: &resource.Cache{Bound: bound},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer service.Close()
		kept := 0
		for range 3 {
			status, answer := here.post("token", client, "grant_type", "client_credentials")
			token, _ := answer["access_token"].(string)
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, answer)
			}
			if _, err := service.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			there.post("revoke", client, "token", token)
			revoked := time.Now()
			for err == nil {
				kept++
				_, err = service.Verify(t.Context(), token)
			}
			if took := time.Since(revoked); took > bound || !errors.Is(err, resource.ErrInactive) {
				t.Errorf("%v after %s", err, took)
			}
			err = nil
		}
		if kept <= 3 {
			t.Error("the service keeps no answer")
		}
	})
}
