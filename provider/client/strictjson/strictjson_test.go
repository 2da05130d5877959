package strictjson

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/provider/client/spelling"
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
		if diff := cmp.Diff(want, Merge(target, patch)); diff != "" {
			t.Errorf("%s patched with %s (-want +got):\n%s", test[0], test[1], diff)
		}
	}
}

func FuzzPointer(f *testing.F) {
	for _, seed := range []string{"a", "~", "/", "~1", "~0~1//", "", "ü/~"} {
		f.Add(seed)
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	f.Fuzz(func(t *testing.T, name string) {
		escaped := Escape(name)
		if strings.Contains(escaped, "/") {
			t.Fatalf("%q becomes %q, which is more than one reference token", name, escaped)
		}
		if unescape.Replace(escaped) != name {
			t.Fatalf("%q becomes %q, which does not lead back", name, escaped)
		}
		spelling.Nearest(name, []string{"client_name", "scope"})
	})
}
