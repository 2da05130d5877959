package cmd

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// keyItem is a row of key list --json.
type keyItem struct {
	ID    string `json:"kid"`
	State string `json:"state"`
	From  string `json:"may_sign_from"`
}

func TestKeysAreRotatedAtTheShellWhileTheServerRuns(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	at, stop, err := serveForTest(data, "FOSITE_MCP_TOKENS_FORMAT=jwt")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	environ := []string{"FOSITE_MCP_TOKENS_FORMAT=jwt", "FOSITE_MCP_DATA_DIR=" + data, "FOSITE_MCP_PUBLIC_URL=" + at.PublicURL}
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, messages bytes.Buffer
		if code := Main(args, environ, strings.NewReader(""), &out, &messages); code != want {
			t.Fatalf("%v: exit code %d, want %d: %s%s", args, code, want, &out, &messages)
		}
		return out.String(), messages.String()
	}
	keys := func() map[string]keyItem {
		t.Helper()
		stdout, _ := run(exitOK, "key", "list", "--json")
		var list struct{ Items []keyItem }
		if err := json.Unmarshal([]byte(stdout), &list); err != nil {
			t.Fatalf("%s: %v", stdout, err)
		}
		byState := map[string]keyItem{}
		for _, item := range list.Items {
			byState[item.State] = item
		}
		if len(list.Items) != 2 || len(byState) != 2 {
			t.Fatalf("keys %s, want a next one and a current one", stdout)
		}
		return byState
	}

	before := keys()
	if stdout, _ := run(exitOK, "key", "list"); !strings.Contains(stdout, before["current"].ID) || strings.Contains(stdout, "private") {
		t.Errorf("key list: %s", stdout)
	}
	if _, stderr := run(exitFailed, "key", "rotate"); !strings.Contains(stderr, before["next"].From[:len("2006-01-02T15:04")]) || !strings.Contains(stderr, "--now") {
		t.Errorf("an early rotation says %q, want when it may come: %s", stderr, before["next"].From)
	}
	if _, stderr := run(exitUsage, "key", "rotate", "--now"); !strings.Contains(stderr, "is refused from now on") || !strings.Contains(stderr, "--yes") {
		t.Errorf("without a confirmation: %q", stderr)
	}
	if _, stderr := run(exitNotFound, "key", "rotate", "--now", "--key", "nobody", "--yes"); !strings.Contains(stderr, "there is no such key") {
		t.Errorf("a key that there is not: %q", stderr)
	}
	if _, stderr := run(exitOK, "key", "rotate", "--now", "--yes"); !strings.Contains(stderr, before["current"].ID) {
		t.Errorf("a leaked key: %q", stderr)
	}
	after := keys()
	if after["current"].ID != before["next"].ID || after["next"].ID == before["next"].ID {
		t.Errorf("before %v, after %v", before, after)
	}
	if stdout, _ := run(exitOK, "key", "rotate", "--now", "--key", after["next"].ID, "--yes", "--json"); !strings.Contains(stdout, `"discarded":true`) {
		t.Errorf("a next key that has leaked: %s", stdout)
	}

	// A shell without the server's secret makes none: nobody could use what is sealed with it.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	environ = append(environ, "FOSITE_MCP_DATA_DIR="+elsewhere, "FOSITE_MCP_DATABASE_URL=sqlite:"+filepath.Join(data, "fosite-mcp.db"))
	if _, stderr := run(exitFailed, "key", "rotate", "--now", "--yes"); !strings.Contains(stderr, "system secret") {
		t.Errorf("without the secret: %q", stderr)
	}
	if found, _ := filepath.Glob(filepath.Join(elsewhere, "*")); len(found) > 0 {
		t.Errorf("it made %v", found)
	}

	events := 0
	stdout, _ := run(exitOK, "audit", "--json", "--all", "--admin-url", at.AdminURL, "--admin-key-file", at.AdminKey)
	for _, action := range []string{"signing_key.created", "signing_key.discarded"} {
		events += strings.Count(stdout, `"action":"`+action+`"`)
	}
	if events != 4 || !strings.Contains(stdout, before["current"].ID) {
		t.Errorf("%d audit events about keys, want 4: %s", events, stdout)
	}
	if table, _ := run(exitOK, "audit", "--action", "signing_key.discarded", "--admin-url", at.AdminURL, "--admin-key-file", at.AdminKey); !strings.Contains(table, before["current"].ID) {
		t.Errorf("the audit log does not name the key: %s", table)
	}
}
