package config

import (
	"strings"
	"testing"
)

func TestWhatASQLiteURLNames(t *testing.T) {
	for url, want := range map[string]string{ // "": refused
		"sqlite:x.db": "x.db", "sqlite:./x.db": "./x.db", "sqlite:../x.db": "../x.db", "sqlite:/srv/x.db": "/srv/x.db",
		"sqlite:///srv/x.db": "/srv/x.db", "sqlite:////srv/x.db": "/srv/x.db", "sqlite:/srv//x.db": "/srv//x.db",
		"sqlite:/srv/a b#c%20d?e/ä.db": "/srv/a b#c%20d?e/ä.db", "sqlite:what?": "what?", "sqlite:/srv/?a=b/x.db": "/srv/?a=b/x.db",
		"sqlite:%2Fx.db": "%2Fx.db", "sqlite:a:memory:b": "a:memory:b",
		"sqlite:": "", "sqlite://": "", "sqlite:///": "", "sqlite:/srv/": "", "sqlite://x.db": "", "sqlite://./x.db": "", "sqlite://srv/x.db": "",
		"sqlite://localhost/srv/x.db": "", "sqlite::memory:": "", "sqlite:file::memory:": "", "sqlite:file:x.db": "", "sqlite:x.db?mode=ro": "",
		"sqlite:/srv/x.db?cache=shared&_journal_mode=WAL": "", "sqlite:a\x00b": "", "SQLITE:x.db": "",
	} {
		u := DatabaseURL(url)
		got, ok := u.SQLitePath()
		if problem := u.problem(); want == "" && problem == "" || want != "" && (problem != "" || !ok || got != want) {
			t.Errorf("%s: %q, problem %q; want %q", url, got, problem, want)
		}
	}
	if problem := DatabaseURL("sqlite://./x.db").problem(); !strings.Contains(problem, "sqlite:./data.db") {
		t.Errorf("the problem does not say what to write: %s", problem)
	}
}

func TestTheDataFolderMayHaveAnyName(t *testing.T) {
	for _, folder := range []string{"/srv/a#b", "/srv/100%", "/srv/%41", "/srv/what?", "/srv/?a=b", "/srv/a b", "/srv/ä/日本", "c#"} {
		cfg, err := Load("", []string{"FOSITE_MCP_DATA_DIR=" + folder})
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		if path, _ := cfg.Database.URL.SQLitePath(); path != folder+"/fosite-mcp.db" {
			t.Errorf("%s: the database is at %s", folder, path)
		}
	}
}
