package resource

import (
	"crypto/sha256"
	"sync"
	"time"
)

// tokenHash is the hash of a token: the cache holds no token.
type tokenHash [sha256.Size]byte

func hashToken(token string) tokenHash {
	var buffer [1 << 10]byte // most tokens fit: no allocation
	return sha256.Sum256(append(buffer[:0], token...))
}

// answers are the positive answers that a [Cache] keeps.
type answers struct {
	maxAge  time.Duration
	entries int // at most

	mu    sync.RWMutex
	byKey map[tokenHash]*keptAnswer
	// The feed names tokens by their jti, and clients.
	byID     map[string]*keptAnswer
	byClient map[string]map[tokenHash]*keptAnswer
	// generation counts what the feed has changed. Zero: it is not followed yet.
	generation uint64
}

type keptAnswer struct {
	key   tokenHash
	token *Token
	asked time.Time
}

var _ listener = (*answers)(nil)

func newAnswers(c Cache) *answers {
	return &answers{
		maxAge: c.MaxAge, entries: c.Entries,
		byKey: make(map[tokenHash]*keptAnswer), byID: make(map[string]*keptAnswer),
		byClient: make(map[string]map[tokenHash]*keptAnswer),
	}
}

// get returns the token, or nil if it is not known any more. The time of exp is
// wall's, which may be another clock.
func (a *answers) get(key tokenHash, now, wall time.Time) *Token {
	a.mu.RLock()
	kept := a.byKey[key]
	a.mu.RUnlock()
	if kept == nil {
		return nil
	}
	expires := kept.token.ExpiresAt
	if !expires.IsZero() && !wall.Before(expires) || elapsed(kept.asked, now) >= a.maxAge {
		a.remove(key)
		return nil
	}
	return kept.token
}

func (a *answers) current() uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.generation
}

// put keeps an answer to a question that was asked at the generation. If the
// feed has changed anything since, the answer may be older than a revocation
// that has been applied already, and is not kept.
func (a *answers) put(key tokenHash, token *Token, asked time.Time, generation uint64) {
	if token.ID == "" || token.ClientID == "" || len(token.raw) > maxKeptAnswer {
		return // the feed could not name it, or it is too large
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if generation == 0 || generation != a.generation {
		return
	}
	a.drop(a.byKey[key])
	a.drop(a.byID[token.ID])
	for _, any := range a.byKey {
		if len(a.byKey) < a.entries {
			break
		}
		a.drop(any) // the order of a map is random
	}
	kept := &keptAnswer{key, token, asked}
	a.byKey[key], a.byID[token.ID] = kept, kept
	if a.byClient[token.ClientID] == nil {
		a.byClient[token.ClientID] = make(map[tokenHash]*keptAnswer)
	}
	a.byClient[token.ClientID][key] = kept
}

func (a *answers) remove(key tokenHash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(a.byKey[key])
}

func (a *answers) drop(kept *keptAnswer) {
	if kept == nil {
		return
	}
	client := kept.token.ClientID
	delete(a.byKey, kept.key)
	delete(a.byID, kept.token.ID)
	delete(a.byClient[client], kept.key)
	if len(a.byClient[client]) == 0 {
		delete(a.byClient, client)
	}
}

func (a *answers) dropAll() {
	clear(a.byKey)
	clear(a.byID)
	clear(a.byClient)
}

// restart drops everything.
func (a *answers) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	a.dropAll()
}

// revoked drops what has ended, and what is no longer sure.
func (a *answers) revoked(list []revocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.generation++
	for _, r := range list {
		switch r.Kind {
		case kindToken:
			a.drop(a.byID[r.ID])
		case kindClient:
			for _, kept := range a.byClient[r.ID] {
				a.drop(kept)
			}
		default: // kindAll, and kinds that came later than this program
			a.dropAll()
		}
	}
}
