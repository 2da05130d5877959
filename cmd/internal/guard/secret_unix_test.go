//go:build unix

package guard

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

func secretFrom(t *testing.T, path string) func() (string, error) {
	t.Helper()
	o := Options{EnvPrefix: "TEST_"}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.Register(flags)
	if err := flags.Parse([]string{"--client-id", "docs", "--client-secret-file", path}); err != nil {
		t.Fatal(err)
	}
	if err := o.Complete(flags, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	return o.secret()
}

func TestSecretFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	secret := secretFrom(t, path)
	for _, want := range []string{"first", "second"} {
		write(want + "\n")
		if got, err := secret(); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// As in --client-secret-file <(pass show docs).
func TestSecretFromAPipeIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	go func() { _ = os.WriteFile(path, []byte("first\n"), 0) }()
	secret := secretFrom(t, path)
	for range 2 {
		if got, err := secret(); got != "first" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}
