package search

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var library = map[string]string{
	"revocation.md": "# Revocation\nA token that was revoked is dead at its next check.\n",
	"tokens.md":     "# Access tokens\nTokens are opaque. Each token has a scope. Revocation is described elsewhere.\n",
	"scopes.md":     "# Scopes\nA scope such as mcp:search allows tools.\n## Default scope\n",
	"long.md":       "# Changes\n" + strings.Repeat("nothing of note happened in this release\n", 200) + "revocation got faster\n",
	"client_id.md":  "# Client identifiers\nThe client_id is public.\n",
	"straße.md":     "# Straße\nEine STRASSE in Köln.\n",
}

func TestBestPageComesFirst(t *testing.T) {
	pages := load(t, library)
	for _, tc := range []struct {
		query string
		want  []string
	}{
		{"revocation", []string{"revocation.md", "tokens.md", "long.md"}},
		{"REVOCATION", []string{"revocation.md", "tokens.md", "long.md"}},
		{"revoc", []string{"revocation.md", "tokens.md", "long.md"}},
		{"token", []string{"tokens.md", "revocation.md"}},
		{"tokens", []string{"tokens.md", "revocation.md"}},
		{"scope of a token", []string{"tokens.md", "scopes.md"}},
		{"mcp:search", []string{"scopes.md"}},
		{"client_id", []string{"client_id.md"}},
		{"köln", []string{"straße.md"}},
		{"KÖLN", []string{"straße.md"}},
		{"rel", nil},
		{"quantum", nil},
		{"!?", nil},
		{"", nil},
	} {
		t.Run(tc.query, func(t *testing.T) {
			var got []string
			for _, hit := range pages.Search(tc.query, 20, nil) {
				got = append(got, hit.Path)
			}
			if len(got) > len(tc.want) && len(tc.want) > 0 {
				got = got[:len(tc.want)] // further down the order does not matter
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHitHoldsTitleAndFittingSnippet(t *testing.T) {
	got := load(t, library).Search("dead check", 1, nil)
	want := []Hit{{Path: "revocation.md", Title: "Revocation", Snippet: "A token that was revoked is dead at its next check."}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

func TestLimitIsBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("%02d.md", i)] = "common"
	}
	pages := load(t, files)
	for limit, want := range map[int]int{-1: 5, 0: 5, 1: 1, 20: 20, 21: 20, 1 << 40: 20} {
		if got := len(pages.Search("common", limit, nil)); got != want {
			t.Errorf("limit %d gave %d hits, want %d", limit, got, want)
		}
	}
}

func TestSnippetIsShortAndWholeRunes(t *testing.T) {
	filler := strings.Repeat("ä", 300)
	for name, text := range map[string]string{
		"at the start":  "needle " + filler,
		"in the middle": filler + " needle " + filler,
		"at the end":    filler + " needle",
		"not at all":    filler,
	} {
		t.Run(name, func(t *testing.T) {
			got := snippet(text, []string{"needle"})
			if len(got) > snippetBytes+2*len("…") || !utf8.ValidString(got) {
				t.Errorf("%d bytes: %q", len(got), got)
			}
			if strings.Contains(text, "needle") != strings.Contains(got, "needle") {
				t.Errorf("the word is missing: %q", got)
			}
		})
	}
	if got := snippet("# Title\n\n---\n```\n", []string{"title"}); got != "" {
		t.Errorf("snippet of markup: %q", got)
	}
}

func TestAnyQueryIsAnswered(t *testing.T) {
	pages := load(t, library)
	for _, query := range []string{strings.Repeat("word ", 10000), strings.Repeat("x", 1<<20), "\x00\xff", "ſ", "İstanbul"} {
		pages.Search(query, 5, nil)
	}
}

func BenchmarkSearch(b *testing.B) {
	files := map[string]string{}
	for i := range 500 {
		files[fmt.Sprintf("%03d.md", i)] = fmt.Sprintf("# Page %d\n%s\n", i, strings.Repeat(fmt.Sprintf("token scope client word%d\n", i), 50))
	}
	pages, err := Load(folder(files))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		pages.Search("token word42", 5, nil)
	}
}
