package bench

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is a closed loop: each connection sends its next request when it has the answer to the last one.
type load struct {
	workload
	address     string
	connections int
	// requests are sent in turn. Each connection goes round by itself, unless once is set: then they are shared, and the
	// load ends with the last one, if not before.
	requests     [][]byte
	once         bool
	warm, window time.Duration
	meter        meter
}

// outcome is what came of a load.
type outcome struct {
	latencies     []time.Duration // of the good answers in the window, sorted
	took          time.Duration
	before, after usage
	tokens        []token
	done          []int // requests that are sent once, and were answered well
	good          int   // answers, those of the warm-up too
	errors        map[string]int
}

// phases of a load
const (
	warming = iota
	measuring
	over
)

// running is a load under way.
type running struct {
	*load
	phase  atomic.Int32
	next   atomic.Int64
	warmed chan struct{} // closed when a quarter of the requests that are sent once is sent
	// measured is closed with the first answer that counts: however short the window is, there is one.
	measured chan struct{}
	first    sync.Once

	mu  sync.Mutex
	all outcome
}

func (l *load) run(ctx context.Context) (*outcome, error) {
	r := &running{load: l, warmed: make(chan struct{}), measured: make(chan struct{})}
	r.all.errors = make(map[string]int)
	warmUp := l.warm > 0 && (!l.once || len(l.requests) >= fewRequests)
	if !warmUp {
		r.phase.Store(measuring)
	}
	r.all.before = l.meter.read()
	started := time.Now()
	var workers sync.WaitGroup
	for n := range l.connections {
		workers.Go(func() { r.connection(ctx, n) })
	}
	done := make(chan struct{})
	go func() { workers.Wait(); close(done) }()

	if warmUp {
		wait(ctx, l.warm, r.warmed, done)
		r.all.before = l.meter.read()
		started = time.Now()
		r.phase.Store(measuring)
	}
	wait(ctx, l.window, nil, done)
	wait(ctx, answerLimit, r.measured, done)
	r.all.took = time.Since(started)
	r.all.after = l.meter.read()
	r.phase.Store(over)
	<-done
	slices.Sort(r.all.latencies)
	return &r.all, ctx.Err()
}

// fewRequests that are sent once are too few to spend some on a warm-up.
const fewRequests = 100

// wait ends after d, or when one of the others does.
func wait(ctx context.Context, d time.Duration, others ...<-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	first, second := others[0], others[1]
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-first:
	case <-second:
	}
}

// mostFailures is after how many broken connections in a row a worker gives up.
const mostFailures = 20

// connection sends requests until the load ends.
func (r *running) connection(ctx context.Context, n int) {
	own := outcome{errors: make(map[string]int)}
	c := &connection{address: r.address}
	defer c.close()
	defer context.AfterFunc(ctx, c.interrupt)()
	failures := 0
	for at := n * len(r.requests) / r.connections; r.phase.Load() != over && ctx.Err() == nil && failures < mostFailures; at++ {
		if r.once {
			if at = r.take(); at >= len(r.requests) {
				break
			}
		}
		at %= len(r.requests)
		began := time.Now()
		status, body, err := c.exchange(ctx, r.requests[at])
		took := time.Since(began)
		counts := r.phase.Load() == measuring
		if counts {
			r.first.Do(func() { close(r.measured) })
		}
		if err != nil {
			if ctx.Err() == nil {
				own.errors[connectionError(err)]++
			}
			c.close()
			failures++
			_ = pause(ctx, time.Duration(failures)*time.Millisecond) // the loop looks at ctx
			continue
		}
		failures = 0
		if problem := r.wrong(status, body); problem != "" {
			own.errors[problem]++
			continue
		}
		own.good++
		if counts {
			own.latencies = append(own.latencies, took)
		}
		if r.once {
			own.done = append(own.done, at)
		}
		if r.keep {
			own.tokens = append(own.tokens, token{string(tokenIn(body)), at})
		}
	}
	r.merge(own)
}

// take is the next of the requests that are sent once.
func (r *running) take() int {
	at := int(r.next.Add(1)) - 1
	if at == len(r.requests)/4 {
		close(r.warmed)
	}
	return at
}

func (r *running) merge(own outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.latencies = append(r.all.latencies, own.latencies...)
	r.all.tokens = append(r.all.tokens, own.tokens...)
	r.all.done = append(r.all.done, own.done...)
	r.all.good += own.good
	for problem, n := range own.errors {
		r.all.errors[problem] += n
	}
}

// firstOf is the first of some problems by the alphabet.
func firstOf(problems map[string]int) string { return slices.Sorted(maps.Keys(problems))[0] }
