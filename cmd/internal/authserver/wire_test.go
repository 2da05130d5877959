package authserver

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
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
