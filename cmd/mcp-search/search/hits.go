package search

import (
	"strings"
	"unicode/utf8"
)

const (
	defaultHits  = 5
	maxHits      = 20
	snippetBytes = 240
)

// Hit is one page that answers a query.
type Hit struct {
	Path    string `json:"path" jsonschema:"the page's path, to be given to get_page"`
	Title   string `json:"title"`
	Snippet string `json:"snippet" jsonschema:"the part of the page that fits best"`
}

// Search returns up to limit pages, best first; 0 means 5, and 20 is the most.
// Only pages count that somebody in these groups may see.
func (p *Pages) Search(query string, limit int, groups []string) []Hit {
	if limit <= 0 {
		limit = defaultHits
	}
	wanted := queryWords(query)
	hits := make([]Hit, 0, maxHits)
	for _, r := range p.index.search(wanted) {
		pg := p.list[r.page]
		if !pg.visible(groups) {
			continue
		}
		if len(hits) == min(limit, maxHits) {
			break
		}
		hits = append(hits, Hit{Path: pg.path, Title: pg.title, Snippet: snippet(pg.text, wanted)})
	}
	return hits
}

// snippet is the line with the most words of the query, cut to length around
// the first of them.
func snippet(text string, wanted []string) string {
	best, bestCount := "", -1
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if count := countWords(line, wanted); line != "" && count > bestCount && !isMarkup(line) {
			best, bestCount = line, count
		}
	}
	return cut(best, wanted)
}

// isMarkup knows lines that say nothing by themselves: fences, rules, headings
// (the title is told apart from the snippet).
func isMarkup(line string) bool {
	return strings.HasPrefix(line, "```") || strings.HasPrefix(line, "#") || strings.Trim(line, "-=*_|: ") == ""
}

func countWords(line string, wanted []string) int {
	present := map[string]bool{}
	for word := range words(line) {
		for _, want := range wanted {
			if word == want || len(want) >= minPrefix && strings.HasPrefix(word, want) {
				present[want] = true
			}
		}
	}
	return len(present)
}

// cut shortens a line to snippetBytes, on rune boundaries and with the first
// word of the query in it.
func cut(line string, wanted []string) string {
	if len(line) <= snippetBytes {
		return line
	}
	start := 0
	for at, lower := 0, strings.ToLower(line); at < len(wanted) && len(lower) == len(line); at++ {
		if i := strings.Index(lower, wanted[at]); i > snippetBytes/2 {
			start = min(i-snippetBytes/4, len(line)-snippetBytes)
			break
		} else if i >= 0 {
			break
		}
	}
	for !utf8.RuneStart(line[start]) {
		start++
	}
	end := min(start+snippetBytes, len(line))
	for end < len(line) && !utf8.RuneStart(line[end]) {
		end--
	}
	short := line[start:end]
	if start > 0 {
		short = "…" + short
	}
	if end < len(line) {
		short += "…"
	}
	return short
}
