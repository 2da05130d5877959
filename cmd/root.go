// Package cmd is the program: the server that wires the packages together, and the shell commands around it.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what every command shares: where it reads and writes, and where its settings come from.
type app struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	configFile     string
	json           bool
}

// config loads the settings; a mistake in them is bad usage.
func (a *app) config() (config.Config, error) {
	cfg, err := config.Load(a.configFile, a.environ)
	if err != nil {
		return cfg, usageError{fmt.Errorf("the configuration has mistakes:\n%w", err)}
	}
	return cfg, nil
}

// usageError makes the program exit with 2: the command itself was wrong, not what it did.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the program and returns its exit code: 0, 1 when the command failed, 2 when it was used wrongly.
func Main(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &app{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "fosite-mcp:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "fosite-mcp",
		Short: "OAuth 2.1 for MCP servers",
		Long: `fosite-mcp is an authorization server for MCP servers: machines exchange a client id and secret for a
token, people log in through a browser, and every token can be taken back.`,
		Example: `  fosite-mcp serve
  fosite-mcp demo
  fosite-mcp client create --name ci`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "YAML `file` with settings (see docs/configuration.md)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "answer in JSON")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
	})
	root.AddCommand(a.commands()...)
	wrapArgs(root)
	return root
}

// commands is every command of the program.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{a.serveCommand(), a.demoCommand(), a.migrateCommand(), a.cleanUpCommand(), a.clientCommand(), a.tokenCommand(),
		a.userCommand(), a.consentCommand(), a.auditCommand(), a.adminKeyCommand()}
}

// wrapArgs makes wrong arguments, and commands that exist only as a group, a usage error throughout.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		err := check(c, args)
		if err == nil {
			err = c.ValidateFlagGroups() // cobra itself would only fail, with 1
		}
		if err != nil {
			return usageError{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
		}
		return nil
	}
	if c.RunE == nil && c.Run == nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			_ = c.Help()
			return usageError{fmt.Errorf("%s needs a command", c.CommandPath())}
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}
