// Command scale measures how the server behaves when its tables are large: bytes per token, the speed of issuing and
// introspection beside that of a small database, and the latency of token requests while expired rows are deleted.
// Run it through scripts/scale.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// plan is what to measure.
type plan struct {
	binary   string // the server
	postgres string // URL of a PostgreSQL server; empty: SQLite
	rows     int    // live tokens of the large database
	tokens   int    // tokens that introspection asks about, and the size of the small database
	expired  int    // rows that are cleaned up under load
	rounds   int
	window   time.Duration // of one round
}

func main() {
	var p plan
	flag.StringVar(&p.binary, "server", "", "the fosite-mcp program")
	flag.StringVar(&p.postgres, "postgres", "", "URL of a PostgreSQL server whose databases may be created and dropped; without it SQLite is measured")
	flag.IntVar(&p.rows, "rows", 5_000_000, "live tokens of the large database")
	flag.IntVar(&p.tokens, "tokens", 10_000, "tokens of the small database, and how many tokens introspection asks about")
	flag.IntVar(&p.expired, "expired", 1_000_000, "expired tokens that are cleaned up under load")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds of each measurement, alternating")
	flag.DurationVar(&p.window, "window", 4*time.Second, "length of a round, after a warm-up of a quarter of that")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, p); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) error {
	folder, err := os.MkdirTemp("", "fosite-mcp-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var db engine = &sqliteEngine{folder: folder}
	if p.postgres != "" {
		db = &postgresEngine{server: p.postgres}
	}
	defer db.close()
	host, err := newHost(p.binary, filepath.Join(folder, "data"))
	if err != nil {
		return err
	}
	report, err := measure(ctx, p, host, db)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	return json.NewEncoder(os.Stdout).Encode(report)
}

// say reports progress.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05")+" "+format+"\n", args...)
}
