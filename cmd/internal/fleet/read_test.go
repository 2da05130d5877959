package fleet

import (
	"strings"
	"testing"
)

func TestFilesThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		csv     bool
		want    string
	}{
		"nothing":               {"", false, "the file is empty"},
		"nothing in a sheet":    {"", true, "the file is empty"},
		"no client":             {"[]", false, "names no client"},
		"a head alone":          {"client_id\n", true, "names no client"},
		"no list":               {"client_id: ci", false, "want a list of clients"},
		"a word":                {"ci", false, "want a list of clients"},
		"no YAML":               {"- a: [", false, "no YAML: line 1"},
		"two documents":         {"- client_id: ci\n---\n- client_id: cd\n", false, "more than one YAML document"},
		"no UTF-8":              {"client_id\n\xff", true, "not UTF-8"},
		"no client in the list": {"- client_id: ci\n- 7\n", false, "line 2: must be a client"},
		"no id":                 {"- client_name: x\n", false, "line 1: client_id: is missing"},
		"a list for an id":      {"- client_id: [ci]\n", false, "line 1: client_id: must be one value"},
		"a member twice":        {"- client_id: ci\n  owner: a\n  owner: b\n", false, "line 3: owner: is there more than once"},
		"a secret":              {"- client_id: ci\n  client_secret: mcp_cs_x\n", false, "line 2: client_secret: is not a member"},
		"a time":                {"- client_id: ci\n  expires_at: tomorrow\n", false, "line 2: expires_at: must be a time"},
		"an object":             {"- client_id: ci\n  metadata: text\n", false, "line 2: metadata: must be an object"},
		"an object in a sheet":  {"client_id,metadata\nci,[]\n", true, "line 2: metadata: must be an object"},
		"a map for a list":      {"- client_id: ci\n  audience: {a: b}\n", false, "line 2: audience: must be a list"},
		"too many cells":        {"client_id\nci,more\n", true, "line 2: has 2 cells"},
		"too few cells":         {"client_id,scope,owner\nci,ops\n", true, "line 2: has 2 cells, and the first line names 3"},
		"a quote":               {"client_id\nci\n\"cd\nce\n", true, "no CSV: line 3: a quote"},
		"a column twice":        {"client_id,owner,owner\nci,a,b\n", true, "line 1: owner: names two columns"},
		"no column of ids":      {"owner\na\nb\n", true, "line 1: client_id: is missing"},
		"the parent folder":     {"- client_id: ../../etc/passwd\n", false, "line 1: client_id: must be"},
		"this folder":           {"- client_id: .\n", false, "line 1: client_id: must be"},
	} {
		if _, err := Read(strings.NewReader(tt.content), tt.csv); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestNothingOutsideOfTheFolderIsTouched(t *testing.T) {
	secrets, err := OpenSecrets(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer secrets.Close()
	if err := secrets.write("../outside", []byte("x")); err == nil {
		t.Error("a file outside is written")
	}
}

// A mistake in the first line is told once, however many lines there are.
func TestAWrongColumnIsToldOnce(t *testing.T) {
	_, err := Read(strings.NewReader("client_id,clientname\n"+strings.Repeat("ci,x\n", 50)), true)
	if want := "mistakes, and nothing was changed:\n  line 1: clientname: is not a member of this object; did you mean \"client_name\"?"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
}
