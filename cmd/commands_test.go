package cmd

import (
	"io"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// everyCommand visits the commands of the program, except for cobra's own.
func everyCommand(visit func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		visit(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{Terminal: terminal.Terminal{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}}).rootCommand())
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	everyCommand(func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, "fosite-mcp") {
			t.Errorf("%s: Short %q, Example %q", c.CommandPath(), c.Short, c.Example)
		}
	})
}

// Command lines are visible to every user of a machine and stay in the shell's history.
func TestNoFlagTakesASecretItself(t *testing.T) {
	harmless := map[string]bool{
		"fosite-mcp token revoke --token-id": true, "fosite-mcp issuer revoke --token-id": true, "fosite-mcp token revoke --secret-id": true, "fosite-mcp client usage --secret-id": true,
		"fosite-mcp client delete-secret --revoke-tokens": true, "fosite-mcp client create --jwks-uri": true,
		"fosite-mcp client apply --secrets-dir": true, "fosite-mcp client apply --secrets-expire-in": true,
		"fosite-mcp client create --secret-expires-in": true, "fosite-mcp client create --secret-expires-at": true,
	}
	everyCommand(func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := c.CommandPath() + " --" + f.Name
			for _, word := range []string{"secret", "token", "password"} {
				if strings.Contains(f.Name, word) && !strings.HasSuffix(f.Name, "-file") && !strings.HasSuffix(f.Name, "-lifespan") && !harmless[name] {
					t.Errorf("%s takes a secret from the command line", name)
				}
			}
		})
	})
}
