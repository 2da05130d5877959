package provider

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// work is what comparing with hashes costs, in the units of each kind: so a refusal can be made to cost what the dearest
// client's does, exactly and without a clock, whose answer would depend on the load.
type work struct {
	bcrypt         uint64 // rounds: 2 to the cost
	sha256, sha512 uint64 // iterations of PBKDF2, times blocks
	argon2id       uint64 // KiB, times passes
	memory, passes uint32 // of argon2id, in KiB at a time, and its threads: the shape of that work
	threads        uint8
}

// workOf is the work of one comparison with hash; zero for one that is compared fast.
func workOf(hash []byte) (w work) {
	text := string(hash)
	switch {
	case !isSlow(hash):
	case strings.HasPrefix(text, "$2"):
		if cost, err := bcrypt.Cost(hash); err == nil {
			w.bcrypt = 1 << cost
		}
	case strings.HasPrefix(text, "$argon2id$"):
		if d, err := parseArgon2id(text); err == nil {
			w.argon2id = uint64(d.memory) * uint64(d.time)
			w.memory, w.passes, w.threads = d.memory, d.time, d.threads
		}
	case strings.HasPrefix(text, "$pbkdf2-sha256$"):
		if d, err := parsePBKDF2(text); err == nil {
			w.sha256 = uint64(d.iterations) * blocks(len(d.key), sha256.Size)
		}
	default:
		if d, err := parsePBKDF2(text); err == nil {
			w.sha512 = uint64(d.iterations) * blocks(len(d.key), sha512.Size)
		}
	}
	return w
}

func blocks(key, size int) uint64 { return uint64((key + size - 1) / size) }

// plus is the work of both.
func (w work) plus(o work) work {
	sum := w.shapedAs(o)
	sum.bcrypt, sum.sha256, sum.sha512, sum.argon2id = w.bcrypt+o.bcrypt, w.sha256+o.sha256, w.sha512+o.sha512, w.argon2id+o.argon2id
	return sum
}

// most is, of each kind, what the dearer of both has.
func (w work) most(o work) work {
	top := w.shapedAs(o)
	top.bcrypt, top.sha256, top.sha512, top.argon2id = max(w.bcrypt, o.bcrypt), max(w.sha256, o.sha256), max(w.sha512, o.sha512), max(w.argon2id, o.argon2id)
	return top
}

// without is what remains of the work after done.
func (w work) without(done work) work {
	w.bcrypt -= min(w.bcrypt, done.bcrypt)
	w.sha256 -= min(w.sha256, done.sha256)
	w.sha512 -= min(w.sha512, done.sha512)
	w.argon2id -= min(w.argon2id, done.argon2id)
	return w
}

// shapedAs has the argon2id parameters of the one that takes more memory at a time.
func (w work) shapedAs(o work) work {
	if o.memory > w.memory {
		w.memory, w.passes, w.threads = o.memory, o.passes, o.threads
	}
	return w
}

func (w work) none() bool { return w.bcrypt|w.sha256|w.sha512|w.argon2id == 0 }

// do works, to no other purpose than the time that it takes.
func (w work) do(secret []byte) {
	for cost := bcrypt.MinCost; w.bcrypt>>cost > 0; cost++ { // the sum of powers of two that it is
		if w.bcrypt>>cost&1 == 1 {
			_ = bcrypt.CompareHashAndPassword(fmt.Appendf(nil, "$2a$%02d$%s", cost, strings.Repeat("a", 53)), secret)
		}
	}
	if w.sha256 > 0 {
		_, _ = pbkdf2.Key(sha256.New, string(secret), decoySalt, int(w.sha256), sha256.Size)
	}
	if w.sha512 > 0 {
		_, _ = pbkdf2.Key(sha512.New, string(secret), decoySalt, int(w.sha512), sha512.Size)
	}
	for _, memory := range w.pieces() {
		argon2.IDKey(secret, decoySalt, w.passes, memory, w.threads, 32)
	}
}

// pieces are the KiB of the argon2id hashes that the work is done by: that of several clients' takes no more memory at a
// time than one of theirs.
func (w work) pieces() (memory []uint32) {
	for left := w.argon2id; left > 0; {
		piece := min(left, uint64(max(w.memory, 8))*uint64(w.passes))
		memory = append(memory, uint32(piece/uint64(w.passes)))
		left -= piece
	}
	return memory
}

var decoySalt = []byte("sixteen bytes   ")
