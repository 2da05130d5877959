package login_test

import (
	"encoding/hex"
	"iter"
	"math"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// elements are those with this name inside node, in their order.
func elements(node *html.Node, name string) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for n := range node.Descendants() {
			if n.Type == html.ElementNode && n.Data == name && !yield(n) {
				return
			}
		}
	}
}

func attribute(node *html.Node, name string) string {
	value, _ := lookup(node, name)
	return value
}

func lookup(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func text(node *html.Node) string {
	var b strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}

// contrast is that of two colours (#rrggbb), as WCAG 2.2 defines it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	bright, dim := relativeLuminance(t, a), relativeLuminance(t, b)
	if bright < dim {
		bright, dim = dim, bright
	}
	return (bright + 0.05) / (dim + 0.05)
}

func relativeLuminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	raw, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(raw) != 3 {
		t.Fatalf("colour %q", colour)
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		channel := float64(raw[i]) / 255
		if channel <= 0.04045 {
			sum += weight * channel / 12.92
		} else {
			sum += weight * math.Pow((channel+0.055)/1.055, 2.4)
		}
	}
	return sum
}
