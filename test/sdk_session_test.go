package test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/resource"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A session is begun with one token, and goes on with another. A tool never sees the first one then.
func TestASessionOfTheSDKHasNotGotTheRightsOfItsFirstToken(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	verifier := tokenTable{
		"first":  {ID: "first", Subject: "ada", Scope: []string{"mcp:search", "docs:edit"}, ExpiresAt: soon},
		"second": {ID: "second", Subject: "ada", Scope: []string{"mcp:search"}, ExpiresAt: soon},
		"other":  {ID: "other", Subject: "bob", Scope: []string{"mcp:search"}, ExpiresAt: soon},
	}
	ours := resource.Bearer{Verifier: verifier, Resource: "https://docs.example.com/mcp", Scopes: []string{"mcp:search"}}.Wrap
	theirs := auth.RequireBearerToken(sdkVerifier(verifier), &auth.RequireBearerTokenOptions{Scopes: []string{"mcp:search"}})
	for _, tc := range []struct {
		name      string
		guard     func(http.Handler) http.Handler
		stateless bool
		want      map[string]string
	}{
		{"without sessions", ours, true, map[string]string{"first": "context first", "second": "context second", "other": "context other"}},
		{"with sessions", ours, false, map[string]string{"first": "context nobody", "second": "context nobody", "other": "context nobody"}},
		{"with sessions and the middleware of the SDK", theirs, false, map[string]string{"first": "context nobody, call first", "second": "context nobody, call second", "other": "session user mismatch"}},
	} {
		handler := tc.guard(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return whoami() },
			&mcp.StreamableHTTPOptions{JSONResponse: true, Stateless: tc.stateless}))
		session := ""
		post := func(token, body string) string {
			r, w := httptest.NewRequest(http.MethodPost, "https://docs.example.com/mcp", strings.NewReader(body)), httptest.NewRecorder()
			r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			if session != "" {
				r.Header.Set("Mcp-Session-Id", session)
			}
			handler.ServeHTTP(w, r)
			session = cmp.Or(session, w.Header().Get("Mcp-Session-Id"))
			return w.Body.String()
		}
		post("first", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		post("first", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		if (session == "") != tc.stateless {
			t.Fatalf("%s: the session is %q", tc.name, session)
		}
		for token, want := range tc.want {
			if got := post(token, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`); !strings.Contains(got, want) {
				t.Errorf("%s, %s: %s, want %q", tc.name, token, got, want)
			}
		}
	}
}

// whoami is an MCP server whose tool says whose token it finds.
func whoami() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "whoami", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, func(ctx context.Context, call *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		text := "context nobody"
		if token := resource.TokenFromContext(ctx); token != nil {
			text = "context " + token.ID
		}
		if info := call.Extra.TokenInfo; info != nil {
			text += fmt.Sprint(", call ", info.Extra["token"].(*resource.Token).ID)
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	})
	return server
}
