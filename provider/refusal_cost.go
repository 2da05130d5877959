package provider

import (
	"context"
	"sync"
	"time"

	"fosite-mcp/provider/client/slowhash"
)

// refusalCost is the work of refusing the client whose hashes take longest to compare. It is looked up every second, and less
// often where the look-up itself takes long.
type refusalCost struct {
	mu   sync.Mutex
	work slowhash.Work
	next time.Time
}

// most is that work, or the work of this client if that is more.
func (d *refusalCost) most(ctx context.Context, store any, mine slowhash.Work) (slowhash.Work, error) {
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

// raise is the most work seen so far, for callers without a store to ask.
func (d *refusalCost) raise(mine slowhash.Work) slowhash.Work {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work = d.work.Most(mine)
	return d.work
}
