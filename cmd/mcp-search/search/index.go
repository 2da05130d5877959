package search

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"
	"unicode"
)

// How much a word counts by where it stands, and the two usual constants of
// the BM25 ranking function.
const (
	titleWeight   = 8
	pathWeight    = 3
	headingWeight = 3
	bodyWeight    = 1
	prefixWeight  = 0.4 // a word that only begins with the query's word

	saturation = 1.2
	lengthness = 0.6

	maxQueryWords = 16
	minPrefix     = 4 // letters
)

// posting says how much a word counts on a page.
type posting struct {
	page   int
	weight float64
}

// index finds pages by word.
type index struct {
	pages    int
	postings map[string][]posting
	words    []string  // the keys of postings, sorted, for prefixes
	norm     []float64 // per page: what its length adds to the saturation
}

func newIndex(pages []page) index {
	x := index{pages: len(pages), postings: map[string][]posting{}, norm: make([]float64, len(pages))}
	sum := 0.0
	for i, p := range pages {
		weights := map[string]float64{}
		x.norm[i] = addWords(weights, p.text, bodyWeight)
		addWords(weights, p.title, titleWeight)
		addWords(weights, p.headings, headingWeight)
		addWords(weights, p.path, pathWeight)
		for word, weight := range weights {
			x.postings[word] = append(x.postings[word], posting{i, weight})
		}
		sum += x.norm[i]
	}
	average := max(sum/float64(len(pages)), 1)
	for i, length := range x.norm {
		x.norm[i] = saturation * (1 - lengthness + lengthness*length/average)
	}
	for word := range x.postings {
		x.words = append(x.words, word)
	}
	slices.Sort(x.words)
	return x
}

func addWords(weights map[string]float64, text string, weight float64) (count float64) {
	for word := range words(text) {
		weights[word] += weight
		count++
	}
	return count
}

// words yields the words of a text, case-folded and without the plural s, so
// that "Tokens" and "token" are the same.
func words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if !yield(fold(field)) {
				return
			}
		}
	}
}

func fold(word string) string {
	word = strings.ToLower(word)
	if len(word) > 3 && strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss") {
		word = word[:len(word)-1]
	}
	return word
}

// queryWords are the distinct words of a query, in order.
func queryWords(query string) []string {
	var list []string
	for word := range words(query) {
		if !slices.Contains(list, word) {
			list = append(list, word)
		}
		if len(list) == maxQueryWords {
			break
		}
	}
	return list
}

// ranked is a page and how well it answers.
type ranked struct {
	page  int
	score float64
}

// search returns the pages that hold any of the words, best first. A page with
// more of the words comes before one that repeats a single one.
func (x *index) search(query []string) []ranked {
	scores := map[int]float64{}
	matched := map[int]int{}
	for _, word := range query {
		for page, score := range x.scoreWord(word) {
			scores[page] += score
			matched[page]++
		}
	}
	list := make([]ranked, 0, len(scores))
	for page, score := range scores {
		list = append(list, ranked{page, score * float64(matched[page]) / float64(len(query))})
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.page, b.page))
	})
	return list
}

// scoreWord is BM25 for one word of the query. Words that only begin with it
// count less, and a page counts its best match only.
func (x *index) scoreWord(word string) map[int]float64 {
	scores := map[int]float64{}
	add := func(found string, factor float64) {
		list := x.postings[found]
		rarity := math.Log(1 + (float64(x.pages-len(list))+0.5)/(float64(len(list))+0.5))
		for _, p := range list {
			score := factor * rarity * p.weight * (saturation + 1) / (p.weight + x.norm[p.page])
			scores[p.page] = max(scores[p.page], score)
		}
	}
	add(word, 1)
	if len(word) < minPrefix {
		return scores
	}
	start, _ := slices.BinarySearch(x.words, word)
	for _, longer := range x.words[start:] {
		if !strings.HasPrefix(longer, word) {
			break
		}
		if longer != word {
			add(longer, prefixWeight)
		}
	}
	return scores
}
