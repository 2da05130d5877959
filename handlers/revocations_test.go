package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

// revocations is the store's feed.
func (f *fixture) revocations() *handlers.Revocations {
	return &handlers.Revocations{
		Read: func(ctx context.Context, cursor string, resources []string, limit int) (page handlers.RevocationPage, err error) {
			if f.changes != nil {
				return f.changes(cursor, limit), nil
			}
			found, err := f.store.Revocations(ctx, cursor, resources, limit)
			if err != nil {
				return page, err
			}
			page = handlers.RevocationPage{Cursor: found.Cursor, More: found.More, Reset: found.Reset}
			for _, ended := range found.Revocations {
				page.Revocations = append(page.Revocations, handlers.RevocationEntry(ended))
			}
			return page, nil
		},
		Changed:  f.store.HasRevocations,
		Stopping: f.stopping,
	}
}

// feed reads the feed as a client.
func (f *fixture) feed(id, secret, query string) answer {
	f.t.Helper()
	return f.do((&request{method: http.MethodGet, path: basePath + "/revocations?" + query, header: http.Header{}}).basic(id, secret))
}

// kinds are the kinds and names of what an answer says has ended.
func kinds(a answer) (all []string) {
	list, _ := a.json["revocations"].([]any)
	for _, entry := range list {
		member := entry.(map[string]any)
		id, _ := member["id"].(string)
		if at, ok := member["time"].(float64); !ok || at < 1_700_000_000 {
			return []string{"no time"}
		}
		all = append(all, member["kind"].(string)+" "+id)
	}
	return all
}

func (f *fixture) revoke(id, secret, token string) {
	f.t.Helper()
	if a := f.do(post("/revoke", "token", token).basic(id, secret)); a.status != http.StatusOK {
		f.t.Fatalf("revoke: %d %s", a.status, a.text)
	}
}

func TestResourceServerReadsWhatHasEnded(t *testing.T) {
	f := newFixture(t)
	secret, server := f.client("ci"), f.client("docs", introspects(docs))
	token := f.token("ci", secret)
	jti, _ := f.introspect("docs", server, token).json["jti"].(string)
	start := f.feed("docs", server, "after=now")
	if start.status != http.StatusOK || start.json["cursor"] == "" || start.json["more"] != nil || start.json["reset"] != nil || len(kinds(start)) > 0 {
		t.Fatalf("%d %s", start.status, start.text)
	}
	if !strings.Contains(start.text, `"revocations":[]`) || start.header.Get("Cache-Control") != "no-store" || start.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", start.text, start.header)
	}
	f.revoke("ci", secret, token)
	after := "after=" + start.json["cursor"].(string)
	if err := f.store.RevokeClient(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"GET":                f.feed("docs", server, after),
		"GET with all":       f.feed("docs", server, after+"&wait=0.5&limit=5000"),
		"POST":               f.do(post("/revocations", "after", start.json["cursor"].(string)).basic("docs", server)),
		"POST with a secret": f.do(post("/revocations", "client_id", "docs", "client_secret", server, "after", start.json["cursor"].(string))),
	} {
		if got := kinds(a); len(got) < 2 || got[0] != "token "+jti || got[1] != "client ci" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := f.feed("docs", server, "after=another.1~0"); a.json["reset"] != true || len(kinds(a)) > 0 {
		t.Errorf("another epoch: %s", a.text)
	}
	if a := f.feed("docs", server, "limit=1"); a.json["more"] != true || len(kinds(a)) != 1 {
		t.Errorf("a small page from the beginning: %s", a.text)
	}
}

func TestWhoMayNotReadTheFeed(t *testing.T) {
	f := newFixture(t)
	secret, server := f.client("ci"), f.client("docs", introspects(docs))
	f.client("public", introspects(docs), func(c *client.Client) { c.TokenEndpointAuthMethod, c.Secrets = "none", nil })
	for name, c := range map[string]struct {
		answer answer
		status int
		says   string
	}{
		"no credentials":           {f.do(&request{method: http.MethodGet, path: basePath + "/revocations", header: http.Header{}}), 401, "invalid_client"},
		"a wrong secret":           {f.feed("docs", secret, ""), 401, "invalid_client"},
		"a public client":          {f.do(post("/revocations", "client_id", "public")), 401, "invalid_client"},
		"no resource server":       {f.feed("ci", secret, ""), 403, "Register the client with introspects"},
		"a secret in the URL":      {f.feed("docs", server, "client_secret="+server), 400, "in the body of a POST"},
		"an unknown parameter":     {f.feed("docs", server, "since=1"), 400, "'since' means nothing"},
		"one that repeats":         {f.feed("docs", server, "after=a&after=b"), 400, "'after' is given more than once"},
		"a wait of words":          {f.feed("docs", server, "wait=long"), 400, "'wait'"},
		"a wait that is no number": {f.feed("docs", server, "wait=NaN"), 400, "'wait'"},
		"a wait that is too long":  {f.feed("docs", server, "wait=31"), 400, "'wait'"},
		"a wait before now":        {f.feed("docs", server, "wait=-1"), 400, "'wait'"},
		"no limit":                 {f.feed("docs", server, "limit=0"), 400, "'limit'"},
		"a limit that is too high": {f.feed("docs", server, "limit=5001"), 400, "'limit'"},
		"a long cursor":            {f.feed("docs", server, "after="+strings.Repeat("x", 513)), 400, "'after'"},
		"a PUT":                    {f.do(&request{method: http.MethodPut, path: basePath + "/revocations", header: http.Header{}}), 405, "Use GET or POST"},
	} {
		if c.answer.status != c.status || !strings.Contains(c.answer.text, c.says) || strings.Contains(c.answer.text, server) {
			t.Errorf("%s: %d %s, want %d and %q", name, c.answer.status, c.answer.text, c.status, c.says)
		}
	}
}

