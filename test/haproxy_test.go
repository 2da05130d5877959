package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// checkClearAnswersOnly: a proxy that judges the answers of verify itself takes anything unclear for an outage.
func checkClearAnswersOnly(t *testing.T, proxy debianProxy, program string) {
	t.Helper()
	const end = "Content-Length: 0\r\n\r\n"
	answers := map[string]string{ // by the token that gets them
		"":                  "HTTP/1.1 200 OK\r\n" + end, // while the test waits for the proxy
		"good":              "HTTP/1.1 204 No Content\r\nX-Auth-Subject: alice\r\n\r\n",
		"another-success":   "HTTP/1.1 200 OK\r\nX-Auth-Subject: alice\r\n" + end,
		"no-subject":        "HTTP/1.1 204 No Content\r\n\r\n",
		"two-subjects":      "HTTP/1.1 204 No Content\r\nX-Auth-Subject: alice\r\nX-Auth-Subject: bob\r\n\r\n",
		"two-issuers":       "HTTP/1.1 204 No Content\r\nX-Auth-Subject: alice\r\nX-Auth-Subject-Issuer: https://a\r\nX-Auth-Subject-Issuer: https://b\r\n\r\n",
		"early":             "HTTP/1.1 103 Early Hints\r\nX-Auth-Subject: alice\r\n\r\nHTTP/1.1 500 No\r\n" + end,
		"cut-off":           "HTTP/1.1 204 No Content\r\nX-Auth-Subject: alice\r\nX-Auth",
		"closed":            "",
		"garbage":           "220 mail.example.com ESMTP\r\n\r\n",
		"redirect":          "HTTP/1.1 302 Found\r\nLocation: /authed/mcp/oauth/verify\r\nX-Auth-Subject: alice\r\n" + end,
		"not-found":         "HTTP/1.1 404 Not Found\r\n" + end,
		"failure":           "HTTP/1.1 500 Internal Server Error\r\n" + end,
		"no-challenge":      "HTTP/1.1 401 Unauthorized\r\n" + end,
		"forbidden-by-whom": "HTTP/1.1 403 Forbidden\r\n" + end,
	}
	authorization := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, answers[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")])
	}))
	defer authorization.Close()
	reached := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header.Get("X-Auth-Subject") }))
	defer upstream.Close()

	front := freeAddress(t)
	log := proxy.start(t, program, front, authorization.Listener.Addr().String(), upstream.Listener.Addr().String())
	waitFor(t, "http://"+front+"/.well-known/oauth-authorization-server", log)
	for token := range answers {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+front+"/authed/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"Bearer " + token}, "X-Auth-Subject": {"admin"}}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		subject := "nobody"
		select {
		case subject = <-reached:
		default:
		}
		if token == "good" {
			if response.StatusCode != http.StatusOK || subject != "alice" {
				t.Errorf("a good token: %d, %s reaches the MCP server", response.StatusCode, subject)
			}
		} else if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || subject != "nobody" {
			t.Errorf("%s: %d %v, %s reaches the MCP server", token, response.StatusCode, response.Header, subject)
		}
	}
	if strings.Contains(log.String(), "Bearer") {
		t.Errorf("the log shows a token\n%s", log)
	}
}
