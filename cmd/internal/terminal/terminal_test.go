package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfirmationNeedsTheWordOrYes(t *testing.T) {
	for typed, confirmed := range map[string]bool{
		"ci\n": true, "y\n": true, "yes\n": true, " ci \n": true, "ci": true,
		"\n": false, "": false, "n\n": false, "CI\n": false, "c\nci\n": false,
	} {
		var asked bytes.Buffer
		err := askFor(t.Context(), strings.NewReader(typed), &asked, "Client ci ends", "ci")
		if (err == nil) != confirmed {
			t.Errorf("typed %q: %v", typed, err)
		}
		if err != nil && !errors.Is(err, errNotConfirmed) {
			t.Errorf("typed %q: %v", typed, err)
		}
		if !strings.HasPrefix(asked.String(), "Client ci ends.\nType ci (or y) to go on: ") {
			t.Errorf("asked %q", asked.String())
		}
	}
}

// Ctrl-C ends a command that waits for an answer which does not come.
func TestWaitingForAPersonCanBeInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := askFor(ctx, strings.NewReader("ci\n"), io.Discard, "Client ci ends", "ci"); !errors.Is(err, errInterrupted) {
		t.Errorf("an answer after the interruption: %v; want %v", err, errInterrupted)
	}
	nobody, _ := io.Pipe()
	if err := askFor(ctx, nobody, io.Discard, "Client ci ends", "ci"); !errors.Is(err, errInterrupted) {
		t.Errorf("a confirmation: %v; want %v", err, errInterrupted)
	}
	c := &Terminal{Stdin: nobody}
	if _, err := c.ReadSecret(ctx, "client secret", "--client-secret-file", "-", ""); !errors.Is(err, errInterrupted) {
		t.Errorf("a secret: %v; want %v", err, errInterrupted)
	}
}

func TestASecretFileIsPrivateAndNeverOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	output, err := CreateSecretFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateSecretFile(file); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("a second reservation: %v", err)
	}
	if err := output.Write("s"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "target"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateSecretFile(link); err == nil {
		t.Error("a symbolic link is followed")
	}
}

// clientSecret is a variable with a secret.
const clientSecret = "MCP_CLIENT_SECRET"

func TestSecretsAreReadWithoutTheirLineEnd(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{"s3cret\n", "s3cret"}, {"s3cret\r\n", "s3cret"}, {"s3cret", "s3cret"}, {" s p \n", " s p "}, {"\n", ""}, {"", ""},
		{strings.Repeat("x", secretInputLimit+1), ""},
	} {
		c := &Terminal{Stdin: strings.NewReader(tt.content)}
		got, err := c.ReadSecret(t.Context(), "client secret", "--client-secret-file", "-", clientSecret)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("stdin %.20q: %.20q, %v", tt.content, got, err)
		}
	}
	c := &Terminal{Environ: []string{clientSecret + "=old", clientSecret + "=new", clientSecret + "X=no"}}
	if got, err := c.ReadSecret(t.Context(), "client secret", "--client-secret-file", "", clientSecret); got != "new" || err != nil {
		t.Errorf("environment: %q, %v", got, err)
	}
}

func TestSpansOfTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"24h": 24 * time.Hour, "90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0, "0d": 0} {
		if got, err := ParseSpan(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "d", "-1h", "-1d", "1.5d", "99999d", "9999999999999999999d", "1ms", "5x", "NaNh"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

func TestMomentsInThePast(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "7d": now.Add(-7 * 24 * time.Hour),
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T03:04:05+01:00": time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
	} {
		if got, err := ParsePast(text, now); !got.Equal(want) || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-13-01", "-1h"} {
		if got, err := ParsePast(text, now); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

func TestForeignTextCannotTakeOverTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain ä 日本": "plain ä 日本", "a\x1b[31mb": `a\u001b[31mb`, "a\tb\nc": `a\u0009b\u000ac`, "a\u202eb": `a\u202eb`,
		"a\u200bb": `a\u200bb`, "a\u2028b": `a\u2028b`, "a\xffb": `a\ufffdb`, "a\u009bb": `a\u009bb`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAPasswordIsNotReadFromAPipeUnasked(t *testing.T) {
	c := &Terminal{Stdin: strings.NewReader("correct horse battery staple\n"), Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}
	if password, err := c.ReadNewPassword(t.Context(), ""); err == nil || password != "" {
		t.Errorf("read %q, error %v", password, err)
	}
}
