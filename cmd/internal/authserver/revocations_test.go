package authserver

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
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
