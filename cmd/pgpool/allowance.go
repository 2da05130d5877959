package pgpool

import (
	"database/sql"
	"sync"
	"sync/atomic"
	"time"
)

// allowance is how many connections the pool may have: as many as wanted, or as the server was seen to allow.
type allowance struct {
	wanted        int
	probeInterval time.Duration
	open          atomic.Int64

	mu      sync.Mutex
	pool    *sql.DB
	allowed int
	probe   *time.Timer // runs while fewer are allowed than wanted
	stopped bool
}

// While connections are scarce, an idle one is given back at once. Every few seconds the pool does with one fewer for a
// moment, so that another process that waits gets it, and then tries for one more.
const (
	scarceIdleTime = time.Second
	probeInterval  = 5 * time.Second
	yieldTime      = 300 * time.Millisecond
)

func (a *allowance) start(pool *sql.DB) {
	a.pool = pool
	a.allowed = a.wanted
	pool.SetConnMaxIdleTime(idleTime)
	a.resize(a.wanted)
}

// refused notes that the server allows no further connection, and tells whether the pool has any.
func (a *allowance) refused() (others bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	open := int(a.open.Load())
	a.allowed = min(max(1, open), a.wanted)
	a.resize(a.allowed)
	if a.probe == nil && !a.stopped {
		a.pool.SetConnMaxIdleTime(scarceIdleTime)
		a.probe = time.AfterFunc(a.probeInterval, a.yield)
	}
	return open > 0
}

// granted notes a new connection.
func (a *allowance) granted() {
	open := int(a.open.Add(1))
	a.mu.Lock()
	defer a.mu.Unlock()
	if open > a.allowed && open <= a.wanted {
		a.allowed = open
		a.resize(open)
	}
}

func (a *allowance) yield() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resize(max(1, a.allowed-1))
	a.again(yieldTime, a.grow)
}

func (a *allowance) grow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.allowed = min(a.allowed+1, a.wanted)
	a.resize(a.allowed)
	if a.allowed < a.wanted {
		a.again(a.probeInterval, a.yield)
		return
	}
	a.pool.SetConnMaxIdleTime(idleTime)
	a.probe = nil
}

// again schedules the next step of the probe. The caller holds mu, as does that of resize.
func (a *allowance) again(after time.Duration, step func()) {
	if !a.stopped {
		a.probe = time.AfterFunc(after, step)
	}
}

func (a *allowance) resize(n int) {
	a.pool.SetMaxOpenConns(n)
	a.pool.SetMaxIdleConns(n) // SetMaxOpenConns lowers it and never raises it
}

func (a *allowance) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.probe != nil {
		a.probe.Stop()
	}
}
