package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

func TestScopesIncludeWhatTheirScopesInclude(t *testing.T) {
	r := Resources{Includes: map[string][]string{"admin": {"edit", "audit"}, "edit": {"read"}, "audit": {"read"}, "loop": {"loop2"}, "loop2": {"loop"}}}
	for scopes, want := range map[string]string{"": "", "read": "read", "admin": "admin edit audit read", "read admin": "read admin edit audit", "loop": "loop loop2", "other": "other"} {
		if got := strings.Join(r.included(strings.Fields(scopes)), " "); got != want {
			t.Errorf("%q includes %q, want %q", scopes, got, want)
		}
	}
	if !r.ScopeStrategy([]string{"admin"}, "read") || r.ScopeStrategy([]string{"read"}, "admin") || r.ScopeStrategy([]string{"admin"}, "rea") {
		t.Error("the strategy takes scopes that are not included, or refuses some that are")
	}
}

func TestWhatIsLeftOfATokenToday(t *testing.T) {
	const gone = "https://gone.example.com/mcp"
	known := Resources{Known: []string{docs, wiki}, Scopes: map[string][]string{docs: {"docs:read", "docs:admin"}, wiki: {"wiki:read"}}}
	client := func(scopes []string, audience ...string) fosite.Client {
		return &fosite.DefaultClient{ID: "ci", Scopes: scopes, Audience: audience}
	}
	all := []string{"docs:read", "docs:admin", "wiki:read"}
	for name, c := range map[string]struct {
		resources        Resources
		client           fosite.Client
		scopes, audience []string
		want             [2][]string
	}{
		"everything":                             {known, client(all, docs, wiki), all, []string{docs, wiki}, [2][]string{all, {docs, wiki}}},
		"the client may have more":               {known, client(all, docs, wiki), []string{"docs:read"}, []string{docs}, [2][]string{{"docs:read"}, {docs}}},
		"a scope that the client has lost":       {known, client([]string{"docs:admin", "wiki:read"}, docs, wiki), all, []string{docs, wiki}, [2][]string{{"docs:admin", "wiki:read"}, {docs, wiki}}},
		"a resource that the client has lost":    {known, client(all, docs), all, []string{docs, wiki}, [2][]string{{"docs:read", "docs:admin"}, {docs}}},
		"a resource that is gone":                {known, client(all, docs, gone), all, []string{docs, gone}, [2][]string{{"docs:read", "docs:admin"}, {docs}}},
		"every resource gone":                    {known, client(all, gone), all, []string{gone}, [2][]string{nil, nil}},
		"every resource lost":                    {known, client(all), all, []string{docs, wiki}, [2][]string{nil, nil}},
		"no scope is understood":                 {known, client(all, docs, wiki), []string{"wiki:read"}, []string{docs}, [2][]string{{}, {docs}}},
		"no audience":                            {known, client(all), all, nil, [2][]string{all, nil}},
		"no scope":                               {known, client(nil, docs), nil, []string{docs}, [2][]string{nil, {docs}}},
		"a resource without a list":              {Resources{Known: []string{docs}}, client(all, docs), all, []string{docs}, [2][]string{all, {docs}}},
		"no resources (zero value)":              {Resources{}, client(all, gone), all, []string{gone}, [2][]string{all, {gone}}},
		"a scope that differs in case":           {known, client([]string{"Docs:Read"}, docs), []string{"docs:read"}, []string{docs}, [2][]string{{}, {docs}}},
		"a resource that is longer than another": {known, client(all, docs), all, []string{docs + "/x"}, [2][]string{nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			scopes, audience := c.resources.Narrow(c.client, c.scopes, c.audience)
			if diff := cmp.Diff(c.want, [2][]string{scopes, audience}); diff != "" {
				t.Errorf("scopes and audience (-want +got):\n%s", diff)
			}
		})
	}
	if known.understood([]string{gone}, "docs:read") {
		t.Error("a resource that is gone understands a scope")
	}
}
