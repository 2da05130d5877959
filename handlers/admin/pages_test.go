package admin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the pages of docs call a route of the API is one.
func TestTheRoutesOfThePagesAreThere(t *testing.T) {
	t.Parallel()
	operations, _ := theDocument(t).documented(t)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	route, named := regexp.MustCompile("`(GET|POST|PATCH|PUT|DELETE) /admin/v1(/[^`?]*)[^`]*`"), 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range route.FindAllStringSubmatch(string(content), -1) {
			named++
			if operation := found[1] + " " + strings.TrimSpace(found[2]); !slices.Contains(operations, operation) {
				t.Errorf("%s: there is no %s", filepath.Base(page), operation)
			}
		}
	}
	if named < 30 {
		t.Errorf("%d routes are named, want all", named)
	}
}
