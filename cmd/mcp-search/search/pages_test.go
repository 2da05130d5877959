package search

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func load(t *testing.T, files map[string]string) *Pages {
	t.Helper()
	pages, err := Load(folder(files))
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func TestOnlyVisibleMarkdownFilesArePages(t *testing.T) {
	pages := load(t, map[string]string{
		"index.md":             "# Start",
		"guide/install.md":     "# Install",
		"guide/UPPER.MD":       "# Upper",
		"notes.markdown":       "# Notes",
		"script.sh":            "echo",
		"data.json":            "{}",
		"md":                   "no extension",
		".hidden.md":           "hidden file",
		".git/description.md":  "hidden folder",
		"guide/.drafts/new.md": "hidden folder further down",
	})
	var got []string
	for _, p := range pages.list {
		got = append(got, p.path)
	}
	if diff := cmp.Diff([]string{"guide/UPPER.MD", "guide/install.md", "index.md", "notes.markdown"}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if pages.Len() != 4 || len(pages.Skipped) != 0 {
		t.Errorf("Len %d, Skipped %q", pages.Len(), pages.Skipped)
	}
}

func TestLinksAndHugeFilesAreLeftOutAndNamed(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret.md")
	for name, content := range map[string]string{
		outside:                         "# Secret",
		filepath.Join(dir, "page.md"):   "# Page",
		filepath.Join(dir, "huge.md"):   strings.Repeat("x", maxPageBytes+1),
		filepath.Join(dir, "larges.md"): strings.Repeat("x", maxPageBytes),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"outside.md": outside, "inside.md": "page.md", "dangling.md": "none.md", "folder": filepath.Dir(outside),
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	pages, err := Load(root.FS())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"dangling.md: it is not a regular file",
		"huge.md: it is larger than 1 MiB",
		"inside.md: it is not a regular file",
		"outside.md: it is not a regular file",
	}
	if diff := cmp.Diff(want, pages.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if pages.Len() != 2 {
		t.Errorf("%d pages, want page.md and larges.md", pages.Len())
	}
}

func TestPageIsFoundByItsExactPathOnly(t *testing.T) {
	pages := load(t, map[string]string{"guide/install.md": "# Install", "index.md": "# Start"})
	if p, ok := pages.get("guide/install.md"); !ok || p.text != "# Install" {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, name := range []string{
		"", ".", "/", "guide", "install.md", "/guide/install.md", "./guide/install.md", "guide//install.md",
		"../docs/index.md", "guide/../index.md", "../../../../etc/passwd", "/etc/passwd", `guide\install.md`, "index.md\x00", "INDEX.MD",
	} {
		if _, ok := pages.get(name); ok {
			t.Errorf("%q was found", name)
		}
	}
}

func TestFolderWithoutPagesOrWithTooManyIsAnError(t *testing.T) {
	if _, err := Load(folder(map[string]string{"readme.txt": "x"})); err == nil || !strings.Contains(err.Error(), "no Markdown file") {
		t.Errorf("no pages: %v", err)
	}
	full := folder(map[string]string{"a.md": "12345", "b.md": "67890"})
	if _, err := loadUpTo(full, 10); err != nil {
		t.Errorf("just small enough: %v", err)
	}
	if _, err := loadUpTo(full, 9); err == nil || !strings.Contains(err.Error(), "smaller folder") {
		t.Errorf("too large: %v", err)
	}
}

func TestTitleAndHeadings(t *testing.T) {
	for _, tc := range []struct{ name, text, title, headings string }{
		{"first heading", "intro\n# Install it #\n## Linux\n### From source ###\n", "Install it", "Linux\nFrom source"},
		{"front matter", "---\nlayout: x\ntitle: \"Install\"\n---\n# Other\n", "Install", "Other"},
		{"front matter with CRLF", "---\r\ntitle: Install\r\n---\r\ntext", "Install", ""},
		{"front matter without title", "---\nlayout: x\n---\n# Install\n", "Install", ""},
		{"comment in a code fence", "```sh\n# not a heading\n```\n# Install\n", "Install", ""},
		{"other fence inside a fence", "~~~\n```\n# no\n~~~\n# Install\n", "Install", ""},
		{"hashes without text", "#\n##\n####### seven\n#hashtag\n", "page", ""},
		{"nothing", "", "page", ""},
		{"byte order mark", "\ufeff# Install", "Install", ""},
		{"broken UTF-8", "# In\xffstall", "In\ufffdstall", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, why := parsePage("guide/page.md", tc.text)
			if why != "" || p.title != tc.title || p.headings != tc.headings {
				t.Errorf("title %q, headings %q; want %q, %q", p.title, p.headings, tc.title, tc.headings)
			}
		})
	}
}
