package guard

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// With --cache the server's feed of revocations is followed, as the client. A server without one is named at the start.
func TestCacheFollowsTheFeedThatTheServerNames(t *testing.T) {
	asked, feed := make(chan string, 100), ""
	var auth *httptest.Server
	auth = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/revocations" {
			id, _, _ := r.BasicAuth()
			asked <- id
			io.WriteString(w, `{"cursor":"1","revocations":[]}`)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"introspection_endpoint":"%[1]s/introspect"%s}`, auth.URL, feed)
	}))
	defer auth.Close()
	o := Options{EnvPrefix: "TEST_"}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.Register(flags)
	args := []string{"--cache", "--client-id", "docs", "--issuer", auth.URL, "--resource", "https://docs.example.com/mcp"}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(flags, func(key string) (string, bool) { return "secret", key == "TEST_CLIENT_SECRET" }); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Verifier(t.Context(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "revocations_endpoint") {
		t.Errorf("without a feed: error %v", err)
	}
	feed = `,"revocations_endpoint":"` + auth.URL + `/revocations"`
	verifier, err := o.Verifier(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer verifier.Close()
	if id := <-asked; id != "docs" {
		t.Errorf("asked as %q", id)
	}
}
