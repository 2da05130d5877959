package provider

import (
	"context"
	"sync"
	"time"

	"fosite-mcp/provider/client/slowhash"
)

// dearest knows what refusing the client costs whose hashes take longest to compare. It looks every second, less
// often where there are so many that looking takes time.
type dearest struct {
	mu   sync.Mutex
	work slowhash.Work
	next time.Time
}

// most is that work, or what this client's costs if that is more.
func (d *dearest) most(ctx context.Context, store any, mine slowhash.Work) (slowhash.Work, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	source, ok := store.(SlowSecretStore)
	if start := time.Now(); ok && !start.Before(d.next) {
		var all, one slowhash.Work
		last := ""
		err := source.EachSlowSecret(ctx, func(clientID string, hash []byte) {
			if clientID != last {
				last, one = clientID, slowhash.Work{}
			}
			one = one.Plus(slowhash.Of(hash))
			all = all.Most(one)
		})
		if err != nil {
			return slowhash.Work{}, err
		}
		d.work, d.next = all, time.Now().Add(max(time.Second, 20*time.Since(start)))
	}
	d.work = d.work.Most(mine)
	return d.work, nil
}

// raise is for where there is no store to ask: the most of all that has been seen.
func (d *dearest) raise(mine slowhash.Work) slowhash.Work {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work = d.work.Most(mine)
	return d.work
}
