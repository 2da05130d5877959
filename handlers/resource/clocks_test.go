package resource

import (
	"testing"
	"time"
	"unsafe"
)

// clocks moves each of the two clocks that a time of time.Now holds by itself:
// package time moves both together. It knows how a time.Time is made up.
func clocks(t time.Time, monotonic, wall time.Duration) time.Time {
	parts := (*struct {
		wall uint64 // seconds from bit 30 on
		ext  int64  // the monotonic clock, in nanoseconds
	})(unsafe.Pointer(&t))
	parts.wall += uint64(int64(wall/time.Second) << 30)
	parts.ext += int64(monotonic)
	return t
}

func TestElapsedIsByTheClockThatWentFurther(t *testing.T) {
	from := time.Now()
	for _, c := range []struct{ monotonic, wall, want time.Duration }{
		{time.Hour, 2 * time.Hour, 2 * time.Hour}, {2 * time.Hour, time.Hour, 2 * time.Hour},
		{time.Minute, -time.Hour, time.Minute}, {0, time.Minute, time.Minute},
	} {
		if got := elapsed(from, clocks(from, c.monotonic, c.wall)); got != c.want {
			t.Errorf("monotonic %s, wall %s: %s, want %s", c.monotonic, c.wall, got, c.want)
		}
	}
}

// A clock that jumps, or stands still, makes nobody forget.
func TestKillSwitchForgetsByTheClockThatWentLess(t *testing.T) {
	for name, c := range map[string]struct {
		monotonic, wall time.Duration
		forgotten       bool
	}{
		"the wall clock was set": {0, 48 * time.Hour, false}, "the monotonic clock alone": {48 * time.Hour, 0, false}, "both": {48 * time.Hour, 48 * time.Hour, true},
	} {
		k := newKillSwitch(24 * time.Hour)
		k.revoked([]revocation{{Kind: kindToken, ID: "x"}})
		for range 2 {
			k.began = clocks(k.began, -c.monotonic, -c.wall)
			k.revoked([]revocation{{Kind: kindToken, ID: "other"}})
		}
		if got := k.judge(&Token{ID: "x", IssuedAt: time.Now()}); (got == notRevoked) != c.forgotten {
			t.Errorf("%s: verdict %d, forgotten must be %v", name, got, c.forgotten)
		}
	}
}
