package cmd

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoctorFailsWhenThereIsAProblem(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	run := func(want int, environ []string, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		environ = append(environ, "FOSITE_MCP_DATA_DIR="+folder)
		if code := Main(append([]string{"doctor"}, args...), environ, strings.NewReader(""), &out, &errs); code != want {
			t.Errorf("%v exits with %d, want %d\n%s%s", args, code, want, &out, &errs)
		}
		return out.String(), errs.String()
	}
	if out, errs := run(exitOK, nil, "--offline"); !strings.Contains(out, "\nwarning  database       there is no database yet") || errs != "" {
		t.Errorf("a warning alone:\n%s%s", out, errs)
	}
	bad := []string{"FOSITE_MCP_DATABASE_URL=sqlite:" + filepath.Dir(folder)}
	if out, errs := run(exitFailed, bad, "--offline"); !strings.Contains(out, "problem  database") || !strings.Contains(out, "Remedy: start the database") || errs != "fosite-mcp: problems: 1\n" {
		t.Errorf("a problem:\n%s%s", out, errs)
	}
	out, _ := run(exitFailed, []string{"FOSITE_MCP_TOKENS_FORMAT=x"}, "--json")
	var answer struct {
		Status string
		Items  []struct{ Check, Status, Found, Remedy string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Status != "problem" || len(answer.Items) != 1 || answer.Items[0].Check != "configuration" {
		t.Errorf("%v: %s", err, out)
	}
}
