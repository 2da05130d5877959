package cmd

import (
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/bench"
	"fosite-mcp/cmd/internal/console"
)

// benchView is what bench prints as JSON.
type benchView struct {
	Program versionView `json:"program"`
	*bench.Report
}

// printBench prints the figures. Errors of requests are an error of the command.
func (a *app) printBench(r *bench.Report) (err error) {
	if a.JSON {
		err = a.Encode(benchView{programVersion(), r})
	} else {
		err = printFigures(&a.Console, r)
	}
	if err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		a.Notice("warning: %s", warning)
	}
	if r.Failed() == 0 {
		return nil
	}
	var kinds []string
	for _, e := range r.Errors {
		kinds = append(kinds, fmt.Sprintf("  %s, %d connections: %s (%d times)", e.Load, e.Connections, console.Printable(e.Problem), e.Count))
	}
	return fmt.Errorf("%d of %d requests failed:\n%s", r.Failed(), r.Requests, strings.Join(kinds, "\n"))
}

// notMeasured stands for figures that this machine, or another one, does not tell.
const notMeasured = "not measured"

func printFigures(out *console.Console, r *bench.Report) error {
	durable := "no"
	if r.Database.Durable {
		durable = "yes"
	}
	durable += " (" + r.Database.Durability + ")"
	if r.Database.SyncTime != nil {
		durable += fmt.Sprintf("; the disk takes %.2f ms for a sync", *r.Database.SyncTime)
	}
	err := out.Fields(
		"program", "fosite-mcp "+programVersion().String(),
		"machine", machineText(r.Machine),
		"database", r.Database.Engine+" "+r.Database.Version,
		"durable", durable,
		"measured", fmt.Sprintf("%s, %d rounds of %g s after %.2g s of warm-up, medians", console.Time(&r.Started), r.Rounds, r.Seconds, r.WarmUp),
		"rows before", rowsText(r),
	)
	if err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout) // Close returns the error
	t := out.NewTable("LOAD", "CONNECTIONS", "REQUESTS/S", "LOWEST-HIGHEST", "P50 MS", "P99 MS", "SERVER CPU µS", "DATABASE CPU µS", "LOAD CPU µS")
	for _, result := range r.Results {
		m := result.Median
		database := figure(m.DatabaseCPU, 1, "%.0f")
		if r.Database.Engine == "SQLite" {
			database = "in the server"
		}
		t.Row(result.Load, fmt.Sprint(result.Connections), fmt.Sprintf("%.0f", m.PerSecond), fmt.Sprintf("%.0f-%.0f", result.Lowest, result.Highest),
			fmt.Sprintf("%.2f", m.P50), fmt.Sprintf("%.2f", m.P99), figure(m.ServerCPU, 1, "%.0f"), database, figure(m.LoadCPU, 1, "%.0f"))
	}
	if err := t.Close(); err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout)
	return out.Fields(
		"memory of the server", figure(r.ServerMemory, 1<<20, "%.0f MiB at most"),
		"room of a live token", fmt.Sprintf("%.0f bytes, indexes included, over %d tokens", r.BytesPerToken, r.LiveTokens),
		"stolen CPU time", figure(r.Stolen, 0.01, "%.1f %% in the worst round"),
		"other programs", figure(r.Others, 0.01, "%.0f %% of the CPU time in the worst round"),
		"errors", fmt.Sprintf("%d of %d requests", r.Failed(), r.Requests),
	)
}

func machineText(m bench.Machine) string {
	text := fmt.Sprintf("%d × %s, %s", m.CPUs, console.Printable(m.CPU), m.Platform)
	if m.CPU == "" {
		text = fmt.Sprintf("%d processors, %s", m.CPUs, m.Platform)
	}
	if m.Memory != nil {
		text += fmt.Sprintf(", %.1f GiB", *m.Memory/(1<<30))
	}
	return text
}

func rowsText(r *bench.Report) string {
	if r.Rows == 0 {
		return ""
	}
	return fmt.Sprint(r.Rows)
}

// figure prints a figure in a unit, if it was measured.
func figure(value *float64, unit float64, format string) string {
	if value == nil {
		return notMeasured
	}
	return fmt.Sprintf(format, *value/unit)
}
