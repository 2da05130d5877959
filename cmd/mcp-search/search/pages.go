package search

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Bounds of a folder, which is held in memory.
const (
	maxPageBytes  = 1 << 20
	maxTotalBytes = 64 << 20
)

// Pages holds the Markdown pages of a folder in memory, ready to be searched.
// It never changes and is safe for concurrent use.
type Pages struct {
	list   []page
	byPath map[string]int
	index  index
	// Skipped tells which Markdown files are left out, and why.
	Skipped []string
}

// Load reads every Markdown file of a folder. Hidden files and folders,
// symbolic links and files over 1 MiB are left out. A folder without any page
// is an error. Give it the FS of an [os.Root], so that nothing outside of the
// folder can be reached however it changes meanwhile.
func Load(folder fs.FS) (*Pages, error) { return loadUpTo(folder, maxTotalBytes) }

func loadUpTo(folder fs.FS, maxTotal int) (*Pages, error) {
	pages := &Pages{byPath: map[string]int{}}
	total := 0
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && strings.HasPrefix(entry.Name(), ".") {
			return skip(entry)
		}
		if entry.IsDir() || !isMarkdown(name) {
			return nil
		}
		text, why, err := readPage(folder, name, entry)
		if err != nil {
			return err
		}
		if why != "" {
			pages.Skipped = append(pages.Skipped, name+": "+why)
			return nil
		}
		parsed, why := parsePage(name, text)
		if why != "" {
			pages.Skipped = append(pages.Skipped, name+": "+why)
			return nil
		}
		if total += len(text); total > maxTotal {
			return fmt.Errorf("the pages are larger than %d bytes together: point to a smaller folder", maxTotal)
		}
		pages.byPath[name] = len(pages.list)
		pages.list = append(pages.list, parsed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(pages.list) == 0 {
		return nil, errors.New("there is no Markdown file (*.md) in it")
	}
	pages.index = newIndex(pages.list)
	return pages, nil
}

// Len is the number of pages.
func (p *Pages) Len() int { return len(p.list) }

// get finds a page by its exact path: there is no way from here to a file.
func (p *Pages) get(name string) (page, bool) {
	i, ok := p.byPath[name]
	if !ok {
		return page{}, false
	}
	return p.list[i], true
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func isMarkdown(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".md" || ext == ".markdown"
}

// readPage returns the text of a regular file, or why it is left out. The size
// is counted while reading: a file may grow after it was listed.
func readPage(folder fs.FS, name string, entry fs.DirEntry) (text, why string, err error) {
	if !entry.Type().IsRegular() {
		return "", "it is not a regular file", nil
	}
	file, err := folder.Open(name)
	if err != nil {
		return "", "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxPageBytes+1))
	if err != nil {
		return "", "", err
	}
	if len(content) > maxPageBytes {
		return "", fmt.Sprintf("it is larger than %d MiB", maxPageBytes>>20), nil
	}
	return string(content), "", nil
}
