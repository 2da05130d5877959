package resource_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"fosite-mcp/handlers/resource"
)

// A service protected by a bearer token. The authorization server is played by
// a small handler that knows one token.
func Example() {
	const identifier = "https://docs.example.com/authed/mcp"
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("token") == "mcp_at_example" {
			fmt.Fprintf(w, `{"active":true,"client_id":"ci","scope":"mcp:search","aud":[%q]}`, identifier)
			return
		}
		fmt.Fprint(w, `{"active":false}`)
	}))
	defer auth.Close()

	verifier, err := resource.NewIntrospector(resource.Config{
		Endpoint: auth.URL, ClientID: "docs_search", ClientSecret: "from a file", Resource: identifier,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", resource.TokenFromContext(r.Context()).ClientID)
	})
	service := httptest.NewServer(resource.RequireBearer(verifier, "mcp:search")(hello))
	defer service.Close()

	for _, token := range []string{"", "mcp_at_example"} {
		req, _ := http.NewRequest("GET", service.URL, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			fmt.Printf("%d %s", resp.StatusCode, body)
		} else {
			fmt.Println(resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	// Output:
	// 401 Bearer resource_metadata="https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp", scope="mcp:search"
	// 200 hello ci
}

// An MCP server whose tool edit needs more than the others.
func ExampleToolScopes() {
	const identifier = "https://docs.example.com/authed/mcp"
	tools := resource.ToolScopes{"edit": {"docs:edit"}}
	guarded := resource.Bearer{Verifier: reader{}, Resource: identifier, Scopes: []string{"mcp:search"}, Tools: tools}.Wrap(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := resource.TokenFromContext(r.Context())
			for _, tool := range []string{"search", "edit"} { // what tools/list answers
				fmt.Println(tool, tools.Allows(token, tool))
			}
		}))
	for _, message := range []string{`{"method":"tools/list"}`, `{"method":"tools/call","params":{"name":"edit"}}`} {
		r := httptest.NewRequest(http.MethodPost, identifier, strings.NewReader(message))
		r.Header.Set("Authorization", "Bearer mcp_at_example")
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header()["Www-Authenticate"])
	}
	// Output:
	// search true
	// edit false
	// 200 []
	// 403 [Bearer resource_metadata="https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp", scope="mcp:search docs:edit", error="insufficient_scope", error_description="The access token lacks the scope docs:edit"]
}

// reader knows one token.
type reader struct{}

func (reader) Verify(context.Context, string) (*resource.Token, error) {
	return &resource.Token{ClientID: "ci", Scope: []string{"mcp:search"}}, nil
}
