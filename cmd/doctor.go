package cmd

import (
	"context"
	"fmt"

	"fosite-mcp/cmd/internal/doctor"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

func doctorCommand(a *app) *cobra.Command {
	var offline bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this server, and say how to mend it",
		Long: `Look for what is wrong with this server, and say how to mend it: settings, files, TLS, the database and the rights of its role, the
clock, keys and secrets, and the well-known documents as clients see them at public_url. Run it on the server's machine, as its
user, with its settings. It changes nothing.

Each line is ok, warning or problem. It fails (exit 1) when there is a problem.`,
		Example: "  fosite-mcp doctor --config fosite-mcp.yaml\n  fosite-mcp doctor --offline --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.examine(c.Context(), offline)
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "the server does not run: fetch nothing from public_url")
	return c
}

func (a *app) examine(ctx context.Context, offline bool) error {
	cfg, err := config.Load(a.configFile, a.Environ)
	findings := doctor.OfConfiguration(err)
	if err == nil {
		findings = append(findings, doctor.Examine(ctx, doctor.Options{Config: cfg, Offline: offline})...)
	}
	if err := printFindings(&a.Terminal, findings); err != nil {
		return err
	}
	problems := 0
	for _, finding := range findings {
		if finding.Status == doctor.Problem {
			problems++
		}
	}
	if problems > 0 {
		return fmt.Errorf("problems: %d", problems)
	}
	return nil
}

func printFindings(out *terminal.Terminal, findings []doctor.Finding) error {
	if out.JSON {
		return out.Encode(map[string]any{"status": doctor.Worst(findings), "items": findings})
	}
	t := out.NewTable()
	for _, finding := range findings {
		said := finding.Found
		if finding.Remedy != "" {
			said += ". Remedy: " + finding.Remedy
		}
		t.Row(string(finding.Status), finding.Check, said)
	}
	return t.Close()
}
