package slowhash

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// A client may have ten secrets: a refusal must not take the memory of ten hashes at once.
func TestTheWorkOfManyHashesTakesTheMemoryOfOne(t *testing.T) {
	one := Work{Argon2id: 3 * 65536, Memory: 65536, Passes: 3, Threads: 1}
	small := Work{Argon2id: 16 * 1024, Memory: 1024, Passes: 16, Threads: 1}
	all := small
	for range 10 {
		all = all.Plus(one)
	}
	sum := uint64(0)
	for _, memory := range all.pieces() {
		sum += uint64(memory) * uint64(all.Passes)
		if memory > one.Memory {
			t.Errorf("a piece takes %d KiB, want at most %d", memory, one.Memory)
		}
	}
	if missing := all.Argon2id - sum; missing >= uint64(all.Passes) {
		t.Errorf("%d units of work are missing of %d", missing, all.Argon2id)
	}
}

// The library accepts the hashes that Work compares with: it would refuse a malformed one at once.
func TestWorkIsDone(t *testing.T) {
	for cost := bcrypt.MinCost; cost < 6; cost++ {
		hash := fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat("a", 53))
		if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
	Work{Bcrypt: 48, SHA256: 3, SHA512: 3, Argon2id: 100, Passes: 3, Threads: 2}.do([]byte("x"))
}
