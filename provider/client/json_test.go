package client

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/provider/client/spelling"
	"fosite-mcp/provider/client/strictjson"
)

func TestTheNearestNameIsSuggested(t *testing.T) {
	for name, want := range map[string]string{
		"client_nme": "client_name", "scopes": "scope", "redirect_uri": "redirect_uris", "grant_type": "grant_types", "Client_Name": "client_name",
		"tokenEndpointAuthMethod": "token_endpoint_auth_method", "color": "", "": "", "x": "", strings.Repeat("scope", 100): "",
	} {
		if got := spelling.Nearest(name, MemberNames()); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestEveryFieldOfAClientHasAMember(t *testing.T) {
	values := map[Kind]any{
		Text: "x", Words: "x", List: []any{"x"}, Seconds: json.Number("60"), Time: "2026-01-31T12:00:00Z",
		Object: map[string]any{"x": "y"}, Keys: map[string]any{"keys": []any{}}, Flag: true,
	}
	c := new(Client)
	for _, member := range clientMembers {
		var m strictjson.Mistakes
		if member.read(c, strictjson.Value{JSON: values[member.kind], Pointer: "/" + member.name, Mistakes: &m}); m != nil {
			t.Errorf("%s: %v", member.name, m)
		}
		if shown, err := json.Marshal(member.show(c)); err != nil || string(shown) == "null" {
			t.Errorf("%s is shown as %s, %v", member.name, shown, err)
		}
	}
	unwritable := []string{"Secrets", "Epoch", "RevokedBefore", "Version", "CreatedAt", "UpdatedAt", "LastUsedAt", "RegisteredBy", "RegistrationTokenHash", "Trust"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Client]()) {
		if field.IsExported() && reflect.ValueOf(c).Elem().FieldByIndex(field.Index).IsZero() != slices.Contains(unwritable, field.Name) {
			t.Errorf("%s: no member writes it, or one that should not", field.Name)
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
	rules := Rules{Scopes: []string{"mcp:search"}, DefaultScope: "mcp:search", Resources: []string{"https://a.example"}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		object, err := strictjson.Decode(raw)
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
		client, err := rules.New(object)
		if err != nil {
			return
		}
		// What was accepted can be shown, stored and patched with itself.
		before, err := client.document()
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{client.ID, client.Name, client.Owner} {
			if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
				t.Fatalf("%q was accepted, which PostgreSQL cannot store", value)
			}
		}
		delete(before, "client_id")
		again, err := rules.Change(client, before)
		if err != nil {
			t.Fatalf("a client cannot be patched with itself: %v", err)
		}
		after, err := again.document()
		if err != nil {
			t.Fatal(err)
		}
		delete(after, "client_id")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("patching a client with itself changes it:\n%s", diff)
		}
	})
}
