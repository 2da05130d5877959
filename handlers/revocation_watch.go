package handlers

import (
	"context"
	"sync"
	"time"
)

const (
	watchInterval    = 200 * time.Millisecond
	maxWaiting       = 1024
	maxWaitingClient = 64 // a service may run as many processes
)

// revocationWatch tells requests that wait when something has ended, by this process or another one. One goroutine looks for all
// of them, while there are any.
type revocationWatch struct {
	mu       sync.Mutex
	waiting  int
	byClient map[string]int
	running  bool
	changed  chan struct{} // closed and made anew when something has ended
}

// join counts a request that waits. ok is false when there are too many.
func (w *revocationWatch) join(clientID string) (leave func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting >= maxWaiting || w.byClient[clientID] >= maxWaitingClient {
		return nil, false
	}
	if w.byClient == nil {
		w.byClient = make(map[string]int)
	}
	w.waiting++
	w.byClient[clientID]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waiting--
		if w.byClient[clientID]--; w.byClient[clientID] == 0 {
			delete(w.byClient, clientID)
		}
	}, true
}

// news is closed when something has ended after this call. Call it before the feed is read, and follow afterwards.
func (w *revocationWatch) news() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// follow begins to look for what has ended after a cursor, unless somebody looks already.
func (w *revocationWatch) follow(look func(ctx context.Context, cursor string) (bool, string, error), cursor string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		w.running = true
		go w.run(look, cursor)
	}
}

func (w *revocationWatch) run(look func(ctx context.Context, cursor string) (bool, string, error), cursor string) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for range ticker.C {
		if w.stopped() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), feedReadLimit)
		changed, now, err := look(ctx, cursor)
		cancel()
		if err == nil {
			cursor = now
		}
		if changed || err != nil { // who waits will meet the failure
			w.wake()
		}
	}
}

// stopped ends the watch when nobody waits.
func (w *revocationWatch) stopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = w.waiting > 0
	return !w.running
}

func (w *revocationWatch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}
