// Package limit counts what callers do and tells when it is too much. Make a [Quota] with [New] for each thing that is
// counted, call [Quota.Take] whenever it happens, and put the outcome into the answer with [State.Tell].
package limit

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// callers is how many of them a quota remembers. The one that was heard of least recently makes room, so that an attacker
// with many addresses cannot fill the memory.
const callers = 20_000

// Quota is how often something may happen for each caller, who has a key of type K. A caller may use it up at once; then
// it refills evenly. It lives in memory: replicas count each for itself. It is safe for concurrent use.
type Quota[K comparable] struct {
	n      int
	quoted string // its name, as in answers
	policy string
	now    func() time.Time
	// Refused is called each time that the quota is used up; nil: nobody is told. Set it before the first Take.
	Refused func()

	mu    sync.Mutex
	left  *simplelru.LRU[K, *rate.Limiter]
	every rate.Limit
}

// New makes a quota of n in each window. Its name, in lower case and dashes, stands in answers. An n of zero means no
// limit. A nil clock is time.Now.
func New[K comparable](name string, n int, window time.Duration, now func() time.Time) *Quota[K] {
	if now == nil {
		now = time.Now
	}
	left, err := simplelru.NewLRU[K, *rate.Limiter](callers, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	quoted := strconv.Quote(name)
	return &Quota[K]{
		n: n, quoted: quoted, policy: quoted + ";q=" + strconv.Itoa(n) + ";w=" + seconds(window), now: now, left: left,
		every: rate.Limit(float64(n) / window.Seconds()),
	}
}

// State is what a quota holds for a caller. The zero State is that of no limit.
type State struct {
	Exceeded bool
	Wait     time.Duration // until the next one is allowed, in whole seconds; 0 unless Exceeded

	quoted, policy string
	left           int
	refills        time.Duration // until the quota is whole again
}

// Take counts one for the caller with this key, unless that exceeds the quota.
func (q *Quota[K]) Take(key K) State {
	if q.n == 0 {
		return State{}
	}
	state := q.take(key)
	if state.Exceeded && q.Refused != nil {
		q.Refused()
	}
	return state
}

func (q *Quota[K]) take(key K) State {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	limiter, known := q.left.Get(key)
	if !known {
		limiter = rate.NewLimiter(q.every, q.n)
		q.left.Add(key, limiter)
	}
	state := State{Exceeded: !limiter.AllowN(now, 1), quoted: q.quoted, policy: q.policy}
	left := limiter.TokensAt(now)
	state.left, state.refills = int(left), q.duration(float64(q.n)-left)
	if state.Exceeded {
		state.left, state.Wait = 0, q.duration(1-left)
	}
	return state
}

// duration is how long n take to refill, in whole seconds, rounded up.
func (q *Quota[K]) duration(n float64) time.Duration {
	const noise = 1e-6 // of floating-point numbers
	return time.Duration(math.Ceil(n/float64(q.every)-noise)) * time.Second
}

// Tell adds the state to the header of an answer: RateLimit-Policy and RateLimit as in
// draft-ietf-httpapi-ratelimit-headers-11, and Retry-After where the quota is exceeded. Where there is no header (nil), it does nothing.
func (s State) Tell(header http.Header) {
	if s.policy == "" || header == nil {
		return
	}
	until := s.refills
	if s.Exceeded {
		until = s.Wait
		if earlier, _ := strconv.Atoi(header.Get("Retry-After")); s.Wait > time.Duration(earlier)*time.Second {
			header.Set("Retry-After", seconds(s.Wait))
		}
	}
	add(header, "Ratelimit-Policy", s.policy)
	add(header, "Ratelimit", s.quoted+";r="+strconv.Itoa(s.left)+";t="+seconds(until))
}

// add appends to a list in one line, which is what clients expect.
func add(header http.Header, name, item string) {
	if list := header.Get(name); list != "" {
		item = list + ", " + item
	}
	header.Set(name, item)
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
