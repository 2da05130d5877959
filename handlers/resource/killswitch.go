package resource

import (
	"sync"
	"sync/atomic"
	"time"
)

// killSwitch knows what has been revoked among tokens that are verified
// offline. It forgets a revocation when every token that it can concern has
// expired: no token that is decided here lives longer than lifespan.
type killSwitch struct {
	lifespan time.Duration

	// How often everything was forgotten.
	restarts atomic.Uint64

	mu sync.RWMutex
	// What came in the lifespan that runs, and in the one before. What names a
	// time to come is in both until that time is over.
	young, old ended
	began      time.Time // of young
}

// ended is what the feed has told.
type ended struct {
	tokens  map[string]struct{}  // by jti
	clients map[string]time.Time // tokens issued before are unsure
	all     time.Time            // the same, of all clients
}

func newEnded() ended {
	return ended{tokens: make(map[string]struct{}), clients: make(map[string]time.Time)}
}

// ahead is what concerns tokens that will be issued later than now.
func (e ended) ahead(now time.Time) ended {
	later := newEnded()
	for id, at := range e.clients {
		if at.After(now) {
			later.clients[id] = at
		}
	}
	if e.all.After(now) {
		later.all = e.all
	}
	return later
}

// verdict is what the kill switch knows of a token.
type verdict int

const (
	notRevoked verdict = iota
	revoked
	unsure
)

var _ listener = (*killSwitch)(nil)

func newKillSwitch(lifespan time.Duration) *killSwitch {
	k := &killSwitch{lifespan: lifespan}
	k.restart()
	return k
}

func (k *killSwitch) judge(t *Token) verdict {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, known := range []*ended{&k.young, &k.old} {
		if _, found := known.tokens[t.ID]; found {
			return revoked
		}
	}
	for _, known := range []*ended{&k.young, &k.old} {
		// iat has whole seconds, and replicas have clocks of their own.
		if before := t.IssuedAt.Add(-time.Second); !before.After(known.all) || !before.After(known.clients[t.ClientID]) {
			return unsure
		}
	}
	return notRevoked
}

// restart forgets everything.
func (k *killSwitch) restart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
}

func (k *killSwitch) forget() {
	k.restarts.Add(1)
	k.young, k.old, k.began = newEnded(), newEnded(), time.Now()
}

func (k *killSwitch) revoked(list []revocation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	// Whichever clock went less far: one that jumps must not make us forget.
	if min(now.Sub(k.began), now.Round(0).Sub(k.began.Round(0))) > k.lifespan+2*clockSkew {
		k.old, k.young, k.began = k.young, k.young.ahead(now), now
	}
	for _, r := range list {
		at := r.Time.Time
		if at.IsZero() {
			at = now.Add(clockSkew)
		}
		switch r.Kind {
		case kindToken:
			k.young.tokens[r.ID] = struct{}{}
		case kindClient:
			k.young.clients[r.ID] = latest(k.young.clients[r.ID], at)
		default:
			k.young.all = latest(k.young.all, at)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
