package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ory/fosite"
)

// occupy takes the only place, so that everybody else waits until release is called.
func occupy(t *testing.T, d *door) (release func()) {
	t.Helper()
	release, err := d.wait(t.Context(), "occupied")
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestAFullLaneKeepsNoOtherLaneWaiting(t *testing.T) {
	d := newTurns(1).door(1000, time.Hour)
	release := occupy(t, d)
	var flood []*turn
	for range 100 {
		flood = append(flood, d.join("flooded"))
	}
	other := d.join("other")
	release()
	if !other.hasCome() {
		t.Fatal("the other lane, which is new, waits for the flooded one")
	}
	again := d.join("other")
	other.leave()
	if !flood[99].hasCome() {
		t.Fatal("the last of the flooded lane is not the next: whoever has just had a turn is before it")
	}
	flood[99].leave()
	if !again.hasCome() {
		t.Error("the other lane waits for a second one of the flooded lane")
	}
}

// One lane never takes all places, however many there are.
func TestALaneRunsOneAtATime(t *testing.T) {
	d := newTurns(4).door(10, time.Hour)
	first, second, other := d.join("one"), d.join("one"), d.join("other")
	if !first.hasCome() || second.hasCome() || !other.hasCome() {
		t.Fatalf("running: %t, %t and %t; want the first of each lane", first.hasCome(), second.hasCome(), other.hasCome())
	}
	first.leave()
	if !second.hasCome() {
		t.Error("the second waits for nobody")
	}
}

// A door whose comparisons take ten times as long gets a tenth of the turns.
func TestDoorsShareTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		cheap, dear := turns.door(1000, time.Hour), turns.door(1000, time.Hour)
		var group sync.WaitGroup
		var cheapDone, dearDone atomic.Int64
		visit := func(d *door, cost time.Duration, done *atomic.Int64) {
			end, err := d.wait(t.Context(), "lane")
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(cost)
			done.Add(1)
			end()
		}
		for range 100 {
			group.Go(func() { visit(dear, 250*time.Millisecond, &dearDone) })
			group.Go(func() { visit(cheap, 25*time.Millisecond, &cheapDone) })
		}
		time.Sleep(2500 * time.Millisecond)
		if c, d := cheapDone.Load(), dearDone.Load(); c < 40 || c > 60 || d < 4 || d > 6 {
			t.Errorf("after 2.5 s there were %d turns of 25 ms and %d of 250 ms, want half of the time for each", c, d)
		}
		group.Wait()
	})
}

// Who has not come for a long time has not saved up turns: that would close the other door.
func TestNoDoorSavesUpTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		busy, idle := turns.door(1000, time.Hour), turns.door(1000, time.Hour)
		for range 100 {
			end := occupy(t, busy)
			time.Sleep(time.Second)
			end()
		}
		release := occupy(t, busy)
		waiting := busy.join("lane")
		late := make([]*turn, 3)
		for i := range late {
			late[i] = idle.join(fmt.Sprint(i))
		}
		time.Sleep(time.Second)
		release()
		for _, turn := range []*turn{late[2], late[1]} { // the first one makes up for what the other door has just had
			if !turn.hasCome() {
				break
			}
			time.Sleep(time.Second)
			turn.leave()
		}
		if !waiting.hasCome() {
			t.Error("the door that was not idle waits for all of the other's turns")
		}
	})
}

// Those who come together and wait in vain leave one by one: their next tries would else come as one wave as well, and
// whoever else asks at that moment waits for all of it.
func TestAFloodDoesNotComeInWaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTurns(1).door(1000, time.Second)
		defer occupy(t, d)()
		var mu sync.Mutex
		left := make(map[time.Duration]int) // by tenth of a second
		var flood sync.WaitGroup
		start := time.Now()
		for range 1000 {
			flood.Go(func() {
				_, _ = d.wait(t.Context(), "lane")
				mu.Lock()
				defer mu.Unlock()
				left[time.Since(start)/(100*time.Millisecond)]++
			})
		}
		flood.Wait()
		for tenth, n := range left {
			if n > 300 {
				t.Errorf("%d of 1,000 leave within the same tenth of a second, from %v on", n, tenth*100*time.Millisecond)
			}
		}
	})
}

// In a flood those who have waited longest are sent away, from where there are most: who comes last finds room.
func TestQueuesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTurns(1).door(3, time.Second)
		release := occupy(t, d)
		sent := make(chan error, 1)
		go func() {
			_, err := d.wait(t.Context(), "one")
			sent <- err
		}()
		synctest.Wait()
		second, third := d.join("one"), d.join("two")
		fourth := d.join("two")
		if err := <-sent; !errors.Is(err, ErrTooBusy) || !errors.Is(err, fosite.ErrTemporarilyUnavailable) {
			t.Errorf("the first of four, for whom there is no room: %v, want ErrTooBusy", err)
		}
		second.leave() // it does not wait any more
		second.leave()
		start := time.Now()
		if _, err := d.wait(t.Context(), "one"); !errors.Is(err, ErrTooBusy) || time.Since(start) < time.Second/2 || time.Since(start) > time.Second {
			t.Errorf("it waited for %v and got %v, want ErrTooBusy within a second", time.Since(start), err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.wait(gone, "one"); !errors.Is(err, ErrTooBusy) || !errors.Is(err, context.Canceled) {
			t.Errorf("somebody who has hung up: %v, want ErrTooBusy and the reason", err)
		}
		release()
		if third.hasCome() || !fourth.hasCome() {
			t.Error("of the two that wait in one lane, the last is not the first")
		}
	})
}

func TestNothingIsLeftOfTurns(t *testing.T) {
	const atOnce = 3
	turns := newTurns(atOnce)
	doors := []*door{turns.door(40, time.Minute), turns.door(40, time.Millisecond)}
	var running, most atomic.Int64
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			end, err := doors[i%2].wait(t.Context(), fmt.Sprint(i%7))
			if err != nil {
				return
			}
			for n := running.Add(1); ; {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			running.Add(-1)
			end()
		})
	}
	group.Wait()
	if most.Load() > atOnce {
		t.Errorf("%d ran at a time, want %d", most.Load(), atOnce)
	}
	if turns.free != atOnce {
		t.Errorf("%d places are free, want %d", turns.free, atOnce)
	}
	for _, d := range doors {
		if d.waiting != 0 || len(d.lanes) != 0 || len(d.next) != 0 {
			t.Errorf("left over: %d waiting, %d lanes, %d to serve", d.waiting, len(d.lanes), len(d.next))
		}
	}
}

func TestNobodyWaitsAtNoDoor(t *testing.T) {
	end, err := (*door)(nil).wait(t.Context(), "lane")
	if err != nil {
		t.Fatal(err)
	}
	end()
}
