package slowhash

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Work is the cost of comparing a secret with hashes, in the units of each kind of hash. With it every refusal can cost as much
// as the costliest one. A clock could not do that, because times depend on the load.
type Work struct {
	Bcrypt         uint64 // rounds: 2 to the cost
	SHA256, SHA512 uint64 // iterations of PBKDF2, times blocks
	Argon2id       uint64 // KiB, times passes
	Memory, Passes uint32 // of argon2id, in KiB at a time, and its threads: the shape of that work
	Threads        uint8
}

// Of is the work of one comparison with hash; zero for one that is compared fast.
func Of(hash []byte) (w Work) {
	text := string(hash)
	switch {
	case !Is(hash):
	case strings.HasPrefix(text, "$2"):
		if cost, err := bcrypt.Cost(hash); err == nil {
			w.Bcrypt = 1 << cost
		}
	case strings.HasPrefix(text, "$argon2id$"):
		if d, err := parseArgon2id(text); err == nil {
			w.Argon2id = uint64(d.memory) * uint64(d.time)
			w.Memory, w.Passes, w.Threads = d.memory, d.time, d.threads
		}
	case strings.HasPrefix(text, "$pbkdf2-sha256$"):
		if d, err := parsePBKDF2(text); err == nil {
			w.SHA256 = uint64(d.iterations) * blocks(len(d.key), sha256.Size)
		}
	default:
		if d, err := parsePBKDF2(text); err == nil {
			w.SHA512 = uint64(d.iterations) * blocks(len(d.key), sha512.Size)
		}
	}
	return w
}

func blocks(key, size int) uint64 { return uint64((key + size - 1) / size) }

// Plus is the work of both.
func (w Work) Plus(o Work) Work {
	sum := w.shapedAs(o)
	sum.Bcrypt, sum.SHA256, sum.SHA512, sum.Argon2id = w.Bcrypt+o.Bcrypt, w.SHA256+o.SHA256, w.SHA512+o.SHA512, w.Argon2id+o.Argon2id
	return sum
}

// Most is, of each kind, what the dearer of both has.
func (w Work) Most(o Work) Work {
	top := w.shapedAs(o)
	top.Bcrypt, top.SHA256, top.SHA512, top.Argon2id = max(w.Bcrypt, o.Bcrypt), max(w.SHA256, o.SHA256), max(w.SHA512, o.SHA512), max(w.Argon2id, o.Argon2id)
	return top
}

// Without is what remains of the work after done.
func (w Work) Without(done Work) Work {
	w.Bcrypt -= min(w.Bcrypt, done.Bcrypt)
	w.SHA256 -= min(w.SHA256, done.SHA256)
	w.SHA512 -= min(w.SHA512, done.SHA512)
	w.Argon2id -= min(w.Argon2id, done.Argon2id)
	return w
}

// shapedAs has the argon2id parameters of the one that takes more memory at a time.
func (w Work) shapedAs(o Work) Work {
	if o.Memory > w.Memory {
		w.Memory, w.Passes, w.Threads = o.Memory, o.Passes, o.Threads
	}
	return w
}

// None tells that there is nothing to do.
func (w Work) None() bool { return w.Bcrypt|w.SHA256|w.SHA512|w.Argon2id == 0 }

func (w Work) do(secret []byte) {
	for cost := bcrypt.MinCost; w.Bcrypt>>cost > 0; cost++ { // the sum of powers of two that it is
		if w.Bcrypt>>cost&1 == 1 {
			_ = bcrypt.CompareHashAndPassword(fmt.Appendf(nil, "$2a$%02d$%s", cost, strings.Repeat("a", 53)), secret)
		}
	}
	if w.SHA256 > 0 {
		_, _ = pbkdf2.Key(sha256.New, string(secret), dummySalt, int(w.SHA256), sha256.Size)
	}
	if w.SHA512 > 0 {
		_, _ = pbkdf2.Key(sha512.New, string(secret), dummySalt, int(w.SHA512), sha512.Size)
	}
	for _, memory := range w.pieces() {
		argon2.IDKey(secret, dummySalt, w.Passes, memory, w.Threads, 32)
	}
}

// pieces are the KiB of the argon2id hashes that the work is done by: that of several clients' takes no more memory at a
// time than one of theirs.
func (w Work) pieces() (memory []uint32) {
	for left := w.Argon2id; left > 0; {
		piece := min(left, uint64(max(w.Memory, 8))*uint64(w.Passes))
		memory = append(memory, uint32(piece/uint64(w.Passes)))
		left -= piece
	}
	return memory
}

var dummySalt = []byte("sixteen bytes   ")
