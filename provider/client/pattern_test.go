package client

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"repo:org/app:ref:refs/heads/main", "repo:org/app:ref:refs/heads/main", true},
		{"repo:org/app:ref:refs/heads/main", "repo:org/app:ref:refs/heads/main2", false},
		{"repo:org/app", "x repo:org/app", false},
		{"repo:org/*:ref:refs/heads/main", "repo:org/app:ref:refs/heads/main", true},
		{"repo:org/*:ref:refs/heads/main", "repo:org/app/x:ref:refs/heads/main", false},
		{"repo:org/*", "repo:org/app:pull_request", false},
		{"repo:org/**", "repo:org/app:pull_request", true},
		{"repo:org/**", "repo:org/", true},
		{"repo:org/**", "repo:org", false},
		{"repo:org*/app", "repo:org-evil/app", true},
		{"*", "", true}, {"*", "a", true}, {"*", "a/b", false}, {"*", "a:b", false},
		{"**", "a/b:c\nd", true}, {"", "", true}, {"", "a", false},
		{"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyyd", false}, {"***", "a/b", true},
		{"a**", strings.Repeat("a", 1024), true}, {"a**", strings.Repeat("a", 1025), false}, {strings.Repeat("a", 1025), strings.Repeat("a", 1025), true},
		{"a.c", "abc", false}, {"[a]", "a", false}, {"Main", "main", false}, {"ü*", "üb", true},
	} {
		if got := Pattern(test.pattern).Matches(test.text); got != test.want {
			t.Errorf("%q, %q: %v", test.pattern, test.text, got)
		}
	}
}

// Patterns are an administrator's, texts are a stranger's: neither must take long.
func TestAPatternTakesNoTimeThatGrowsOutOfHand(t *testing.T) {
	began := time.Now()
	if Pattern(strings.Repeat("a*", 250) + "c").Matches(strings.Repeat("a", 1000) + "b") {
		t.Error("it matches")
	}
	if spent := time.Since(began); spent > 2*time.Second {
		t.Errorf("it took %s", spent)
	}
}

func TestWhichClaimsFit(t *testing.T) {
	found := map[string]any{
		"sub": "system:serviceaccount:search:indexer", "aud": []any{"a"}, "n": json.Number("7"), "yes": true, "teams": []any{"ops", "docs", []any{"nested"}},
		"kubernetes.io": map[string]any{"namespace": "search", "serviceaccount": map[string]any{"name": "indexer"}}, "null": nil,
	}
	for claims, want := range map[string]bool{
		``: true, `{}`: true, `{"n":7}`: true, `{"n":8}`: false, `{"n":"7"}`: false, `{"yes":true}`: true, `{"yes":false}`: false, `{"yes":"true"}`: false,
		`{"teams":"docs"}`: true, `{"teams":"d*"}`: true, `{"teams":"dev"}`: false, `{"teams":"nested"}`: false,
		`{"kubernetes.io":{"namespace":"search"}}`: true, `{"kubernetes.io":{"namespace":"search","serviceaccount":{"name":"index*"}}}`: true,
		`{"kubernetes.io":{"namespace":"other"}}`: false, `{"kubernetes.io":{"pod":{"name":"**"}}}`: false, `{"kubernetes.io":"**"}`: false,
		`{"missing":"**"}`: false, `{"null":"**"}`: false, `{"n":7,"yes":false}`: false, `not JSON`: false,
	} {
		if got := (&Trust{Claims: json.RawMessage(claims)}).Fits(found); got != want {
			t.Errorf("%s: %v", claims, got)
		}
	}
	for subject, want := range map[string]bool{"": true, "system:serviceaccount:search:*": true, "system:*:indexer": false, "**:indexer": true} {
		if got := (&Trust{Subject: subject}).Fits(found); got != want {
			t.Errorf("%s: %v", subject, got)
		}
	}
	if (&Trust{Subject: "x**"}).Fits(map[string]any{"sub": json.Number("7")}) {
		t.Error("a number is a subject")
	}
}
