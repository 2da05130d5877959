package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Report is what was measured. What cannot be measured here is nil.
type Report struct {
	Machine       Machine   `json:"machine"`
	Started       time.Time `json:"started"`
	Database      Database  `json:"database"`
	Rows          int       `json:"rows"` // put into the table before
	LiveTokens    int       `json:"live_tokens"`
	BytesPerToken float64   `json:"bytes_per_token"` // indexes included
	Objects       []Object  `json:"objects"`         // what of it are the table and each index; none where SQLite cannot tell
	Rounds        int       `json:"rounds"`
	Seconds       float64   `json:"seconds"` // of each load in a round
	WarmUp        float64   `json:"warm_up_seconds"`
	Results       []*Result `json:"results"`
	CleanUp       *CleanUp  `json:"clean_up,omitempty"`
	ServerMemory  *float64  `json:"server_memory_bytes"` // the most that was seen
	Stolen        *float64  `json:"stolen"`              // share of the machine's CPU time, in the worst round
	Others        *float64  `json:"other_programs"`      // the same of what other programs used
	Requests      int       `json:"requests"`            // warm-up included
	Errors        []Failure `json:"errors"`
	Warnings      []string  `json:"warnings"`
}

// Machine is where it was measured.
type Machine struct {
	CPU      string   `json:"cpu,omitempty"`
	CPUs     int      `json:"cpus"`
	Memory   *float64 `json:"memory_bytes"`
	Platform string   `json:"platform"` // linux/amd64
}

// Database is on what it was measured.
type Database struct {
	Engine     string   `json:"engine"`
	Version    string   `json:"version"`
	Durable    bool     `json:"durable"`    // what was answered survives a failure of the power
	Durability string   `json:"durability"` // why
	SyncTime   *float64 `json:"disk_sync_ms"`
}

// Object is a table or an index.
type Object struct {
	Name          string  `json:"name"`
	BytesPerToken float64 `json:"bytes_per_token"`
}

// Result is one load, over all rounds.
type Result struct {
	Load        string   `json:"load"` // issue, introspect or revoke
	Rows        int      `json:"rows"` // in the table before
	Connections int      `json:"connections"`
	Median      Sample   `json:"median"` // of each figure by itself
	Lowest      float64  `json:"lowest_requests_per_second"`
	Highest     float64  `json:"highest_requests_per_second"`
	Rounds      []Sample `json:"rounds"`
	// Growth is the median rate as a share of that without rows; nil for results without rows.
	Growth *float64 `json:"growth,omitempty"`
}

// Sample is one round of a load.
type Sample struct {
	PerSecond   float64  `json:"requests_per_second"`
	P50         float64  `json:"p50_ms"`
	P99         float64  `json:"p99_ms"`
	ServerCPU   *float64 `json:"server_cpu_us"` // per request
	DatabaseCPU *float64 `json:"database_cpu_us"`
	LoadCPU     *float64 `json:"load_cpu_us"`
	Stolen      *float64 `json:"stolen"`
	Others      *float64 `json:"other_programs"`
	memory      *float64
}

// Failure is a kind of wrong answer, or of none.
type Failure struct {
	Load        string `json:"load"`
	Connections int    `json:"connections"`
	Problem     string `json:"problem"`
	Count       int    `json:"count"`
}

func newReport(o Options) *Report {
	return &Report{
		Machine: thisMachine(), Started: time.Now().UTC().Truncate(time.Second), Rows: o.Rows, Rounds: o.Rounds,
		Seconds: o.Duration.Seconds(), WarmUp: o.warmUp().Seconds(), Errors: []Failure{}, Warnings: []string{},
	}
}

func (r *outcome) sample() Sample {
	s := Sample{
		ServerCPU: perRequest(r.before.server, r.after.server, len(r.latencies)), DatabaseCPU: perRequest(r.before.database, r.after.database, len(r.latencies)),
		LoadCPU: perRequest(r.before.load, r.after.load, len(r.latencies)), Stolen: shareOfStolen(r.before, r.after),
		Others: shareOfOthers(r.before, r.after), memory: r.after.resident,
	}
	if n := len(r.latencies); n > 0 {
		at := func(share float64) float64 { return r.latencies[int(share*float64(n-1))].Seconds() * 1000 }
		s.PerSecond, s.P50, s.P99 = float64(n)/r.took.Seconds(), at(0.5), at(0.99)
	}
	return s
}

