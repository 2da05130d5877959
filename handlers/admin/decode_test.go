package admin

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"

	"github.com/google/go-cmp/cmp"
)

// RFC 7396, appendix A.
func TestMergePatch(t *testing.T) {
	for _, test := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var target, patch, want any
		for i, into := range []*any{&target, &patch, &want} {
			if err := json.Unmarshal([]byte(test[i]), into); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, mergePatch(target, patch)); diff != "" {
			t.Errorf("%s patched with %s (-want +got):\n%s", test[0], test[1], diff)
		}
	}
}

func TestTheNearestNameIsSuggested(t *testing.T) {
	for name, want := range map[string]string{
		"client_nme": "client_name", "scopes": "scope", "redirect_uri": "redirect_uris", "grant_type": "grant_types", "Client_Name": "client_name",
		"tokenEndpointAuthMethod": "token_endpoint_auth_method", "color": "", "": "", "x": "", strings.Repeat("scope", 100): "",
	} {
		if got := nearest(name, memberNames()); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"client_name":"ci"}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":1,"a":2}`, `{"\ud800":1}`, `[]`, `{`, `{"a":1e999}`, "{\"\u0000\":\"\xff\"}",
		`{"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}}`, `{"redirect_uris":["http://[::1]:1/"],"metadata":{"~/":{"~1":[]}}}`,
	} {
		f.Add([]byte(seed))
	}
	a := &api{Server: Server{Scopes: []string{"mcp:search"}, DefaultScope: "mcp:search", Resources: []string{"https://a.example"}, Now: time.Now}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		object, err := decodeObject(raw)
		if err != nil {
			return
		}
		var lenient map[string]any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&lenient); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		if diff := cmp.Diff(lenient, object); diff != "" {
			t.Fatalf("read differently from encoding/json (-json +ours):\n%s", diff)
		}
		client, err := a.newClient(object)
		if err != nil {
			return
		}
		// What was accepted can be shown, stored and patched with itself.
		before, err := document(client)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{client.ID, client.Name, client.Owner} {
			if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
				t.Fatalf("%q was accepted, which PostgreSQL cannot store", value)
			}
		}
		delete(before, "client_id")
		again, err := a.changedClient(client, before)
		if err != nil {
			t.Fatalf("a client cannot be patched with itself: %v", err)
		}
		after, err := document(again)
		if err != nil {
			t.Fatal(err)
		}
		delete(after, "client_id")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("patching a client with itself changes it:\n%s", diff)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor(clients.Cursor{CreatedAt: 1, ID: "x"}))
	f.Add(encodeCursor(storage.TokenCursor{IssuedAt: 1, ID: "y"}))
	f.Add(encodeCursor(auditCursor{7}))
	f.Add("e30")
	f.Add("////")
	f.Fuzz(func(t *testing.T, text string) {
		var client clients.Cursor
		if decodeCursor(text, &client) && encodeCursor(client) != text {
			t.Fatal("a cursor can be written in two ways")
		}
		var token storage.TokenCursor
		decodeCursor(text, &token)
		var audit auditCursor
		decodeCursor(text, &audit)
	})
}

func FuzzPointer(f *testing.F) {
	for _, seed := range []string{"a", "~", "/", "~1", "~0~1//", "", "ü/~"} {
		f.Add(seed)
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	f.Fuzz(func(t *testing.T, name string) {
		escaped := escapePointer(name)
		if strings.Contains(escaped, "/") {
			t.Fatalf("%q becomes %q, which is more than one reference token", name, escaped)
		}
		if unescape.Replace(escaped) != name {
			t.Fatalf("%q becomes %q, which does not lead back", name, escaped)
		}
		nearest(name, memberNames())
	})
}
