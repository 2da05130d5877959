// Package cmd is the program: its commands, each a function that reads flags and calls the packages below cmd/internal.
package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

// app is what every command shares: where it reads and writes, and where its settings come from.
type app struct {
	terminal.Terminal
	configFile string
	hangup     <-chan os.Signal // receives SIGHUP; may be nil
	stop       stopSignals
}

// config loads the settings; a mistake in them is bad usage.
func (a *app) config() (config.Config, error) {
	cfg, err := config.Load(a.configFile, a.Environ)
	if err != nil {
		source := "FOSITE_MCP_… variables"
		if a.configFile != "" {
			source = a.configFile + ", " + source
		}
		return cfg, terminal.BadUsage("the configuration (%s) has mistakes:\n%w", source, err)
	}
	return cfg, nil
}

// Main runs the program and returns its exit code, one of those in exitCodes.
func Main(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // ends no command: the server reads some files again, the others go on
	defer signal.Stop(hangup)
	a := &app{Terminal: terminal.Terminal{Environ: environ, Stdin: stdin, Stdout: stdout, Stderr: stderr}, hangup: hangup, stop: stopSignals{draining: make(chan struct{})}}
	ctx, release := a.stop.listen()
	defer release()
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if told := (*alreadyTold)(nil); errors.As(err, &told) {
		return exitCode(err)
	}
	if a.JSON || slices.Contains(args, "--json") { // which may stand behind what was wrong
		_ = json.NewEncoder(stderr).Encode(toldInJSON(err))
	} else {
		fmt.Fprintln(stderr, "fosite-mcp:", err)
	}
	return exitCode(err)
}

func (a *app) rootCommand() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "fosite-mcp",
		Short: "OAuth 2.1 for MCP servers",
		Long: `fosite-mcp is an authorization server for MCP servers: machines exchange a client id and secret for a
token, people log in through a browser, and every token can be taken back.

` + exitCodes,
		Example: `  fosite-mcp serve
  fosite-mcp demo
  fosite-mcp client create --name ci`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return printVersion(&a.Terminal)
			}
			return needsCommand(c)
		},
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "YAML `file` with settings (see docs/configuration.md)")
	root.PersistentFlags().BoolVar(&a.JSON, "json", false, "answer in JSON, and tell of an error in JSON on stderr")
	root.Flags().BoolVar(&version, "version", false, "tell which version this is")
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(a.commands()...)
	strict(root)
	return root
}

// commands is every command of the program.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{serveCommand(a), hashesCommand(a), demoCommand(a), migrateCommand(a), cleanUpCommand(a), backupCommand(a), restoreCommand(a), doctorCommand(a), clientCommand(a), issuerCommand(a), tokenCommand(a),
		proxyCommand(a), userCommand(a), consentCommand(a), keyCommand(a), auditCommand(a), accessCommand(a), adminKeyCommand(a), benchCommand(a), versionCommand(a)}
}
