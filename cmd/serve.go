package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client/slowhash"

	"github.com/ory/fosite"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func serveCommand(a *app) *cobra.Command {
	var printConfig bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the authorization server",
		Long: `Run the authorization server. Without any configuration it listens on 127.0.0.1:8080 (admin API: 8081) and
keeps everything in ./fosite-mcp-data. The first start writes an admin key there.`,
		Example: `  fosite-mcp serve
  fosite-mcp serve --config fosite-mcp.yaml
  FOSITE_MCP_PUBLIC_URL=https://auth.example.com FOSITE_MCP_BEHIND_PROXY=true fosite-mcp serve`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if printConfig {
				return printSettings(&a.Terminal, cfg)
			}
			hashes := hashProcess(a.Environ, max(1, runtime.GOMAXPROCS(0)/2))
			hasher := provider.NewSecretHasherIn(hashes) // both before tuneRuntime: they count the processors that there are
			tuneRuntime(a.Environ)
			return a.serve(c.Context(), cfg, hasher, hashes)
		},
	}
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the settings, secrets masked, and exit")
	return c
}

// printSettings prints the settings as a YAML file, or the same as JSON. Secrets are masked in both.
func printSettings(out *terminal.Terminal, cfg config.Config) error {
	if !out.JSON {
		return cfg.Print(out.Stdout)
	}
	var file bytes.Buffer
	if err := cfg.Print(&file); err != nil {
		return err
	}
	var settings map[string]any
	if err := yaml.Unmarshal(file.Bytes(), &settings); err != nil {
		return err
	}
	return out.Encode(settings)
}

// serve runs the server until ctx ends. Where logs are JSON, what people are told is a log line as well, and so is why it ends.
func (a *app) serve(ctx context.Context, cfg config.Config, hasher fosite.Hasher, hashes *slowhash.Process) error {
	var level slog.LevelVar
	log := newLogger(cfg.Log, &level, a.Stderr)
	requests := observe.NewLines(a.Stderr)
	defer requests.Flush()
	hashes.Lost = func(err error) {
		log.Warn("the process for slow hashes does not work; they are compared here until it does", "error", err)
	}
	program := programVersion()
	server := &authserver.Instance{Version: program.Version, Revision: program.Revision, Config: cfg, Log: log, RequestLog: newLogger(cfg.Log, &level, requests), Hasher: hasher, Notice: a.Notice, Reread: a.onHangup(ctx, cfg, log, &level), Drain: a.stop.draining}
	ready := func(at authserver.Addresses) { a.Notice("serving %s (admin API: %s)", at.PublicURL, at.AdminURL) }
	if cfg.Log.Format == logJSON {
		server.Notice = func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) }
		ready = func(at authserver.Addresses) {
			log.Info("serving", "public_url", at.PublicURL, "admin_url", at.AdminURL)
		}
	}
	server.Ready = func(at authserver.Addresses) {
		a.stop.drains.Store(true)
		ready(at)
	}
	err := server.Run(ctx)
	if err != nil && cfg.Log.Format == logJSON {
		log.Error("the server ends", "cause", err)
		return &alreadyTold{err}
	}
	return err
}

// alreadyTold is an error that stands in the log.
type alreadyTold struct{ error }

func (e *alreadyTold) Unwrap() error { return e.error }

// onHangup takes over what may change while the server runs, each time that the process gets a SIGHUP: first the log
// level, then whatever hears from the channel.
func (a *app) onHangup(ctx context.Context, cfg config.Config, log *slog.Logger, level *slog.LevelVar) <-chan struct{} {
	reread := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a.hangup:
				a.rereadConfig(ctx, cfg, log, level)
				select {
				case reread <- struct{}{}:
				default: // somebody has asked already, and was not heard yet
				}
			}
		}
	}()
	return reread
}

// rereadConfig takes the log level from the configuration as it is now, and says so when other settings have changed.
func (a *app) rereadConfig(ctx context.Context, running config.Config, log *slog.Logger, level *slog.LevelVar) {
	now, err := a.config()
	if err != nil {
		log.ErrorContext(ctx, "SIGHUP: the log level stays", "cause", err)
		return
	}
	level.Set(now.Log.SlogLevel())
	log.InfoContext(ctx, "SIGHUP: read the configuration again", "log_level", now.Log.Level)
	now.Log.Level = running.Log.Level
	if !reflect.DeepEqual(now, running) {
		log.WarnContext(ctx, "SIGHUP: other settings than log.level have changed; they count from the next start on")
	}
}

// tuneRuntime sets what the operator has not decided otherwise. It spends a few megabytes on collecting garbage half as
// often. And it runs goroutines on two more threads than there are processors: one of them may be in a slow comparison
// that the other process did not do, another waits for SQLite's disk, and on few processors nobody would be left for the rest.
func tuneRuntime(environ []string) {
	decided := func(name string) bool {
		return slices.ContainsFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	}
	if !decided("GOGC") {
		debug.SetGCPercent(200)
	}
	if !decided("GOMAXPROCS") {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2)
	}
}

// logJSON is the value of log.format for one JSON object on each line.
const logJSON = "json"

// newLogger makes a logger whose level can be set later.
func newLogger(settings config.Log, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(settings.SlogLevel())
	options := &slog.HandlerOptions{Level: level}
	if settings.Format == logJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
