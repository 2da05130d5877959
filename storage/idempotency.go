package storage

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
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

// An IdempotencyClaim is the right to carry out one request.
type IdempotencyClaim struct {
	key []byte
	id  string
}

const claimIdempotencyKey = `INSERT INTO {idempotency_keys} (key_hash, request_hash, claim, claimed_until, expires_at) VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash, claim = excluded.claim, claimed_until = excluded.claimed_until,
		expires_at = excluded.expires_at, status = 0, headers = '', body = '', sealed = NULL, completed_at = NULL
	WHERE {idempotency_keys}.expires_at <= ?
		OR ({idempotency_keys}.status = 0 AND {idempotency_keys}.claimed_until <= ? AND {idempotency_keys}.request_hash = excluded.request_hash)`

// ClaimIdempotencyKey makes the caller the one who carries out the request of this key and fingerprint, both of them
// hashes. Finish it with CompleteIdempotencyKey or ReleaseIdempotencyKey. When the request was answered before, the
// answer is returned in place of a claim. It answers [ErrIdempotencyReused] and [ErrIdempotencyRunning].
func (s *Store) ClaimIdempotencyKey(ctx context.Context, key, fingerprint []byte) (*IdempotencyClaim, *KeptAnswer, error) {
	now, claim := s.now(), newID("")
	n, err := s.db.Run(ctx, claimIdempotencyKey, key, fingerprint, claim, millis(now.Add(idempotencyClaim)), millis(now.Add(IdempotencyLifetime)),
		millis(now), millis(now))
	if err != nil {
		return nil, nil, fmt.Errorf("storage: claim an idempotency key: %w", err)
	}
	if n == 1 {
		return &IdempotencyClaim{key, claim}, nil, nil
	}
	var status int
	var requestHash, sealed []byte
	var headers, body string
	var completedAt sql.NullInt64
	err = s.db.Read(ctx).QueryRow(`SELECT request_hash, status, headers, body, sealed, completed_at FROM {idempotency_keys} WHERE key_hash = ?`, key).
		Scan(&requestHash, &status, &headers, &body, &sealed, &completedAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil, ErrIdempotencyRunning // it has failed this very moment; the next try may go ahead
	case err != nil:
		return nil, nil, fmt.Errorf("storage: read an idempotency key: %w", err)
	case subtle.ConstantTimeCompare(requestHash, fingerprint) != 1:
		return nil, nil, ErrIdempotencyReused
	case status == 0:
		return nil, nil, ErrIdempotencyRunning
	}
	answer := &KeptAnswer{Status: status, Body: []byte(body)}
	if err := json.Unmarshal([]byte(headers), &answer.Header); err != nil {
		return nil, nil, fmt.Errorf("storage: decode a kept answer: %w", err)
	}
	if millis(now) < completedAt.Int64+ReplaySecretFor.Milliseconds() {
		answer.Sealed = sealed
	}
	return nil, answer, nil
}

// CompleteIdempotencyKey keeps the answer. Call it in the transaction of the change that the answer tells of: it
// answers [ErrIdempotencyRunning], and the change must be undone, when the claim was taken over by another request.
func (s *Store) CompleteIdempotencyKey(ctx context.Context, claim *IdempotencyClaim, answer KeptAnswer) error {
	headers, err := json.Marshal(answer.Header)
	if err != nil {
		return fmt.Errorf("storage: encode an answer: %w", err)
	}
	n, err := s.db.Run(ctx, `UPDATE {idempotency_keys} SET status = ?, headers = ?, body = ?, sealed = ?, completed_at = ?
		WHERE key_hash = ? AND claim = ? AND status = 0`, answer.Status, string(headers), string(answer.Body), answer.Sealed, millis(s.now()),
		claim.key, claim.id)
	if err != nil {
		return fmt.Errorf("storage: keep an answer: %w", err)
	}
	if n == 0 {
		return ErrIdempotencyRunning
	}
	return nil
}

// ReleaseIdempotencyKey gives up a claim: the request has changed nothing and may be tried again with the same key.
func (s *Store) ReleaseIdempotencyKey(ctx context.Context, claim *IdempotencyClaim) error {
	_, err := s.db.Run(ctx, `DELETE FROM {idempotency_keys} WHERE key_hash = ? AND claim = ? AND status = 0`, claim.key, claim.id)
	if err != nil {
		return fmt.Errorf("storage: release an idempotency key: %w", err)
	}
	return nil
}

// PruneIdempotencyKeys erases secrets that are too old to be shown again and forgets answers that have expired. Call
// it every few minutes.
func (s *Store) PruneIdempotencyKeys(ctx context.Context) error {
	now := s.now()
	_, err := s.db.Run(ctx, `UPDATE {idempotency_keys} SET sealed = NULL WHERE sealed IS NOT NULL AND completed_at <= ?`, millis(now.Add(-ReplaySecretFor)))
	if err != nil {
		return fmt.Errorf("storage: erase kept secrets: %w", err)
	}
	if _, err := s.db.Run(ctx, `DELETE FROM {idempotency_keys} WHERE expires_at <= ?`, millis(now)); err != nil {
		return fmt.Errorf("storage: forget kept answers: %w", err)
	}
	return nil
}
