package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	joined      = regexp.MustCompile("[\"`]\\s*\\+\\s*[\"`]") // of a text that goes on in the next line
	placeholder = regexp.MustCompile(`%(\[\d+\])?[a-z]`)
)

// Each message that the page quotes is one of the program's.
func TestTheMessagesOfTheTroubleshootingDocumentAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	sources(t, func(path, content string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		content = strings.ReplaceAll(joined.ReplaceAllString(content, ""), `\"`, `"`)
		program.WriteString(placeholder.ReplaceAllString(content, "…"))
	})
	messages := 0
	for line := range strings.Lines(string(document)) {
		message, quoted := strings.CutPrefix(line, "> ")
		if !quoted {
			continue
		}
		messages++
		if message = strings.TrimSpace(message); !strings.Contains(program.String(), message) && !inPieces(program.String(), message) {
			t.Errorf("nothing in the program says: %s", message)
		}
	}
	if messages < 50 {
		t.Errorf("%d messages, want all", messages)
	}
}

// inPieces finds a message that the program puts together of long pieces, such as a sentence and a number.
func inPieces(program, message string) bool {
	long := 0
	for piece := range strings.SplitSeq(message, "…") {
		if piece = strings.Trim(piece, " .:;,()"); len(piece) < 12 {
			continue
		} else if !strings.Contains(program, piece) {
			return false
		}
		long++
	}
	return long > 0
}

// The page about administering is pasted into the same server.
func TestTheTroubleshootingDocumentWorksAsPasted(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	r.leave("fosite-mcp serve", r.public)
	if blocks := shellBlocks(t, "docs/administer.md"); len(blocks) != 1 {
		t.Fatalf("%d blocks, want 1: what runs the others?", len(blocks))
	} else if output := r.paste(blocks[0]); strings.Count(output, "Nightly build") != 3 || !strings.Contains(output, "token.revoked") {
		t.Errorf("the day of an administrator:\n%s", output)
	}
	r.paste(strings.ReplaceAll(`fosite-mcp client create --client-id ci --name ci --secret-file ci.secret
fosite-mcp client create --client-id docs_service --name "docs service" --introspects RESOURCE --secret-file docs_service.secret
fosite-mcp token mint --client-id ci --client-secret-file ci.secret > ci.token
curl -sS -o /dev/null -u ci:wrong -d grant_type=client_credentials http://127.0.0.1:8080/authed/mcp/oauth/token`, "RESOURCE", "http://127.0.0.1:8080/authed/mcp"))
	blocks := shellBlocks(t, "docs/troubleshooting.md")
	wants := [][]string{
		{"ok  database", "client.registered"},
		{`"issuer"`, `"authorization_servers"`},
		{"client.login_failed", "client_credentials"},
		{"ci"},
		{`"active":true`, "docs_service"},
	}
	if len(blocks) != len(wants) {
		t.Fatalf("%d blocks, want %d: what runs the others?", len(blocks), len(wants))
	}
	for i, block := range blocks {
		output := r.paste(block)
		for _, want := range wants[i] {
			if !strings.Contains(output, want) {
				t.Errorf("%s\ndoes not show %q:\n%s", block, want, output)
			}
		}
	}
}
