package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shellBlocks are the fenced sh blocks of a document.
func shellBlocks(t *testing.T, document string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// paste runs a snippet in a shell as a reader would, in the folder of the server's data.
func (s *server) paste(t *testing.T, snippet string) string {
	t.Helper()
	command := exec.Command("bash", "-euo", "pipefail", "-c", snippet)
	command.Dir, command.Env = filepath.Dir(s.data), s.environment
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, snippet, output)
	}
	return string(output)
}

// here replaces the addresses of a snippet, and the way the program is called, by those of the test.
func (s *server) here(snippet string) string {
	return strings.NewReplacer("127.0.0.1:8080", s.public, "127.0.0.1:8081", s.admin, "go run ./cmd/fosite-mcp", s.binary,
		"fosite-mcp-data/", s.data+"/").Replace(snippet)
}

func TestTheFirstScreenOfTheREADMEWorksAsPasted(t *testing.T) {
	s := startServer(t, binaries)
	blocks := shellBlocks(t, "README.md")
	if !strings.Contains(blocks[0], "go run ./cmd/fosite-mcp serve") || !strings.Contains(blocks[0], "make test") {
		t.Errorf("the two commands are gone:\n%s", blocks[0])
	}
	if lines := strings.Count(blocks[1], "\n"); lines != 3 {
		t.Errorf("%d curl lines, want 3", lines)
	}
	output := s.paste(t, s.here(blocks[1]))
	if !strings.Contains(output, `"active":true`) || !strings.Contains(output, `"client_id":"ci"`) {
		t.Errorf("got %s", output)
	}
	// The id is taken now, and whoever pastes the lines again sees that.
	again := exec.Command("bash", "-c", s.here(blocks[1]))
	again.Dir, again.Env = filepath.Dir(s.data), s.environment
	repeated, _ := again.CombinedOutput()
	if !strings.Contains(string(repeated), "409") || !strings.Contains(string(repeated), "invalid_client") {
		t.Errorf("a second time: %s", repeated)
	}
}
