package handlers_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stream connects to the feed as server-sent events, and returns a function that reads the next event.
func (f *fixture) stream(server *httptest.Server, secret, last string) (next func() (kind, id, data string)) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	f.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+basePath+"/revocations?after=now", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.SetBasicAuth("docs", secret)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	a, err := server.Client().Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = a.Body.Close() })
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("Cache-Control") != "no-store" {
		f.t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	lines := bufio.NewScanner(a.Body)
	return func() (kind, id, data string) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "event":
				kind = value
			case name == "id":
				id = value
			case name == "data":
				data = value
			case name == "" && kind != "":
				return kind, id, data
			}
		}
		return "end", "", ""
	}
}

func TestStreamGoesOnWhereItWasCutOff(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.stopping = make(chan struct{}) })
	f.client("ci")
	secret := f.client("docs", introspects(docs))
	server := httptest.NewServer(f.router)
	t.Cleanup(server.Close)

	next := f.stream(server, secret, "")
	kind, start, data := next()
	if kind != "cursor" || start == "" || data != `{"more":false}` {
		t.Fatalf("the first event is %s %q %s", kind, start, data)
	}
	if err := f.store.RevokeClient(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	heard := func(next func() (kind, id, data string)) (cursor string) {
		t.Helper()
		told := false
		for range 10 {
			kind, id, data := next()
			told = told || kind == "revocation" && strings.Contains(data, `"kind":"client","id":"ci"`)
			if told && kind == "cursor" {
				return id
			}
		}
		t.Fatal("the stream does not tell of the client")
		return ""
	}
	cursor := heard(next)
	if again := heard(f.stream(server, secret, start)); again != cursor {
		t.Errorf("after Last-Event-ID the cursor is %s, want %s", again, cursor)
	}
	if kind, _, _ := f.stream(server, secret, "another.1~0")(); kind != "reset" {
		t.Errorf("with a cursor of another epoch the first event is %s, want reset", kind)
	}
	close(f.stopping)
	for kind != "end" {
		kind, _, _ = next()
	}
}

// Whoever must not read the feed any more hears of nothing, not even of the reason.
func TestStreamEndsWithTheCaller(t *testing.T) {
	f := newFixture(t)
	secret := f.client("docs", introspects(docs))
	server := httptest.NewServer(f.router)
	t.Cleanup(server.Close)
	next := f.stream(server, secret, "")
	if err := f.store.Clients().Delete(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		kind, _, data := next()
		if kind == "end" {
			return
		}
		if kind != "cursor" {
			t.Errorf("it hears %s %s", kind, data)
		}
	}
	t.Error("the stream goes on")
}
