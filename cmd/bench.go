package cmd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/bench"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

func benchCommand(a *app) *cobra.Command {
	o := bench.Options{Tokens: 2000}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this program is on this machine",
		Long: `Start the server on a throw-away database, and measure how many tokens it issues, introspects and revokes per second, and what
a request costs. Clients are registered through the admin API. Every request authenticates with a secret (Basic), every
connection stays open and sends its next request when it has the answer to the last one, and every answer is checked. Each load
runs for --duration in each round, after a warm-up of a fifth of that; the figures are medians of the rounds. With --rows each round
also runs on an empty table, so that the two can be compared.

The database is a SQLite file in a private folder below TMPDIR. --postgres starts a PostgreSQL server, which must be installed.
--database names one of yours: a database of its own is made there, or a schema where the role may make no database, and dropped at the
end. Its password comes from PGPASSWORD, or from the file that PGPASSFILE names.

The server has the default settings, apart from names and files, and from rate_limits: all of them are 0 (no limit), because every
request here comes from one address. The load runs in this process, on the same machine; its CPU time is printed as well.`,
		Example: `  fosite-mcp bench
  fosite-mcp bench --postgres --json > figures.json
  PGPASSWORD=$(pass show db) fosite-mcp bench --database postgres://bench@db.example.com/postgres
  fosite-mcp bench --rows 5000000 --expired 1000000 --connections 16 --rounds 5`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.checkBench(o); err != nil {
				return terminal.BadUsage("%w", err)
			}
			o.Program, o.Environ, o.Progress = thisProgram, a.Environ, a.Notice
			report, err := bench.Run(c.Context(), o)
			if err != nil {
				return err
			}
			return a.printBench(report)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Database, "database", "", "measure on the PostgreSQL server of this `URL`, without a password in it")
	f.BoolVar(&o.Postgres, "postgres", false, "start a PostgreSQL server, and measure on it")
	f.IntVar(&o.Rows, "rows", 0, "put this many live tokens into the table first")
	f.IntVar(&o.Expired, "expired", 0, "at the end, let the server delete this many expired tokens while it issues others")
	f.IntVar(&o.Rounds, "rounds", 3, "how often each load runs")
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "length of each load in a round")
	f.IntSliceVar(&o.Connections, "connections", []int{1, 16, 64}, "`numbers` of connections that send requests at the same time")
	c.MarkFlagsMutuallyExclusive("database", "postgres")
	return c
}

// checkBench refuses flags that make no sense.
func (a *app) checkBench(o bench.Options) error {
	switch {
	case a.configFile != "":
		return errors.New("bench has a configuration of its own; leave out --config")
	case o.Rows < 0 || o.Rows > 1_000_000_000:
		return errors.New("--rows must be 0 to 1000000000")
	case o.Expired < 0 || o.Expired > 1_000_000_000:
		return errors.New("--expired must be 0 to 1000000000")
	case o.Rounds < 1 || o.Rounds > 1000:
		return errors.New("--rounds must be 1 to 1000")
	case o.Duration < 10*time.Millisecond || o.Duration > time.Hour:
		return errors.New("--duration must be 10ms to 1h")
	case len(o.Connections) == 0:
		return errors.New("--connections needs a number")
	}
	for i, n := range o.Connections {
		if n < 1 || n > 1000 {
			return errors.New("--connections must be numbers from 1 to 1000")
		}
		for _, other := range o.Connections[:i] {
			if n == other {
				return fmt.Errorf("--connections names %d twice", n)
			}
		}
	}
	if o.Database == "" {
		return nil
	}
	if !config.DatabaseURL(o.Database).IsPostgres() {
		return errors.New("--database must be the URL of a PostgreSQL server: postgres://USER@HOST/NAME")
	}
	u, err := url.Parse(o.Database)
	if err != nil || strings.Contains(u.Host, ",") {
		return errors.New("--database must be the URL of one server: postgres://USER@HOST/NAME")
	}
	if _, found := u.User.Password(); found || u.Query().Has("password") {
		return errors.New("--database must have no password: every user of this machine can read command lines. Put it into PGPASSWORD, or into a file that PGPASSFILE names")
	}
	return nil
}
