package resource

import (
	"net/http"
	"strings"
	"testing"
)

func TestPreflightIsAnsweredWithoutTokenAndNeverReachesTheHandler(t *testing.T) {
	handler := CORS(RequireBearer(known, "mcp:search")(never))
	for name, authorization := range map[string]string{"without a token": "", "even with a good token": "Bearer good"} {
		t.Run(name, func(t *testing.T) {
			r := request("OPTIONS", "/authed/mcp", "Origin", "https://inspector.example", "Access-Control-Request-Method", "POST")
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			resp := answerOf(handler, r)
			if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
			}
			for _, method := range []string{"GET", "POST", "DELETE"} {
				if !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), method) {
					t.Errorf("%s is not allowed", method)
				}
			}
			for _, header := range []string{"Authorization", "Content-Type", "Accept", "MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name", "Last-Event-ID"} {
				if !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), header) {
					t.Errorf("header %s is not allowed", header)
				}
			}
			if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies must not be let in")
			}
		})
	}
}

// A transport sends headers of its own, which nobody knows beforehand.
func TestAPreflightIsAllowedTheHeadersItAsksFor(t *testing.T) {
	metadata, err := NewMetadataHandler(Metadata{Resource: here, AuthorizationServers: []string{"https://auth.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.Handler{"endpoint": CORS(RequireBearer(known, "mcp:search")(never)), "metadata": metadata} {
		for _, asked := range []string{"x-tenant", "authorization,content-type,mcp-protocol-version,mcp-session-id,x-tenant", "x-b, x-a"} {
			resp := answerOf(handler, request("OPTIONS", "/authed/mcp", "Origin", "https://inspector.example", "Access-Control-Request-Method", "GET",
				"Access-Control-Request-Headers", asked))
			if got := resp.Header.Get("Access-Control-Allow-Headers"); got != asked || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.StatusCode != 204 {
				t.Errorf("%s: asked for %q, allowed %q, headers %v", name, asked, got, resp.Header)
			}
			if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies must not be let in")
			}
		}
	}
}

func TestOtherOptionsRequestNeedsAToken(t *testing.T) {
	handler := CORS(RequireBearer(known, "mcp:search")(never))
	if resp := answerOf(handler, request("OPTIONS", "/authed/mcp", "Origin", "https://inspector.example")); resp.StatusCode != 401 {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
}

func TestBrowserClientCanReadTheChallengeOfARefusal(t *testing.T) {
	handler := CORS(RequireBearer(known, "mcp:search")(never))
	resp := answerOf(handler, request("POST", "/authed/mcp", "Origin", "https://inspector.example"))
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" ||
		resp.Header.Get("Access-Control-Expose-Headers") != "WWW-Authenticate, Mcp-Session-Id" {
		t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
	}
}
