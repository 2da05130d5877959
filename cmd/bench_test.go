package cmd

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/bench"
	"fosite-mcp/cmd/internal/terminal"
)

func TestFlagsOfBench(t *testing.T) {
	good := bench.Options{Rounds: 1, Duration: time.Second, Connections: []int{1}}
	for _, c := range []struct {
		change func(*app, *bench.Options)
		want   string // in the error; empty: none
	}{
		{func(*app, *bench.Options) {}, ""},
		{func(a *app, _ *bench.Options) { a.configFile = "x.yaml" }, "leave out --config"},
		{func(_ *app, o *bench.Options) { o.Rows = -1 }, "--rows"},
		{func(_ *app, o *bench.Options) { o.Expired = -1 }, "--expired"},
		{func(_ *app, o *bench.Options) { o.Rounds = 0 }, "--rounds"},
		{func(_ *app, o *bench.Options) { o.Duration = 0 }, "--duration"},
		{func(_ *app, o *bench.Options) { o.Connections = nil }, "--connections"},
		{func(_ *app, o *bench.Options) { o.Connections = []int{1, 0} }, "--connections"},
		{func(_ *app, o *bench.Options) { o.Connections = []int{4, 4} }, "names 4 twice"},
		{func(_ *app, o *bench.Options) { o.Database = "postgres://u@db/name" }, ""},
		{func(_ *app, o *bench.Options) { o.Database = "sqlite:x" }, "PostgreSQL"},
		{func(_ *app, o *bench.Options) { o.Database = "postgres://u@a,b/name" }, "one server"},
		{func(_ *app, o *bench.Options) { o.Database = "postgres://u:hush@db/name" }, "PGPASSWORD"},
		{func(_ *app, o *bench.Options) { o.Database = "postgres://u@db/name?password=hush" }, "PGPASSWORD"},
	} {
		a, o := new(app), good
		c.change(a, &o)
		err := a.checkBench(o)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%+v: error %v, want %q", o, err, c.want)
		}
	}
}

func TestFailedRequestsOfBenchAreAnError(t *testing.T) {
	for _, json := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		a := &app{Terminal: terminal.Terminal{Stdout: &stdout, Stderr: &stderr, JSON: json}}
		err := a.printBench(&bench.Report{
			Requests: 10, Warnings: []string{"it is warm"}, Errors: []bench.Failure{{Load: "issue", Connections: 4, Problem: "status 429", Count: 3}},
			Results: []*bench.Result{{Load: "issue", Connections: 4, Median: bench.Sample{PerSecond: 1234}}},
		})
		if err == nil || err.Error() != "3 of 10 requests failed:\n  issue, 4 connections: status 429 (3 times)" {
			t.Errorf("error %v", err)
		}
		if !strings.Contains(stdout.String(), "1234") || json != strings.HasPrefix(stdout.String(), `{"program":`) || !strings.Contains(stderr.String(), "warning: it is warm") {
			t.Errorf("stdout %s\nstderr %s", &stdout, &stderr)
		}
		if !json && !strings.Contains(stdout.String(), notMeasured) {
			t.Errorf("%s, want a word on what was not measured", &stdout)
		}
	}
}

// What the document tells people to type is understood.
func TestLinesOfThePerformanceDocument(t *testing.T) {
	document, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.FieldsFuncSeq(string(document), func(r rune) bool { return r == '`' || r == '\n' }) {
		arguments, found := strings.CutPrefix(line, "fosite-mcp bench")
		if !found {
			continue
		}
		lines++
		root := (&app{}).rootCommand()
		command, rest, err := root.Find(append([]string{"bench"}, strings.Fields(arguments)...))
		if err != nil || command.Name() != "bench" {
			t.Fatalf("%s: %v", line, err)
		}
		if err := command.ParseFlags(rest); err != nil || len(command.Flags().Args()) > 0 {
			t.Errorf("%s: %v, %v", line, err, command.Flags().Args())
		}
	}
	if lines < 5 {
		t.Errorf("%d lines, want all", lines)
	}
}
