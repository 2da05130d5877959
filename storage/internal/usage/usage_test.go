package usage

import (
	"fmt"
	"testing"
	"time"
)

func TestWhatIsRememberedOfUseIsBounded(t *testing.T) {
	var u Times
	at := time.UnixMilli(1)
	for i := range limit + 10 {
		u.Note(fmt.Sprint(i), at)
	}
	u.Note("0", at.Add(time.Millisecond))
	if u.Pending() != limit {
		t.Errorf("%d are pending, want %d", u.Pending(), limit)
	}
	if seen := u.take(); len(seen) != limit || seen["0"] != 2 {
		t.Errorf("%d remembered, want %d", len(seen), limit)
	}
	if u.Pending() != 0 {
		t.Error("what was taken is still there")
	}
}

func TestWhatIsGivenBackOfUseIsNoNewerThanWhatCameSince(t *testing.T) {
	var u Times
	u.Note("again", time.UnixMilli(1))
	u.Note("once", time.UnixMilli(1))
	seen := u.take()
	u.Note("again", time.UnixMilli(2))
	u.giveBack([]string{"again", "once"}, seen)
	if got := u.take(); got["again"] != 2 || got["once"] != 1 {
		t.Errorf("remembered %v", got)
	}
}
