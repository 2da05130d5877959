package cmd

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/terminal"
)

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	aCommand   = regexp.MustCompile(`(?m)\bfosite-mcp +([a-z][^\n|;)>#]*)`)
	aFlag      = regexp.MustCompile(`^--([a-z][a-z-]*)`)
)

// What the documents call a command of the program is one, and has the flags that they name.
func TestTheCommandsOfTheDocumentsAreThere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range append(pages, "../README.md", "../SECURITY.md") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range commandsIn(string(content)) {
			checked++
			root := (&app{Terminal: terminal.Terminal{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}}).rootCommand()
			words := strings.Fields(code)
			found, rest, err := root.Find(words)
			if err != nil || found == root || found.HasSubCommands() && len(rest) > 0 && rest[0][0] >= 'a' && rest[0][0] <= 'z' {
				t.Errorf("%s: there is no command %q", filepath.Base(page), code)
				continue
			}
			for _, word := range rest {
				flag := aFlag.FindStringSubmatch(word)
				if flag != nil && found.Flags().Lookup(flag[1]) == nil && found.InheritedFlags().Lookup(flag[1]) == nil {
					t.Errorf("%s: %s has no flag --%s", filepath.Base(page), found.CommandPath(), flag[1])
				}
			}
		}
	}
	if checked < 150 {
		t.Errorf("%d commands, want all", checked)
	}
}

// commandsIn are the lines of a document that call the program, without its name: in blocks of shell and within sentences.
func commandsIn(document string) (commands []string) {
	var code []string
	for i, part := range strings.Split(document, "```") {
		if i%2 == 1 {
			if lang, block, _ := strings.Cut(part, "\n"); lang == "sh" || lang == "bash" {
				code = append(code, block)
			}
			continue
		}
		for _, span := range inlineCode.FindAllStringSubmatch(part, -1) {
			code = append(code, span[1])
		}
	}
	for _, text := range code {
		for _, found := range aCommand.FindAllStringSubmatch(text, -1) {
			ours, _, _ := strings.Cut(found[1], "$(") // what follows are the flags of another program
			commands = append(commands, ours)
		}
	}
	return commands
}
