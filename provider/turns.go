package provider

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ory/fosite"
)

// ErrTooBusy says that too many slow comparisons are waiting already. It says nothing about the secret. It is a
// [fosite.ErrTemporarilyUnavailable].
var ErrTooBusy error = tooBusy{}

type tooBusy struct{}

func (tooBusy) Error() string { return "too many secrets are waiting to be compared; try again" }

func (tooBusy) Is(target error) bool { return target == fosite.ErrTemporarilyUnavailable }

// Busy tells the handlers that nothing is broken.
func (tooBusy) Busy() bool { return true }

// turns lets a bounded number of comparisons run at a time, by fair queueing. All doors (people, clients, …) get the same time.
// The lanes of a door (one client, one address) take turns, one comparison each. So a flood in one lane, or at one door, does
// not delay the others for long.
//
// The last lane to come is served first, and so is the last member of a lane. In a flood somebody must wait until it is too
// late. In this order those are the ones who have waited for long, and not everybody.
type turns struct {
	mu      sync.Mutex
	free    int // how many more may run
	doors   []*door
	reached time.Duration // what the door that was served last had spent: a door that comes back starts from here
	now     func() time.Time
}

func newTurns(atOnce int) *turns { return &turns{free: atOnce, now: time.Now} }

// door is where one kind of comparison waits. Nobody waits at a nil one.
type door struct {
	turns    *turns
	limit    int           // bound of how many wait
	patience time.Duration // bound of how long; they give up at some time in the second half of it
	waiting  int
	lanes    map[string]*lane
	next     []*lane       // those with somebody who may run; the last one is the next
	spent    time.Duration // on comparisons
}

type lane struct {
	name    string
	waiting []*turn // the last one is the next
	running bool
}

// turn is a place in a lane.
type turn struct {
	ready chan struct{} // closed when the turn has come, or never will: gone
	gone  bool
	door  *door
	lane  *lane
	state turnState
	began time.Time
}

type turnState int

const (
	isWaiting turnState = iota
	isRunning
	isOver
)

// door adds one at which up to limit wait, for as long as patience.
func (t *turns) door(limit int, patience time.Duration) *door {
	d := &door{turns: t, limit: limit, patience: patience, lanes: make(map[string]*lane)}
	t.doors = append(t.doors, d)
	return d
}

// wait returns when the turn has come; call end after the comparison. It answers [ErrTooBusy] when that takes too long,
// or too many come afterwards.
func (d *door) wait(ctx context.Context, lane string) (end func(), err error) {
	t := d.join(lane)
	if _, err := t.come(ctx, nil); err != nil {
		t.leave()
		return nil, err
	}
	return t.leave, nil
}

// come returns when the turn has come, or with what comes from instead before that.
func (t *turn) come(ctx context.Context, instead <-chan []byte) ([]byte, error) {
	if t.hasCome() { // needs no timer
		return nil, nil
	}
	timer := time.NewTimer(t.door.patience/2 + rand.N(t.door.patience/2)) // those who came together must not leave in one wave
	defer timer.Stop()
	select {
	case <-t.ready:
		if t.gone {
			return nil, ErrTooBusy
		}
		return nil, nil
	case other := <-instead:
		return other, nil
	case <-timer.C:
		return nil, ErrTooBusy
	case <-ctx.Done():
		return nil, fmt.Errorf("%w (%w)", ErrTooBusy, ctx.Err())
	}
}

// join takes a place in a lane, which must be left in any case.
func (d *door) join(name string) *turn {
	t := &turn{ready: make(chan struct{}), door: d}
	if d == nil {
		close(t.ready)
		return t
	}
	d.turns.mu.Lock()
	defer d.turns.mu.Unlock()
	if d.waiting == 0 {
		d.spent = max(d.spent, d.turns.reached) // nobody saves up turns
	}
	if d.waiting >= d.limit {
		d.drop()
	}
	l := d.lanes[name]
	if l == nil {
		l = &lane{name: name}
		d.lanes[name] = l
	}
	t.lane = l
	l.waiting = append(l.waiting, t)
	d.waiting++
	if len(l.waiting) == 1 && !l.running {
		d.next = append(d.next, l)
	}
	d.turns.serve()
	return t
}

// drop sends away whoever has waited longest in the fullest lane.
func (d *door) drop() {
	var fullest *lane
	for _, l := range d.lanes {
		if fullest == nil || len(l.waiting) > len(fullest.waiting) {
			fullest = l
		}
	}
	oldest := fullest.waiting[0]
	oldest.gone = true
	close(oldest.ready)
	oldest.giveUp()
}

// giveUp leaves the lane before the turn has come.
func (t *turn) giveUp() {
	d, l := t.door, t.lane
	t.state = isOver
	d.waiting--
	l.waiting = slices.DeleteFunc(l.waiting, func(other *turn) bool { return other == t })
	if len(l.waiting) == 0 {
		d.next = slices.DeleteFunc(d.next, func(other *lane) bool { return other == l })
	}
	d.tidy(l)
}

func (d *door) tidy(l *lane) {
	if len(l.waiting) == 0 && !l.running {
		delete(d.lanes, l.name)
	}
}

func (t *turn) hasCome() bool {
	select {
	case <-t.ready:
		return !t.gone
	default:
		return false
	}
}

// leave ends the turn, or gives up the place. It may be called again.
func (t *turn) leave() {
	d := t.door
	if d == nil {
		return
	}
	d.turns.mu.Lock()
	defer d.turns.mu.Unlock()
	switch t.state {
	case isWaiting:
		t.giveUp()
	case isRunning:
		t.state = isOver
		d.spent += d.turns.now().Sub(t.began)
		d.turns.free++
		t.lane.running = false
		if len(t.lane.waiting) > 0 {
			d.next = slices.Insert(d.next, 0, t.lane) // after all who have not had a turn
		}
		d.tidy(t.lane)
		d.turns.serve()
	}
}

// serve lets the next ones run.
func (t *turns) serve() {
	for t.free > 0 {
		var d *door
		for _, other := range t.doors {
			if len(other.next) > 0 && (d == nil || other.spent < d.spent) {
				d = other
			}
		}
		if d == nil {
			return
		}
		l := d.next[len(d.next)-1]
		d.next = d.next[:len(d.next)-1]
		next := l.waiting[len(l.waiting)-1]
		l.waiting = l.waiting[:len(l.waiting)-1]
		d.waiting--
		l.running = true
		next.state, next.began = isRunning, t.now()
		t.reached = max(t.reached, d.spent)
		t.free--
		close(next.ready)
	}
}
