package cmd

import (
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/bench"
	"fosite-mcp/cmd/internal/terminal"
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
		err = printFigures(&a.Terminal, r)
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
		kinds = append(kinds, fmt.Sprintf("  %s, %d connections: %s (%d times)", e.Load, e.Connections, terminal.Printable(e.Problem), e.Count))
	}
	return fmt.Errorf("%d of %d requests failed:\n%s", r.Failed(), r.Requests, strings.Join(kinds, "\n"))
}

// notMeasured stands for figures that this machine, or another one, does not tell.
const notMeasured = "not measured"

func printFigures(out *terminal.Terminal, r *bench.Report) error {
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
		"measured", fmt.Sprintf("%s, %d rounds of %g s after %.2g s of warm-up, medians", terminal.Time(&r.Started), r.Rounds, r.Seconds, r.WarmUp),
	)
	if err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout) // Close returns the error
	if err := printLoads(out, r); err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout)
	fields := []string{
		"memory of the server", figure(r.ServerMemory, 1<<20, "%.0f MiB at most"),
		"room of a live token", fmt.Sprintf("%.0f bytes, indexes included, over %d tokens", r.BytesPerToken, r.LiveTokens),
	}
	for _, o := range r.Objects {
		fields = append(fields, "  "+o.Name, fmt.Sprintf("%.0f bytes", o.BytesPerToken))
	}
	if r.CleanUp != nil {
		fields = append(fields, "deleting expired tokens", fmt.Sprintf("%d in %.1f s", r.CleanUp.Rows, r.CleanUp.Seconds))
	}
	return out.Fields(append(fields,
		"stolen CPU time", figure(r.Stolen, 0.01, "%.1f %% in the worst round"),
		"other programs", figure(r.Others, 0.01, "%.0f %% of the CPU time in the worst round"),
		"errors", fmt.Sprintf("%d of %d requests", r.Failed(), r.Requests),
	)...)
}

func machineText(m bench.Machine) string {
	text := fmt.Sprintf("%d × %s, %s", m.CPUs, terminal.Printable(m.CPU), m.Platform)
	if m.CPU == "" {
		text = fmt.Sprintf("%d processors, %s", m.CPUs, m.Platform)
	}
	if m.Memory != nil {
		text += fmt.Sprintf(", %.1f GiB", *m.Memory/(1<<30))
	}
	return text
}

// printLoads prints a line for each load.
func printLoads(out *terminal.Terminal, r *bench.Report) error {
	head := []string{"LOAD", "CONNECTIONS", "REQUESTS/S", "LOWEST-HIGHEST", "P50 MS", "P99 MS", "SERVER CPU µS", "DATABASE CPU µS", "LOAD CPU µS"}
	if r.Rows > 0 {
		head = append(head, "ROWS BEFORE", "SPEED TO EMPTY")
	}
	t := out.NewTable(head...)
	line := func(load string, connections int, m bench.Sample, spread string, rows int, growth *float64) {
		database := figure(m.DatabaseCPU, 1, "%.0f")
		if r.Database.Engine == "SQLite" {
			database = "in the server"
		}
		cells := []string{load, fmt.Sprint(connections), fmt.Sprintf("%.0f", m.PerSecond), spread, fmt.Sprintf("%.2f", m.P50),
			fmt.Sprintf("%.2f", m.P99), figure(m.ServerCPU, 1, "%.0f"), database, figure(m.LoadCPU, 1, "%.0f")}
		if r.Rows > 0 {
			cells = append(cells, fmt.Sprint(rows), "")
			if growth != nil {
				cells[len(cells)-1] = fmt.Sprintf("%.2f", *growth)
			}
		}
		t.Row(cells...)
	}
	for _, result := range r.Results {
		line(result.Load, result.Connections, result.Median, fmt.Sprintf("%.0f-%.0f", result.Lowest, result.Highest), result.Rows, result.Growth)
	}
	if c := r.CleanUp; c != nil {
		line("issue, rows deleted", c.Connections, c.During, "", r.Rows, nil)
		line("issue, after that", c.Connections, c.After, "", r.Rows, nil)
	}
	return t.Close()
}

// figure prints a figure in a unit, if it was measured.
func figure(value *float64, unit float64, format string) string {
	if value == nil {
		return notMeasured
	}
	return fmt.Sprintf(format, *value/unit)
}
