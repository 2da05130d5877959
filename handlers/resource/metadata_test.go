package resource

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataDocument(t *testing.T) {
	handler, err := NewMetadataHandler(Metadata{
		Resource: here + "?a=1&b=2", Name: "Documentation", Scopes: []string{"mcp:search"},
		AuthorizationServers: []string{"https://auth.example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp := answerOf(handler, request("GET", "/.well-known/oauth-protected-resource/authed/mcp"))
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), `"`+here+`?a=1&b=2"`) {
		t.Errorf("the resource is not in the document byte for byte: %s", body)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"resource":                 here + "?a=1&b=2",
		"resource_name":            "Documentation",
		"authorization_servers":    []any{"https://auth.example.com"},
		"scopes_supported":         []any{"mcp:search"},
		"bearer_methods_supported": []any{"header"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func TestMetadataIsReadableFromAnyOriginAndOnlyReadable(t *testing.T) {
	handler, err := NewMetadataHandler(Metadata{Resource: here, AuthorizationServers: []string{"https://auth.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method      string
		status      int
		contentType string
	}{
		{"GET", 200, "application/json"},
		{"HEAD", 200, "application/json"},
		{"OPTIONS", 204, ""},
		{"POST", 405, "text/plain; charset=utf-8"},
		{"DELETE", 405, "text/plain; charset=utf-8"},
	} {
		t.Run(tc.method, func(t *testing.T) {
			resp := answerOf(handler, request(tc.method, "/"))
			if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != tc.contentType {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, resp.Header.Get("Content-Type"), tc.status, tc.contentType)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Error("a browser client could not read this")
			}
			if (tc.status == 405) != (resp.Header.Get("Allow") != "" && tc.method != "OPTIONS") {
				t.Errorf("Allow %q", resp.Header.Get("Allow"))
			}
		})
	}
}

func TestMetadataThatWouldMisleadClientsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    Metadata
		want string
	}{
		{"no resource", Metadata{AuthorizationServers: []string{"https://a.example"}}, "resource"},
		{"no authorization server", Metadata{Resource: here}, "authorization server"},
		{"authorization server that is no URL", Metadata{Resource: here, AuthorizationServers: []string{"javascript:alert(1)"}}, "authorization server"},
		{"bad scope", Metadata{Resource: here, AuthorizationServers: []string{"https://a.example"}, Scopes: []string{"a b"}}, "scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := NewMetadataHandler(tc.m); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one about %q", err, tc.want)
			}
		})
	}
}

// What docs/protect.md shows is what this package publishes, at the path that it says.
func TestTheDocumentShowsMetadataAsTheyAre(t *testing.T) {
	page, err := os.ReadFile("../../docs/protect.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	shown, _, _ := strings.Cut(rest, "```")
	var m struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if err := json.Unmarshal([]byte(shown), &m); err != nil {
		t.Fatalf("%s: %v", shown, err)
	}
	published, err := Metadata{Resource: m.Resource, AuthorizationServers: m.Servers, Scopes: m.Scopes}.document()
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(published, &want), json.Unmarshal([]byte(shown), &got)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the page shows %s, and published is %s (%v)", shown, published, err)
	}
	path, err := MetadataPath(m.Resource)
	if err != nil || !strings.Contains(string(page), "`https://docs.example.com"+path+"`") {
		t.Errorf("the page does not name the path %s (%v)", path, err)
	}
}
