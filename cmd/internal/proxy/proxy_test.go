package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fosite-mcp/handlers/resource"
)

// verifier knows the token "good".
type verifier struct{}

func (verifier) Verify(_ context.Context, token string) (*resource.Token, error) {
	switch token {
	case "good":
		return &resource.Token{ID: "t1", ClientID: "ci", Subject: "zoë", SubjectIssuer: "https://idp.example.com", Scope: []string{"mcp:search"}}, nil
	case "outage":
		return nil, errors.New("the authorization server is down")
	}
	return nil, resource.ErrInactive
}

// start puts the proxy for a resource in front of a server and returns the proxy's URL.
func start(t *testing.T, identifier, upstreamPath string, upstream http.HandlerFunc) string {
	t.Helper()
	return startWith(t, verifier{}, identifier, upstreamPath, upstream)
}

func startWith(t *testing.T, v resource.Verifier, identifier, upstreamPath string, upstream http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL + upstreamPath)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Options{
		Verifier: v, Resource: identifier, Issuer: "https://auth.example.com", Scopes: []string{"mcp:search"},
		Upstream: target, BodyLimit: 1000, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	return front.URL
}

func send(t *testing.T, method, address, token, body string, header http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestPathsOfTheMCPServer(t *testing.T) {
	for upstream, want := range map[string]map[string]string{
		"":      {"/authed/mcp": "/", "/authed/mcp/a%2Fb": "/a%2Fb", "/authed/mcp?x=1": "/?x=1"},
		"/":     {"/authed/mcp": "/", "/authed/mcp/sse": "/sse"},
		"/mcp":  {"/authed/mcp": "/mcp", "/authed/mcp/sse": "/mcp/sse"},
		"/mcp/": {"/authed/mcp": "/mcp", "/authed/mcp/": "/mcp/"},
	} {
		front := start(t, "https://docs.example.com/authed/mcp", upstream, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
		for path, want := range want {
			response := send(t, http.MethodGet, front+path, "good", "", nil)
			if got, err := io.ReadAll(response.Body); err != nil || string(got) != want {
				t.Errorf("upstream %q, %s: %s, %v; want %s", upstream, path, got, err, want)
			}
		}
		for _, path := range []string{"/", "/authed", "/authed/mcpx", "/authed/mcp/../x", "/authed/mcp/a/%2e%2E/../x", "/authed/mcp/%2e%2e%2Fx", "/authed/mcp/..%5cx", "/authed/mcp/..;/x", "/authed/mcp/%252e%252e/x", "/other", "/authed%2Fmcp"} {
			if response := send(t, http.MethodGet, front+path, "good", "", nil); response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMovedPermanently {
				t.Errorf("upstream %q, %s: %d", upstream, path, response.StatusCode)
			}
		}
	}
}

func TestTheMCPServerLearnsWhoItIs(t *testing.T) {
	var seen http.Header
	front := start(t, "https://docs.example.com/mcp", "/mcp", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	send(t, http.MethodPost, front+"/mcp", "good", "{}", http.Header{
		"X-Auth-Subject": {"admin"}, "X_auth_subject": {"admin"}, "X.Auth.Subject": {"admin"}, "X-Auth-Subject-Issuer": {"https://evil.example.com"}, "X-Auth-Groups": {"staff"}, "Mcp-Session-Id": {"s"}, "X-Forwarded-For": {"10.0.0.1"},
	})
	for name, want := range map[string]string{
		"X-Auth-Subject": "zo%C3%AB", "X-Auth-Subject-Issuer": "https://idp.example.com", "X-Auth-Client-Id": "ci", "X-Auth-Scope": "mcp:search", "X-Auth-Token-Id": "t1",
		"Authorization": "", "X-Auth-Groups": "", "X_auth_subject": "", "X.auth.subject": "", "Mcp-Session-Id": "s", "X-Forwarded-For": "127.0.0.1",
	} {
		if got := strings.Join(seen[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Neither a trailer nor a header that Connection calls the caller's own changes who it is.
func TestNothingBesideTheHeadersSaysWhoItIs(t *testing.T) {
	var seen *http.Request
	front := start(t, "https://docs.example.com/mcp", "/mcp", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = r
	})
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(front, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "POST /mcp HTTP/1.1\r\nHost: docs.example.com\r\nAuthorization: Bearer good\r\nConnection: X-Auth-Client-Id, X-Auth-Subject\r\n"+
		"Transfer-Encoding: chunked\r\nTrailer: X-Auth-Subject\r\n\r\n2\r\n{}\r\n0\r\nX-Auth-Subject: admin\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || seen.Header.Get("X-Auth-Client-Id") != "ci" || seen.Header.Get("X-Auth-Subject") != "zo%C3%AB" || len(seen.Trailer) != 0 {
		t.Errorf("%d, headers %v, trailers %v", response.StatusCode, seen.Header, seen.Trailer)
	}
}

func TestRefusals(t *testing.T) {
	reached := false
	front := start(t, "https://docs.example.com/mcp", "/mcp", func(http.ResponseWriter, *http.Request) { reached = true })
	for _, test := range []struct {
		token  string
		body   string
		status int
	}{{"", "", 401}, {"bad", "", 401}, {"outage", "", 503}} {
		response := send(t, http.MethodPost, front+"/mcp", test.token, test.body, nil)
		if response.StatusCode != test.status || reached {
			t.Errorf("%q: %d, reached %v", test.token, response.StatusCode, reached)
		}
	}
	down := start(t, "https://docs.example.com/mcp", "/mcp", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if response := send(t, http.MethodPost, down+"/mcp", "good", "{}", nil); response.StatusCode != http.StatusBadGateway || response.Header.Get("Retry-After") == "" {
		t.Errorf("an MCP server that hangs up: %d", response.StatusCode)
	}
	large := start(t, "https://docs.example.com/mcp", "/mcp", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	if response := send(t, http.MethodPost, large+"/mcp", "good", strings.Repeat("x", 1001), nil); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("more than the limit: %d", response.StatusCode)
	}
}

// An upgraded connection would be a tunnel to the MCP server, in which nobody looks at paths, names and revocations.
func TestNoConnectionIsUpgraded(t *testing.T) {
	for _, protocol := range []string{"h2c", "websocket"} {
		front := start(t, "https://docs.example.com/mcp", "/mcp", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" && r.Header.Get("Http2-Settings") == "" {
				return
			}
			t.Errorf("the MCP server is asked for %s: %v", protocol, r.Header)
			w.WriteHeader(http.StatusSwitchingProtocols)
		})
		response := send(t, http.MethodGet, front+"/mcp", "good", "", http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {protocol}, "Http2-Settings": {"AAMAAABkAAQ"}})
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", protocol, response.StatusCode)
		}
	}
}

// What the MCP server has written arrives before it goes on.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	front := start(t, "https://docs.example.com/mcp", "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	response := send(t, http.MethodGet, front+"/mcp", "good", "", nil)
	event := make([]byte, len("data: x\n\n"))
	for range 3 {
		if _, err := io.ReadFull(response.Body, event); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}

// revocable knows one token, and looks at it often.
type revocable struct{ revoked atomic.Bool }

func (v *revocable) Verify(context.Context, string) (*resource.Token, error) {
	if v.revoked.Load() {
		return nil, resource.ErrInactive
	}
	return &resource.Token{ID: "t2", Scope: []string{"mcp:search"}, ExpiresAt: time.Now().Add(100 * time.Millisecond)}, nil
}

// A stream that is open, and a request that the MCP server has not answered yet, end with the token.
func TestWhatIsOpenEndsWithItsToken(t *testing.T) {
	v := &revocable{}
	front := startWith(t, v, "https://docs.example.com/mcp", "", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
		} else {
			v.revoked.Store(true)
		}
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
	stream := send(t, http.MethodGet, front+"/mcp", "soon", "", nil)
	slow, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	slow.Header.Set("Authorization", "Bearer soon")
	if response, err := http.DefaultClient.Do(slow); err == nil {
		response.Body.Close()
		t.Errorf("the request without an answer: %d, want a connection that ends", response.StatusCode)
	}
	if body, err := io.ReadAll(stream.Body); err == nil || string(body) != "data: x\n\n" {
		t.Errorf("the stream: %q, error %v, want one event and a connection that ends", body, err)
	}
}

// The MCP server's part of a request belongs to the trace of its caller.
func TestTheMCPServerLearnsOfTheTrace(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	told := ""
	front := start(t, "https://docs.example.com/mcp", "/mcp", func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Get("Traceparent") })
	send(t, "POST", front+"/mcp", "good", "{}", http.Header{"Traceparent": {trace}}).Body.Close()
	if told != trace {
		t.Errorf("it is told %q", told)
	}
}
