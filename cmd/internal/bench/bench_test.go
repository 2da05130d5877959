package bench_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"fosite-mcp/cmd"
	"fosite-mcp/cmd/internal/bench"
)

// TestMain is the program that ships where a run starts its server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(cmd.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// options are those of a short run, whose files are in an empty folder.
func options(t *testing.T) (o bench.Options, folder string) {
	t.Helper()
	folder = t.TempDir()
	t.Setenv("TMPDIR", folder)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Tokens: 8, Rounds: 1, Duration: 10 * time.Millisecond, Connections: []int{2},
		Program:  func(arguments ...string) *exec.Cmd { return exec.Command(program, arguments...) },
		Environ:  append(os.Environ(), "GORACE=atexit_sleep_ms=0", "FOSITE_MCP_LISTEN=nowhere"), // settings of the user's do not count
		Progress: t.Logf,
	}, folder
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v are left, %v; want an empty folder", entries, err)
	}
}

func TestARunMeasuresEachLoad(t *testing.T) {
	o, folder := options(t)
	o.Rows, o.Expired = 100, 50
	report, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, folder)
	encoded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Database struct {
			Engine  string `json:"engine"`
			Durable bool   `json:"durable"`
		} `json:"database"`
		LiveTokens    int     `json:"live_tokens"`
		BytesPerToken float64 `json:"bytes_per_token"`
		Results       []struct {
			Load   string `json:"load"`
			Median map[string]*float64
			Rounds []any   `json:"rounds"`
			Rows   int     `json:"rows"`
			Growth float64 `json:"growth"`
		} `json:"results"`
		CleanUp struct {
			Rows  int                 `json:"rows"`
			After map[string]*float64 `json:"after"`
		} `json:"clean_up"`
		Requests int   `json:"requests"`
		Errors   []any `json:"errors"`
	}
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if got.Database.Engine != "SQLite" || len(got.Errors) > 0 || got.Requests < 12 || got.LiveTokens < 100 || got.BytesPerToken < 100 || got.BytesPerToken > 1000 {
		t.Errorf("%s", encoded)
	}
	if got.CleanUp.Rows != 50 || *got.CleanUp.After["requests_per_second"] <= 0 {
		t.Errorf("clean-up: %+v, want figures of 50 rows", got.CleanUp)
	}
	var loads []string
	for _, result := range got.Results {
		loads = append(loads, result.Load)
		if *result.Median["requests_per_second"] <= 0 || *result.Median["p99_ms"] <= 0 || len(result.Rounds) != 1 || (result.Rows > 0) != (result.Growth > 0) {
			t.Errorf("%+v, want figures, and for rows the share of the speed without", result)
		}
	}
	if want := []string{"issue", "introspect", "revoke", "issue", "introspect", "revoke"}; !slices.Equal(loads, want) {
		t.Errorf("%v, want %v", loads, want)
	}
}

func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	o, folder := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	var server *exec.Cmd
	o.Program = func(...string) *exec.Cmd {
		cancel()
		server = exec.Command("sleep", "60")
		return server
	}
	if _, err := bench.Run(ctx, o); err == nil {
		t.Error("an interrupted run has a report")
	}
	wantEmpty(t, folder)
	if server.ProcessState == nil {
		t.Error("the server still runs")
	}
}

func TestAServerThatDoesNotStartIsExplained(t *testing.T) {
	o, folder := options(t)
	o.Program = func(...string) *exec.Cmd { return exec.Command("sh", "-c", "echo no room >&2; exit 1") }
	_, err := bench.Run(t.Context(), o)
	if err == nil || err.Error() != "the server does not start\nThe server said:\nno room" {
		t.Errorf("error %v, want what the server said", err)
	}
	wantEmpty(t, folder)
}
