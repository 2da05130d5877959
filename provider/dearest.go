package provider

import (
	"context"
	"sync"
	"time"
)

// slowSecrets is implemented by stores that may hold imported hashes, which take long to compare.
type slowSecrets interface {
	// EachSlowSecret calls each for the hashes that take long to compare, those of one client one after the other.
	EachSlowSecret(ctx context.Context, each func(clientID string, hash []byte)) error
}

// dearest knows what refusing the client costs whose hashes take longest to compare. It looks every second, less
// often where there are so many that looking takes time.
type dearest struct {
	mu   sync.Mutex
	work work
	next time.Time
}

// most is that work, or what this client's costs if that is more.
func (d *dearest) most(ctx context.Context, store any, mine work) (work, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	source, ok := store.(slowSecrets)
	if start := time.Now(); ok && !start.Before(d.next) {
		var all, one work
		last := ""
		err := source.EachSlowSecret(ctx, func(clientID string, hash []byte) {
			if clientID != last {
				last, one = clientID, work{}
			}
			one = one.plus(workOf(hash))
			all = all.most(one)
		})
		if err != nil {
			return work{}, err
		}
		d.work, d.next = all, time.Now().Add(max(time.Second, 20*time.Since(start)))
	}
	d.work = d.work.most(mine)
	return d.work, nil
}

// raise is for where there is no store to ask: the most of all that has been seen.
func (d *dearest) raise(mine work) work {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work = d.work.most(mine)
	return d.work
}