func TestFeedWithoutADatabaseIsUnavailable(t *testing.T) {
	f := newFixture(t)
	server := f.client("docs", introspects(docs))
	if err := f.db.Exec("ALTER TABLE revocations RENAME TO away").Error; err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "after=now", "wait=10"} {
		if a := f.feed("docs", server, query); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || strings.Contains(a.text, "revocations") {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
}

// A request that waits is answered as soon as something has ended, whoever has ended it.
func TestWaitEndsWithTheFirstRevocation(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.stopping = make(chan struct{}) })
	secret, server := f.client("ci"), f.client("docs", introspects(docs))
	cursor := f.feed("docs", server, "after=now").json["cursor"].(string)
	waiting := func(act func() error) (a answer, took time.Duration) {
		t.Helper()
		start, done := time.Now(), make(chan answer, 1)
		go func() { done <- f.feed("docs", server, "wait=20&after="+cursor) }()
		time.Sleep(20 * time.Millisecond)
		if err := act(); err != nil {
			t.Fatal(err)
		}
		a = <-done
		return a, time.Since(start)
	}
	a, took := waiting(func() error { return f.store.RevokeClient(context.Background(), "ci") })
	if diff := cmp.Diff([]string{"client ci"}, kinds(a)[:min(1, len(kinds(a)))]); diff != "" || took > 5*time.Second {
		t.Errorf("after %s: %s", took, a.text)
	}
	cursor = a.json["cursor"].(string)
	a, took = waiting(func() error { return errors.Join(f.store.Clients().Delete(context.Background(), "docs")) })
	if a.status != http.StatusOK || a.json["cursor"] != cursor || len(kinds(a)) > 0 || took > 5*time.Second {
		t.Errorf("the caller was deleted; after %s: %d %s", took, a.status, a.text)
	}
	if a = f.feed("docs", server, "after="+cursor); a.status != http.StatusUnauthorized {
		t.Errorf("then: %d %s", a.status, a.text)
	}
	server = f.client("more", introspects(docs))
	_ = secret
	cursor = f.feed("more", server, "after=now").json["cursor"].(string)
	done := make(chan answer, 1)
	go func() { done <- f.feed("more", server, "wait=20&after="+cursor) }()
	close(f.stopping)
	if a = <-done; a.status != http.StatusOK || a.json["cursor"] != cursor || len(kinds(a)) > 0 {
		t.Errorf("the server stops: %d %s", a.status, a.text)
	}
}

// A resource server whose registration changes may speak for other resources.
func TestChangedResourceServerForgetsAll(t *testing.T) {
	f := newFixture(t)
	server := f.client("docs", introspects(docs, other))
	cursor := f.feed("docs", server, "after=now").json["cursor"].(string)
	f.clock = f.clock.Add(-time.Hour)
	secret := f.client("ci")
	f.revoke("ci", secret, f.token("ci", secret))
	c, err := f.store.Clients().Find(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	c.Introspects = []string{docs}
	if err := f.store.Clients().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	a := f.feed("docs", server, "after="+cursor)
	if got := kinds(a); len(got) != 3 || got[1] != "client docs" || got[2] != "all " {
		t.Fatalf("%s, want a token, the client, and all", a.text)
	}
	list := a.json["revocations"].([]any)
	if all, client := list[2].(map[string]any), list[1].(map[string]any); all["time"] != client["time"] { // and not the token's
		t.Errorf("%s, want all as of the change of the client", a.text)
	}
}

func TestWaitingRequestsAreBounded(t *testing.T) {
	f := newFixture(t)
	server := f.client("docs", introspects(docs))
	cursor := f.feed("docs", server, "after=now").json["cursor"].(string)
	const most = 64
	done := make(chan answer, most)
	for range most + 1 {
		go func() { done <- f.feed("docs", server, "wait=20&after="+cursor) }()
	}
	if a := <-done; a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Fatalf("%d %s, want 429", a.status, a.text)
	}
	if a := f.feed("docs", server, "after="+cursor); a.status != http.StatusOK {
		t.Errorf("without a wait: %d %s", a.status, a.text)
	}
	if err := f.store.ClientChanged(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	for range most {
		if a := <-done; a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
}
