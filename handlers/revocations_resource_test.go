package handlers_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"
)

// A service names its resource, so that a wrong registration is an error and no silence.
func TestFeedOfOneResource(t *testing.T) {
	f := newFixture(t)
	secret, server := f.client("ci"), f.client("both", introspects(docs, other))
	elsewhere := f.client("elsewhere", introspects(other))
	cursor := f.feed("both", server, "after=now").json["cursor"].(string)
	f.revoke("ci", secret, f.token("ci", secret))
	for resource, want := range map[string]int{"": 1, docs: 1, other: 0} {
		a := f.feed("both", server, "after="+cursor+"&resource="+resource)
		tokens := 0
		for _, kind := range kinds(a) {
			if strings.HasPrefix(kind, "token ") {
				tokens++
			}
		}
		if a.status != http.StatusOK || tokens != want {
			t.Errorf("resource %q: %d %s, want %d tokens", resource, a.status, a.text, want)
		}
	}
	for _, query := range []string{"", "&wait=20"} {
		a := f.feed("elsewhere", elsewhere, "after="+cursor+query+"&resource="+docs)
		if a.status != http.StatusForbidden || a.json["error"] != "access_denied" || !strings.Contains(a.text, "introspects for it") {
			t.Errorf("a resource of others: %d %s", a.status, a.text)
		}
	}
}

// The client loses its resource while its request waits.
func TestFeedOfAResourceThatIsTakenAway(t *testing.T) {
	f := newFixture(t)
	server := f.client("docs", introspects(docs, other))
	query := "resource=" + docs + "&after=" + f.feed("docs", server, "after=now").json["cursor"].(string)
	done := make(chan answer, 1)
	go func() { done <- f.feed("docs", server, "wait=20&"+query) }()
	time.Sleep(20 * time.Millisecond)
	f.edit("docs", func(c *client.Client) { c.Introspects = []string{other} })
	if a := <-done; a.status == http.StatusOK && (len(kinds(a)) > 0 || !strings.Contains(query, a.json["cursor"].(string))) {
		t.Errorf("%d %s, want nothing, or 403", a.status, a.text)
	}
	if a := f.feed("docs", server, query); a.status != http.StatusForbidden {
		t.Errorf("then: %d %s, want 403", a.status, a.text)
	}
}

// Readers refuse an answer of more than 1 MiB.
func TestPageIsCutByItsBytes(t *testing.T) {
	const changes, most = 1200, 512 << 10
	for name, id := range map[string]string{"ampersands": strings.Repeat("&", 512), "quotes": strings.Repeat(`"`, 512), "one that is too long": strings.Repeat("x", most)} {
		limits := []int{}
		f := newFixture(t, func(f *fixture) {
			f.changes = func(cursor string, limit int) (page handlers.RevocationPage) {
				limits = append(limits, limit)
				from, _ := strconv.Atoi(cursor)
				to := min(changes, from+limit)
				page.Cursor, page.More = strconv.Itoa(to), to < changes
				for range to - from {
					page.Revocations = append(page.Revocations, handlers.RevocationEntry{Kind: handlers.ClientChanged, ID: id, Time: f.clock})
				}
				return page
			}
		})
		server := f.client("docs", introspects(docs))
		a := f.feed("docs", server, "limit=1000")
		read, _ := strconv.Atoi(a.json["cursor"].(string))
		if a.status != http.StatusOK || a.json["more"] != true || read < 1 || read != len(kinds(a)) || read != limits[len(limits)-1] {
			t.Errorf("%s: cursor %d after %d entries, limits %v: %.200s", name, read, len(kinds(a)), limits, a.text)
		}
		if len(a.text) > most && read > 1 || strings.Contains(a.text, "u0026") {
			t.Errorf("%s: %d bytes with %d entries: %.200s", name, len(a.text), read, a.text)
		}
	}
}
