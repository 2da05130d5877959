package storage

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ory/fosite"
)

func TestOneProcessCleansUpAtATime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock, dialector := newTestClock(), e.dialector(t)
		clients := newClientMap(&fosite.DefaultClient{ID: "machine"})
		first, second := New(openPool(t, dialector()), WithClients(clients), WithClock(clock.now)), New(openPool(t, dialector()), WithClients(clients), WithClock(clock.now))
		if err := first.Migrate(soon(t)); err != nil {
			t.Fatal(err)
		}
		execSQL(t, first, `DROP TABLE IF EXISTS {settings}`) // a table of another part
		for i := range 4 {
			if err := first.MarkJWTUsedForTime(soon(t), fmt.Sprint(i), clock.now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		clock.forward(time.Hour)
		inTheMiddle := func(string, int64) {
			if _, err := second.CleanUp(soon(t), CleanUp{}); !errors.Is(err, ErrCleaningElsewhere) {
				t.Errorf("while another one cleans: %v", err)
			}
			clock.forward(cleanUpLease + time.Millisecond) // it seems to have died
			if n, err := second.CleanUp(soon(t), CleanUp{}); n != 3 || err != nil {
				t.Errorf("after its lease has ended: %d rows deleted, %v; want the other 3", n, err)
			}
		}
		if n, err := first.CleanUp(soon(t), CleanUp{Batch: 1, Progress: inTheMiddle}); n != 1 || !errors.Is(err, ErrCleaningElsewhere) {
			t.Errorf("the one that lost its lease has deleted %d rows, %v; want 1, and ErrCleaningElsewhere", n, err)
		}
		if n, err := first.CleanUp(soon(t), CleanUp{}); n != 0 || err != nil {
			t.Errorf("afterwards: %d rows deleted, %v", n, err)
		}
	})
}
