package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

var editorial = ToolScopes{"edit": {"docs:edit"}, "publish": {"docs:edit", "docs:publish"}, "delete": {"docs:admin"}}

// scopesInToken accepts every token: its scopes are what it says, with dots for spaces.
var scopesInToken = verifierFunc(func(token string) (*Token, error) {
	return &Token{ClientID: "c1", Scope: strings.Split(strings.ReplaceAll(token, "-", ":"), ".")}, nil
})

func TestCallsOfToolsNeedTheirScopes(t *testing.T) {
	call := func(tool string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{"name":"x","method":"y"}}}`
	}
	for _, tc := range []struct {
		name, token, body string
		status            int
		scope             string // of the challenge
	}{
		{"a tool that needs nothing more", "mcp-search", call("search"), 200, ""},
		{"a tool that is not known", "mcp-search", call("nothing"), 200, ""},
		{"its scope", "mcp-search.docs-edit", call("edit"), 200, ""},
		{"not its scope", "mcp-search", call("edit"), 403, "mcp:search docs:edit"},
		{"one of its two scopes", "mcp-search.docs-edit", call("publish"), 403, "mcp:search docs:edit docs:publish"},
		{"the scope of another tool, which is kept", "mcp-search.docs-admin.profile", call("edit"), 403, "mcp:search docs:edit docs:admin"},
		{"no scope at all", "profile", call("edit"), 403, "mcp:search"},
		{"a list of tools", "mcp-search", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 200, ""},
		{"an answer to the server", "mcp-search", `{"jsonrpc":"2.0","id":1,"result":{"name":"edit"}}`, 200, ""},
		{"a batch of good calls", "mcp-search", "[" + call("search") + "," + call("search") + "]", 200, ""},
		{"a batch with a bad one", "mcp-search", " \n[" + call("search") + "," + call("edit") + "]", 403, "mcp:search docs:edit"},

		// What readers of JSON do not agree about is refused.
		{"two methods", "mcp-search", `{"method":"tools/call","method":"ping","params":{"name":"edit"}}`, 400, ""},
		{"a method in capitals", "mcp-search", `{"Method":"tools/call","params":{"name":"edit"}}`, 400, ""},
		{"a method in other letters", "mcp-search", `{"method":"ping","Method":"tools/call","params":{"name":"edit"}}`, 400, ""},
		{"parameters with a long s", "mcp-search", `{"method":"tools/call","paramſ":{"name":"edit"}}`, 400, ""},
		{"two parameters", "mcp-search", `{"method":"tools/call","params":{"name":"search"},"params":{"name":"edit"}}`, 400, ""},
		{"two names", "mcp-search", `{"method":"tools/call","params":{"name":"search","Name":"edit"}}`, 400, ""},
		{"an escaped name", "mcp-search", `{"method":"tools\/call","params":{"n\u0061me":"\u0065dit"}}`, 403, "mcp:search docs:edit"},
		{"no name", "mcp-search", `{"method":"tools/call","params":{}}`, 400, ""},
		{"a name that is no text", "mcp-search", `{"method":"tools/call","params":{"name":["edit"]}}`, 400, ""},
		{"a method that is no text", "mcp-search", `{"method":["tools/call"],"params":{"name":"edit"}}`, 400, ""},
		{"no parameters", "mcp-search", `{"method":"tools/call"}`, 400, ""},
		{"two messages", "mcp-search", `{"method":"ping"}` + call("edit"), 400, ""},
		{"a comment", "mcp-search", `/* */` + call("edit"), 400, ""},
		{"a NUL in a name", "mcp-search", `{"method\u0000":"tools/call","params":{"name":"edit"}}`, 400, ""},
		{"a deep value", "mcp-search", `{"a":` + strings.Repeat("[", 4_000_000), 400, ""},
		{"a deep batch", "mcp-search", strings.Repeat("[", 4_000_000), 400, ""},
		{"a batch of 100", "mcp-search", "[" + strings.Repeat("{},", 99) + "{}]", 200, ""},
		{"a batch of more", "mcp-search", "[" + strings.Repeat("{},", 100) + "{}]", 413, ""},
		{"a batch of which 100 are read", "mcp-search", "[" + strings.Repeat("{},", 100) + "\x00", 413, ""},
		{"a batch and more", "mcp-search", "[{}]{}", 400, ""},
		{"a batch with a comma at its end", "mcp-search", "[{},]", 400, ""},
		{"half a batch", "mcp-search", "[{}", 400, ""},
		{"5000 members", "mcp-search", `{"params":` + object(5000) + "}", 200, ""},
		{"more members", "mcp-search", `{"params":` + object(5001) + "}", 413, ""},
		{"members of which 5000 are read", "mcp-search", strings.TrimSuffix(object(5001), "}") + "\x00", 413, ""},
		{"many small objects", "mcp-search", `{"params":[` + strings.Repeat(`{"a":1},`, 20000) + `{}]}`, 200, ""},
		{"half a message", "mcp-search", `{"method":"tools/call"`, 400, ""},
		{"nothing", "mcp-search", "", 400, ""},
		{"too much", "mcp-search", strings.Repeat(" ", maxCall) + call("search"), 413, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got string
			guarded := Bearer{Verifier: scopesInToken, Scopes: []string{"mcp:search"}, Tools: editorial}.Wrap(
				http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					got = string(body)
				}))
			r := httptest.NewRequest(http.MethodPost, here, struct{ io.Reader }{strings.NewReader(tc.body)}) // of unknown length
			r.Header.Set("Authorization", "Bearer "+tc.token)
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			if w.Code != tc.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if tc.status == 200 && got != tc.body {
				t.Errorf("the handler got %q, want what was sent", got)
			}
			challenge := w.Header().Get("WWW-Authenticate")
			if want := `, scope="` + tc.scope + `", error="insufficient_scope"`; tc.scope != "" && !strings.Contains(challenge, want) || tc.scope == "" && challenge != "" {
				t.Errorf("challenge %s, want the scopes %q", challenge, tc.scope)
			}
		})
	}
}

// object is JSON with so many members.
func object(members int) string {
	text := new(strings.Builder)
	for i := range members {
		fmt.Fprintf(text, `,"%x":1`, i)
	}
	return "{" + strings.TrimPrefix(text.String(), ",") + "}"
}

func TestWhatReadersMayReadInAnotherWayIsRefused(t *testing.T) {
	const listTools = `{"method":"tools/list"}`
	for _, tc := range []struct {
		name, method string
		header       http.Header
		status       int
	}{
		{"compressed", "POST", http.Header{"Content-Encoding": {"gzip"}}, 415},
		{"compressed, in a second header", "POST", http.Header{"Content-Encoding": {"", "deflate"}}, 415},
		{"UTF-7", "POST", http.Header{"Content-Type": {"application/json; charset=utf-7"}}, 415},
		{"two types", "POST", http.Header{"Content-Type": {"application/json", "application/json; charset=utf-7"}}, 415},
		{"no type that can be read", "POST", http.Header{"Content-Type": {"application/json; charset"}}, 415},
		{"UTF-8", "POST", http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, 200},
		{"no charset", "POST", http.Header{"Content-Type": {"application/json"}}, 200},
		{"PUT, which is looked into", "PUT", nil, 200},
		{"GET", "GET", http.Header{"Content-Encoding": {"gzip"}}, 200},
		{"GET that stands for POST", "GET", http.Header{"X-Http-Method-Override": {"POST"}, "Content-Encoding": {"gzip"}}, 415},
	} {
		guarded := Bearer{Verifier: scopesInToken, Tools: editorial}.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest(tc.method, here, strings.NewReader(listTools))
		for name, values := range tc.header {
			r.Header[name] = values
		}
		r.Header.Set("Authorization", "Bearer mcp-search")
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s: %d %s, want %d", tc.name, w.Code, w.Body, tc.status)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "QUERY"} {
		guarded := Bearer{Verifier: scopesInToken, Tools: editorial}.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got through") }))
		r := httptest.NewRequest(method, here, strings.NewReader(`{"method":"tools/call","params":{"name":"edit"}}`))
		r.Header.Set("Authorization", "Bearer mcp-search")
		guarded.ServeHTTP(httptest.NewRecorder(), r)
	}
	if _, err := (Bearer{Verifier: scopesInToken, Tools: ToolScopes{"edit": nil}}).gate(); err == nil {
		t.Error("a tool without a scope is taken")
	}
}

// A stranger's body is not read.
func TestABodyIsReadForAGoodTokenOnly(t *testing.T) {
	read := false
	guarded := Bearer{Verifier: known, Tools: editorial}.Wrap(http.NotFoundHandler())
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, here, readerFunc(func([]byte) (int, error) { read = true; return 0, io.EOF }))
	r.Header.Set("Authorization", "Bearer stale")
	guarded.ServeHTTP(httptest.NewRecorder(), r)
	if read {
		t.Error("the body of a request with a bad token was read")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestToolsOfAToken(t *testing.T) {
	token := &Token{Scope: []string{"docs:edit"}}
	for tool, want := range map[string]bool{"search": true, "edit": true, "publish": false, "delete": false} {
		if got := editorial.Allows(token, tool); got != want {
			t.Errorf("%s: %v, want %v", tool, got, want)
		}
		if editorial.Allows(nil, tool) {
			t.Errorf("%s is allowed without a token", tool)
		}
	}
}

func FuzzCalledTools(f *testing.F) {
	f.Add([]byte(`{"method":"tools/call","params":{"name":"edit"}}`))
	f.Add([]byte(`[{"method":"tools/call","params":{"name":"a","Name":"b"}},{}]`))
	f.Add([]byte(`[{"method":"tools/call","params":{"name":"a"}},{"method":"ping"}, {"params":{"name":"b"},"method":"tools/call"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		tools, err := calledTools(body)
		if err != nil {
			return
		}
		// Another reader, which takes the last of two members and does not tell Name from name, sees no other tool.
		type message struct {
			Method string
			Params struct{ Name string }
		}
		var one message
		var several []message
		if json.Unmarshal(body, &one) == nil {
			several = []message{one}
		} else if json.Unmarshal(body, &several) != nil {
			return
		}
		var other []string
		for _, m := range several {
			if m.Method == "tools/call" {
				other = append(other, m.Params.Name)
			}
		}
		if !slices.Equal(other, tools) {
			t.Errorf("%q calls %q, found %q", body, other, tools)
		}
	})
}