// add takes in a round of a load.
func (r *Report) add(w workload, rows, connections int, s Sample) {
	i := r.index(w.name, rows, connections)
	if i < 0 {
		i = len(r.Results)
		r.Results = append(r.Results, &Result{Load: w.name, Rows: rows, Connections: connections})
	}
	r.Results[i].Rounds = append(r.Results[i].Rounds, s)
	for _, most := range []struct{ of, value **float64 }{{&r.ServerMemory, &s.memory}, {&r.Stolen, &s.Stolen}, {&r.Others, &s.Others}} {
		if *most.value != nil && (*most.of == nil || **most.of < **most.value) {
			*most.of = *most.value
		}
	}
}

func (r *Report) index(load string, rows, connections int) int {
	return slices.IndexFunc(r.Results, func(of *Result) bool { return of.Load == load && of.Rows == rows && of.Connections == connections })
}

// count counts requests and errors.
func (r *Report) count(w workload, connections int, result *outcome) {
	r.Requests += result.good
	for _, problem := range slices.Sorted(maps.Keys(result.errors)) {
		f := Failure{Load: w.name, Connections: connections, Problem: problem, Count: result.errors[problem]}
		r.Requests += f.Count
		i := slices.IndexFunc(r.Errors, func(e Failure) bool { e.Count = f.Count; return e == f })
		if i < 0 {
			r.Errors = append(r.Errors, f)
			continue
		}
		r.Errors[i].Count += f.Count
	}
}

// Shares of CPU time up to which the figures are those of this program on this machine.
const (
	mostStolen = 0.03
	mostOthers = 0.15
)

// summarize makes the medians, and the warnings.
func (r *Report) summarize() {
	for _, result := range r.Results {
		result.Median = median(result.Rounds)
		byRate := func(a, b Sample) int { return cmp.Compare(a.PerSecond, b.PerSecond) }
		result.Lowest, result.Highest = slices.MinFunc(result.Rounds, byRate).PerSecond, slices.MaxFunc(result.Rounds, byRate).PerSecond
	}
	for _, result := range r.Results {
		empty := r.index(result.Load, 0, result.Connections)
		if result.Rows > 0 && empty >= 0 && r.Results[empty].Median.PerSecond > 0 {
			result.Growth = new(result.Median.PerSecond / r.Results[empty].Median.PerSecond)
		}
	}
	if r.Stolen != nil && *r.Stolen > mostStolen {
		r.Warnings = append(r.Warnings, fmt.Sprintf("up to %.0f %% of the CPU time was stolen: the host of this virtual machine gave it to others. The figures are too low; measure again at a quieter time", *r.Stolen*100))
	}
	if r.Others != nil && *r.Others > mostOthers {
		r.Warnings = append(r.Warnings, fmt.Sprintf("other programs used up to %.0f %% of the CPU time. The figures are too low; measure again when nothing else runs", *r.Others*100))
	}
	if !r.Database.Durable {
		r.Warnings = append(r.Warnings, "the commits are not durable: "+r.Database.Durability)
	}
}

// Failed is how many requests failed.
func (r *Report) Failed() (n int) {
	for _, failure := range r.Errors {
		n += failure.Count
	}
	return n
}

// median takes the median of each figure by itself.
func median(rounds []Sample) (m Sample) {
	for _, figure := range []func(*Sample) *float64{
		func(s *Sample) *float64 { return &s.PerSecond }, func(s *Sample) *float64 { return &s.P50 }, func(s *Sample) *float64 { return &s.P99 },
	} {
		var values []float64
		for _, s := range rounds {
			values = append(values, *figure(&s))
		}
		*figure(&m) = middle(values)
	}
	for _, figure := range []func(*Sample) **float64{
		func(s *Sample) **float64 { return &s.ServerCPU }, func(s *Sample) **float64 { return &s.DatabaseCPU },
		func(s *Sample) **float64 { return &s.LoadCPU }, func(s *Sample) **float64 { return &s.Stolen },
		func(s *Sample) **float64 { return &s.Others },
	} {
		var values []float64
		for _, s := range rounds {
			if value := *figure(&s); value != nil {
				values = append(values, *value)
			}
		}
		if len(values) > 0 {
			*figure(&m) = new(middle(values))
		}
	}
	return m
}

// middle is the median. Of an even number it is the mean of the two in the middle.
func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
