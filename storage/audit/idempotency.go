package audit

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// How long the answer to a request with an Idempotency-Key is kept, how long the secret in it can be shown again, and
// when a request that never finished counts as abandoned.
const (
	IdempotencyLifetime = 24 * time.Hour
	ReplaySecretFor     = 10 * time.Minute
	idempotencyClaim    = time.Minute
)

var (
	// ErrIdempotencyReused says that the key was used for another request.
	ErrIdempotencyReused = errors.New("storage: this idempotency key belongs to another request")
	// ErrIdempotencyRunning says that the first request with the key has not been answered yet.
	ErrIdempotencyRunning = errors.New("storage: the first request with this idempotency key is still running")
)

// A KeptAnswer is what was answered to a request with an Idempotency-Key.
type KeptAnswer struct {
	Status int
	Header http.Header
	Body   []byte // without any secret
	// Sealed is the body with the secret, encrypted by the caller; nil once it is older than [ReplaySecretFor].
	Sealed []byte
}

// A Claim is the right to carry out one request.
type Claim struct {
	key []byte
	id  string
}

// IdempotencyKeys see to it that a request that is sent twice happens once.
type IdempotencyKeys struct {
	db  *database.DB
	now func() time.Time
}

// NewIdempotencyKeys makes the keys of db.
func NewIdempotencyKeys(db *database.DB, now func() time.Time) *IdempotencyKeys {
	return &IdempotencyKeys{db, now}
}

const claimKey = `INSERT INTO {idempotency_keys} (key_hash, request_hash, claim, claimed_until, expires_at) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash, claim = excluded.claim, claimed_until = excluded.claimed_until,
		expires_at = excluded.expires_at, status = 0, headers = '', body = '', sealed = NULL, completed_at = NULL
	WHERE {idempotency_keys}.expires_at <= ?
		OR ({idempotency_keys}.status = 0 AND {idempotency_keys}.claimed_until <= ? AND {idempotency_keys}.request_hash = excluded.request_hash)`

// Claim gives the caller the right to carry out the request of this key and fingerprint. Both are hashes. End the claim with
// Complete or Release. A request that was answered before has its answer in place of a claim. The errors are
// [ErrIdempotencyReused] and [ErrIdempotencyRunning].
func (k *IdempotencyKeys) Claim(ctx context.Context, key, fingerprint []byte) (*Claim, *KeptAnswer, error) {
	now, claim := k.now(), rand.Text()
	n, err := k.db.Run(ctx, claimKey, key, fingerprint, claim, model.At(now.Add(idempotencyClaim)), model.At(now.Add(IdempotencyLifetime)),
		model.At(now), model.At(now))
	if err != nil {
		return nil, nil, database.Wrap(err, "claim an idempotency key")
	}
	if n == 1 {
		return &Claim{key, claim}, nil, nil
	}
	kept, err := database.FindOne[model.IdempotencyKey](k.db.Read(ctx).Where("key_hash = ?", model.Hash(key)), "read an idempotency key")
	switch {
	case err != nil:
		return nil, nil, err
	case kept == nil:
		return nil, nil, ErrIdempotencyRunning // it has failed this very moment; the next try may go ahead
	case subtle.ConstantTimeCompare(kept.RequestHash, fingerprint) != 1:
		return nil, nil, ErrIdempotencyReused
	case kept.Status == 0:
		return nil, nil, ErrIdempotencyRunning
	}
	answer := &KeptAnswer{Status: int(kept.Status), Body: []byte(kept.Body)}
	if err := json.Unmarshal([]byte(kept.Headers), &answer.Header); err != nil {
		return nil, nil, database.Wrap(err, "decode a kept answer")
	}
	if model.Millis(now) < model.Millis(kept.CompletedAt.Add(ReplaySecretFor)) {
		answer.Sealed = kept.Sealed
	}
	return nil, answer, nil
}

// Complete keeps the answer. Call it in the transaction of the change that the answer describes. It answers
// [ErrIdempotencyRunning] when another request has taken over the claim; then undo the change.
func (k *IdempotencyKeys) Complete(ctx context.Context, claim *Claim, answer KeptAnswer) error {
	headers, err := json.Marshal(answer.Header)
	if err != nil {
		return database.Wrap(err, "encode an answer")
	}
	n, err := k.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.IdempotencyKey{}).Scopes(claim.running).Updates(&model.IdempotencyKey{
			Status: int64(answer.Status), Headers: string(headers), Body: string(answer.Body), Sealed: answer.Sealed, CompletedAt: model.At(k.now()),
		})
	})
	return database.MustChange(n, err, "keep an answer", ErrIdempotencyRunning)
}

// running is the row of a claim that was neither completed nor taken over.
func (c *Claim) running(tx *gorm.DB) *gorm.DB {
	return tx.Where("key_hash = ? AND claim = ? AND status = 0", model.Hash(c.key), c.id)
}

// Release gives up a claim: the request has changed nothing and may be tried again with the same key.
func (k *IdempotencyKeys) Release(ctx context.Context, claim *Claim) error {
	_, err := k.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Scopes(claim.running).Delete(&model.IdempotencyKey{})
	})
	return database.Wrap(err, "release an idempotency key")
}

// Prune erases secrets that are too old now to be shown again, and deletes answers that have expired. Call it every few minutes.
func (k *IdempotencyKeys) Prune(ctx context.Context, now time.Time) error {
	_, err := k.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.IdempotencyKey{}).Where("sealed IS NOT NULL AND completed_at <= ?", model.At(now.Add(-ReplaySecretFor))).Update("sealed", nil)
	})
	if err != nil {
		return database.Wrap(err, "erase kept secrets")
	}
	_, err = k.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Where("expires_at <= ?", model.At(now)).Delete(&model.IdempotencyKey{})
	})
	return database.Wrap(err, "forget kept answers")
}
