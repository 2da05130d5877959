package search

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/handlers/resource"
)

func TestGroupsThatAPageIsFor(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string // nil: everybody
		left       bool     // left out
	}{
		{"no front matter", "# Page\n", nil, false},
		{"front matter without groups", "---\ntitle: x\n---\n", nil, false},
		{"one", "---\ngroups: staff\n---\n", []string{"staff"}, false},
		{"several", "---\ngroups: staff, 'the board'\n---\n", []string{"staff", "the board"}, false},
		{"in brackets", "---\ngroups: [\"staff\", board]\n---\n", []string{"staff", "board"}, false},
		{"as a list", "---\ngroups:\n  - staff\n- board\ntitle: x\n- none\n---\n", []string{"staff", "board"}, false},
		{"another list", "---\ntags:\n- staff\n---\n", nil, false},
		{"in capitals, with CRLF and spaces", "--- \r\nGroups : staff \r\n---  \r\n", []string{"staff"}, false},
		{"lines that end with CR", "---\rgroups: staff\r---\r", []string{"staff"}, false},
		{"behind empty lines", "\n \n---\ngroups: staff\n---\n", []string{"staff"}, false},
		{"none is named", "---\ngroups:\n---\n", []string{}, false},
		{"a comment", "---\n# groups: board\ngroups: staff\n---\n", []string{"staff"}, false},
		{"a long value", "---\nnote: |\n  one\n  - two\ngroups: staff\n---\n", []string{"staff"}, false},
		{"a rule", "-----\ntext\n", nil, false},

		// What is not understood may be meant for few.
		{"no end", "---\ngroups: staff\n# Page\n", nil, true},
		{"an end that is indented", "---\nnote: |\n  ---\ngroups: staff\n", nil, true},
		{"in quotes", "---\n\"groups\": staff\n---\n", nil, true},
		{"in single quotes", "---\n'groups': [staff]\n---\n", nil, true},
		{"in braces", "---\n{groups: [staff]}\n---\n", nil, true},
		{"as a long key", "---\n? groups\n: staff\n---\n", nil, true},
		{"with a tag", "---\n!!str groups: staff\n---\n", nil, true},
		{"in a block with a comment", "--- # page\ngroups: staff\n---\n", nil, true},
		{"in TOML", "+++\ngroups = ['staff']\n+++\n", nil, true},
		{"in UTF-16", "-\x00-\x00-\x00\n\x00g\x00", nil, true},
		{"one letter short", "---\ngroup: staff\n---\n", nil, true},
		{"twice", "---\ngroups: staff\ngroups: everyone\n---\n", nil, true},
		{"in another member", "---\nnote: |\n  groups: everyone\n---\n", nil, true},
		{"indented", "---\ntitle: x\n groups: staff\n---\n", nil, true},
		{"as a long text", "---\ngroups: |\n  staff\n---\n", nil, true},
		{"behind a byte order mark", "\ufeff---\ngroups: staff\n---\n", []string{"staff"}, false},
		{"further down", "# Page\n---\ngroups: staff\n---\n", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, why := parsePage("page.md", tc.text)
			if diff := cmp.Diff(tc.want, p.groups); diff != "" && !tc.left || tc.left != (why != "") {
				t.Errorf("left out: %q; groups (-want +got):\n%s", why, diff)
			}
		})
	}
}

func TestAPageIsSeenByItsGroupsAlone(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearchOf(t, auth, Service{Pages: load(t, map[string]string{
		"all.md":    "# Salaries for all\nsalary",
		"staff.md":  "---\ngroups: staff, board\n---\n# Salaries of staff\nsalary",
		"nobody.md": "---\ngroups:\n---\n# Salaries of nobody\nsalary",
		"open.md":   "---\ngroups: staff\n# Salaries without an end\nsalary",
	})})
	for token, groups := range map[string][]string{"machine": nil, "board": {"x", "board"}, "other": {"sta", "Staff"}} {
		auth.issue(token, endpoint, Scope, "search", "get_page")
		auth.tokens[token]["groups"] = groups
	}
	for token, want := range map[string][]string{"machine": {"all.md"}, "other": {"all.md"}, "board": {"all.md", "staff.md"}} {
		session, _ := mustConnect(t, endpoint, token)
		found, err := call(t, session, "search", map[string]any{"query": "salary", "limit": 2})
		if err != nil || found.IsError {
			t.Fatal(err)
		}
		for _, path := range []string{"all.md", "staff.md", "nobody.md", "open.md"} {
			visible := strings.Contains(textOf(t, found), path)
			page, err := call(t, session, "get_page", map[string]any{"path": path})
			if err != nil {
				t.Fatal(err)
			}
			if seen := strings.Contains(strings.Join(want, " "), path); visible != seen || page.IsError == seen {
				t.Errorf("%s, %s: found %v, readable %v; want %v", token, path, visible, !page.IsError, seen)
			}
			if page.IsError && textOf(t, page) != `there is no page "`+path+`": use a path that search returned` {
				t.Errorf("%s, %s: %s, want what is said of a page that there is not", token, path, textOf(t, page))
			}
		}
	}
}

func TestAToolMayNeedAScopeOfItsOwn(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearchOf(t, auth, Service{Pages: load(t, library), ToolScopes: map[string][]string{"get_page": {"docs:read"}}})
	auth.issue("less", endpoint, Scope, "search", "get_page")
	auth.issue("more", endpoint, Scope+" docs:read", "search", "get_page")
	session, _ := mustConnect(t, endpoint, "less")
	if diff := cmp.Diff([]string{"search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if _, err := call(t, session, "get_page", map[string]any{"path": "tokens.md"}); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("get_page: %v, want 403", err)
	}
	session, _ = mustConnect(t, endpoint, "more")
	if result, err := call(t, session, "get_page", map[string]any{"path": "tokens.md"}); err != nil || result.IsError {
		t.Errorf("get_page with its scope: %v", err)
	}
	if diff := cmp.Diff([]string{"get_page", "search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
}

func TestAScopeOfAToolThatThereIsNotIsAMistake(t *testing.T) {
	s := Service{Pages: load(t, library), Verifier: (*resource.Introspector)(nil), Resource: "https://a.example/mcp", AuthorizationServer: "https://b.example",
		ToolScopes: map[string][]string{"getpage": {"docs:read"}}}
	if _, err := s.Handler(); err == nil || !strings.Contains(err.Error(), `no tool "getpage"`) {
		t.Errorf("%v, want an error that names the tool", err)
	}
}
