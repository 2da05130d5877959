package authserver

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What HTTP libraries would tidy up before they send it.
func TestOddRequestsAreAnsweredLikeOthers(t *testing.T) {
	s := runServer(t)
	for _, address := range []string{s.Public, strings.TrimPrefix(s.AdminURL, "http://")} {
		for _, line := range []string{
			"POST //authed/mcp/oauth/token", "POST /authed//mcp/oauth/token", "POST /authed/mcp/oauth/./token", "POST /x/../authed/mcp/oauth/token",
			"DELETE //admin/v1/clients/ci", "DELETE /admin/v1/../v1/clients/ci", "GET /readyz/", "OPTIONS *",
		} {
			connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(connection, line+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer "+s.adminKey+"\r\n\r\n")
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			var body map[string]any
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != http.StatusNotFound || response.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s at %s: %d, X-Request-Id %q, body %v (%v)", line, address, response.StatusCode, response.Header.Get("X-Request-Id"), body, err)
			}
			connection.Close()
		}
	}
}

// A caller that sends slowly, or much, does not hold a connection or memory for long.
func TestSlowAndLargeRequestsEnd(t *testing.T) {
	server := (&Instance{Log: slog.New(slog.DiscardHandler)}).newServer(nil)
	for name, bound := range map[string]time.Duration{
		"headers": server.ReadHeaderTimeout, "request": server.ReadTimeout, "answer": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if bound <= 0 || bound > 2*time.Minute {
			t.Errorf("%s may take %s", name, bound)
		}
	}
	s := runServer(t)
	for _, listener := range []string{s.oauth("token"), s.AdminURL + "/admin/v1/clients"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, listener, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Large", strings.Repeat("x", 64<<10))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s answers 64 KiB of headers with %d", listener, response.StatusCode)
		}
	}
	large := strings.NewReader("grant_type=client_credentials&x=" + strings.Repeat("x", 65<<10))
	response, err := http.Post(s.oauth("token"), "application/x-www-form-urlencoded", large)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of 65 KiB is answered with %d", response.StatusCode)
	}
}

// What callers send stands in a line of the log as a value, if at all, and never begins another line.
func TestCallersForgeNoLineOfTheLog(t *testing.T) {
	s := runServer(t, "LOG_LEVEL=debug")
	const forged = "\r\ntime=2026-11-26T00:00:00Z level=ERROR msg=forged"
	escaped := url.QueryEscape(forged)
	for _, c := range []struct{ method, address, body string }{
		{http.MethodPost, s.oauth("token"), "grant_type=client_credentials&client_id=" + escaped + "&client_secret=" + escaped},
		{http.MethodPost, s.oauth("introspect"), "token=" + escaped},
		{http.MethodGet, s.oauth("authorize") + "?client_id=" + escaped + "&redirect_uri=" + escaped + "&state=" + escaped, ""},
		{http.MethodGet, s.oauth("authorize") + "?client_id=" + url.QueryEscape("https://client.example/"+forged), ""},
		{http.MethodGet, s.oauth(url.PathEscape(forged)), ""},
		{http.MethodPost, s.oauth("login"), "username=" + escaped + "&password=" + escaped},
		{http.MethodDelete, s.AdminURL + "/admin/v1/clients/" + url.PathEscape(forged), ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, c.address, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(forged, forged)
		for name, value := range map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "User-Agent": `" level=ERROR msg=forged`, "Origin": `https://evil.example" level=ERROR msg=forged`,
			"X-Request-Id": "x level=ERROR msg=forged", "Traceparent": "00- level=ERROR msg=forged", "X-Forwarded-For": "level=ERROR msg=forged",
		} {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Errorf("%s %s is answered with %d", c.method, c.address, response.StatusCode)
		}
	}
	lines := 0
	for line := range strings.Lines(s.logged()) {
		lines++
		fields := strings.Fields(regexp.MustCompile(`"(\\.|[^"\\])*"`).ReplaceAllString(line, "text")) // what is quoted is a value
		if !strings.HasPrefix(line, "time=") || slices.Contains(fields, "msg=forged") || strings.Count(strings.Join(fields, " "), "level=") != 1 {
			t.Errorf("a caller has written %s", line)
		}
	}
	if lines < 7 {
		t.Errorf("%d lines, want one for each request", lines)
	}
}
