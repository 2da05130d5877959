package lengths

import (
	"crypto/sha256"
	"strings"
	"testing"
)

func TestNoTwoListsLookTheSame(t *testing.T) {
	seen := map[[sha256.Size]byte][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"a", "", "b"}, {strings.Repeat("\x00", 8)}} {
		h := sha256.New()
		Write(h, parts...)
		sum := [sha256.Size]byte(h.Sum(nil))
		if other, known := seen[sum]; known {
			t.Errorf("%q and %q look the same", parts, other)
		}
		seen[sum] = parts
	}
}
