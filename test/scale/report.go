package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what was measured.
type report struct {
	Engine  string   `json:"engine"`
	Rows    int      `json:"rows"`
	Tokens  int      `json:"small_rows"`
	Load    string   `json:"load_average_at_start"`
	Size    *size    `json:"size"`
	Small   *speeds  `json:"small"`
	Large   *speeds  `json:"large"`
	CleanUp *cleanUp `json:"clean_up,omitempty"`

	targets targets
}

// targets are the figures to reach.
type targets struct {
	bytesPerToken float64
	slowdown      float64
	p99           float64 // milliseconds
}

type speeds struct {
	Issue      []sample `json:"issue"`
	Introspect []sample `json:"introspect"`
}

// sample is one round.
type sample struct {
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	ServerCPU   float64 `json:"server_cpu_us"`   // per request
	DatabaseCPU float64 `json:"database_cpu_us"` // per request
	Stolen      float64 `json:"stolen"`          // share of the machine's CPU time that went to other machines on the same host
}

type cleanUp struct {
	Rows    int     `json:"rows"`
	Seconds float64 `json:"seconds"`
	During  sample  `json:"during"`
	After   sample  `json:"after"`
}

func newReport(p plan, db engine) *report {
	load, _ := os.ReadFile("/proc/loadavg")
	r := &report{Engine: db.kind(), Rows: p.rows, Tokens: p.tokens, Load: strings.TrimSpace(string(load)), Small: new(speeds), Large: new(speeds),
		targets: targets{bytesPerToken: 450, slowdown: 0.10, p99: 50}}
	if p.postgres != "" {
		r.targets.bytesPerToken = 600
	}
	return r
}

func (r *result) sample() sample {
	s := sampleOf(r.latencies, r.took)
	s.ServerCPU, s.DatabaseCPU = r.serverCPU, r.databaseCPU
	return s
}

// sampleOf sums up sorted latencies.
func sampleOf(latencies []time.Duration, took time.Duration) sample {
	if len(latencies) == 0 {
		return sample{}
	}
	at := func(share float64) float64 {
		return float64(latencies[int(share*float64(len(latencies)-1))].Microseconds()) / 1000
	}
	return sample{PerSecond: float64(len(latencies)) / took.Seconds(), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// mostStolen is the share of stolen CPU time up to which a round counts as one of this machine.
const mostStolen = 0.06

// undisturbed leaves out rounds in which much CPU time was stolen, but never so many that fewer than two are left.
func undisturbed(samples []sample) []sample {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(a.Stolen, b.Stolen) })
	n := slices.IndexFunc(sorted, func(s sample) bool { return s.Stolen > mostStolen })
	if n < 0 {
		return sorted
	}
	return sorted[:min(max(n, 2), len(sorted))]
}

// median takes the median of each figure by itself.
func median(samples []sample) (m sample) {
	for _, figure := range []func(*sample) *float64{
		func(s *sample) *float64 { return &s.PerSecond }, func(s *sample) *float64 { return &s.P50 }, func(s *sample) *float64 { return &s.P99 },
		func(s *sample) *float64 { return &s.Max }, func(s *sample) *float64 { return &s.ServerCPU }, func(s *sample) *float64 { return &s.DatabaseCPU },
	} {
		var values []float64
		for _, s := range samples {
			values = append(values, *figure(&s))
		}
		slices.Sort(values)
		*figure(&m) = values[len(values)/2]
	}
	return m
}

// best is the speed of the fastest round.
func best(samples []sample) (perSecond float64) {
	for _, s := range samples {
		perSecond = max(perSecond, s.PerSecond)
	}
	return perSecond
}

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %d live tokens, medians, load average at start %s\n\n", r.Engine, r.Rows, r.Load)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintf(w, "\trequests/s\tp50 ms\tp99 ms\tserver CPU µs\tdatabase CPU µs\t\n")
	line := func(name string, s sample) {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", name, s.PerSecond, s.P50, s.P99, s.ServerCPU, s.DatabaseCPU)
	}
	for _, c := range []struct {
		name         string
		small, large []sample
	}{{"issue", r.Small.Issue, r.Large.Issue}, {"introspect", r.Small.Introspect, r.Large.Introspect}} {
		quietSmall, quietLarge := undisturbed(c.small), undisturbed(c.large)
		small, large := median(quietSmall), median(quietLarge)
		line(fmt.Sprintf("%s, %d rows", c.name, r.Tokens), small)
		line(fmt.Sprintf("%s, %d rows", c.name, r.Rows), large)
		ratio := large.PerSecond / small.PerSecond
		fmt.Fprintf(w, "ratio\t%.2f\t%s\t\t\t\t\n", ratio, verdict(ratio >= 1-r.targets.slowdown, "≥ %.2f", 1-r.targets.slowdown))
		fmt.Fprintf(w, "ratio of the best rounds\t%.2f\t\t\t\t\t\n", best(quietLarge)/best(quietSmall))
		if left := len(c.small) - len(quietSmall) + len(c.large) - len(quietLarge); left > 0 {
			fmt.Fprintf(w, "rounds left out\t%d of %d\tCPU time was stolen\t\t\t\t\n", left, len(c.small)+len(c.large))
		}
	}
	if c := r.CleanUp; c != nil {
		line("issue during clean-up", c.During)
		line("issue after it", c.After)
		fmt.Fprintf(w, "clean-up of %d rows\t%.0f s\tp99 %s\t\t\t\t\n", c.Rows, c.Seconds, verdict(c.During.P99 <= r.targets.p99, "≤ %.0f", r.targets.p99))
	}
	fmt.Fprintf(w, "bytes per token\t%.0f\t%s\t\t\t\t\n", r.Size.PerToken, verdict(r.Size.PerToken <= r.targets.bytesPerToken, "≤ %.0f", r.targets.bytesPerToken))
	for _, o := range r.Size.Objects {
		fmt.Fprintf(w, "%s\t%.0f\t\t\t\t\t\n", o.Name, o.PerToken)
	}
}

func verdict(reached bool, format string, target float64) string {
	if reached {
		return fmt.Sprintf(format+": reached", target)
	}
	return fmt.Sprintf(format+": MISSED", target)
}
