package admin

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"

	"fosite-mcp/internal/lengths"
	"fosite-mcp/storage/audit"
)

var saneIdempotencyKey = regexp.MustCompile(`^[!-~]+$`)

// once carries out a request at most once for its Idempotency-Key, and answers a repetition as it did the first time.
func (a *api) once(r *request, handle func(*api, *request) (*answer, error)) (*answer, error) {
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return handle(a, r)
	}
	if a.hosted != nil {
		return nil, newProblem(http.StatusBadRequest, "idempotency-unsupported", "Idempotency-Key is not offered",
			"This server keeps no answers, so that a repetition would be carried out again. Send the request without Idempotency-Key.")
	}
	if len(keys) > 1 || len(keys[0]) > 255 || !saneIdempotencyKey.MatchString(keys[0]) {
		return nil, badRequest("Idempotency-Key must be one value of 1 to 255 printable ASCII characters without spaces.")
	}
	r.once = keys[0]
	key := digest(r.caller.Name, r.once)
	claim, kept, err := a.Store.IdempotencyKeys().Claim(r.Context(), key, digest(r.Method, r.URL.EscapedPath(), r.caller.Name, string(r.raw)))
	if err != nil {
		return nil, err
	}
	if kept != nil {
		return a.replay(r, kept), nil
	}
	r.claim = claim
	answer, err := handle(a, r)
	if err != nil {
		// Nothing was done, so that the key may be tried again, even by a caller who has hung up.
		if releaseErr := a.Store.IdempotencyKeys().Release(context.WithoutCancel(r.Context()), claim); releaseErr != nil {
			a.Log.ErrorContext(r.Context(), "an idempotency key stays claimed for a minute", "request_id", r.id, "cause", releaseErr.Error())
		}
		return nil, err
	}
	return answer, nil
}

func digest(parts ...string) []byte {
	sum := sha256.New()
	lengths.Write(sum, parts...)
	return sum.Sum(nil)
}

// keep stores the answer for a repetition. A secret in it is encrypted, and given up after a few minutes.
func (a *api) keep(ctx context.Context, r *request, answer *answer) error {
	kept := audit.KeptAnswer{Status: answer.status, Header: answer.header}
	full, err := encodeJSON(answer.body)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	kept.Body = full
	if answer.kept != nil {
		if kept.Body, err = encodeJSON(answer.kept); err != nil {
			return fmt.Errorf("encode an answer: %w", err)
		}
		if a.ReplayKey != nil && !bytes.Equal(kept.Body, full) {
			if kept.Sealed, err = a.seal(r.once, full); err != nil {
				return err
			}
		}
	}
	return a.Store.IdempotencyKeys().Complete(ctx, r.claim, kept)
}

func (a *api) replay(r *request, kept *audit.KeptAnswer) *answer {
	body := kept.Body
	if kept.Sealed != nil && a.ReplayKey != nil {
		full, err := a.open(r.once, kept.Sealed)
		if err != nil { // sealed with another key, which is not among the previous ones either
			a.Log.WarnContext(r.Context(), "a kept answer is replayed without its secret", "request_id", r.id, "cause", err.Error())
		} else {
			body = full
		}
	}
	header := http.Header{}
	for name, values := range kept.Header {
		header[name] = values
	}
	header.Set("Content-Type", "application/json")
	header.Set("Idempotency-Replayed", "true")
	return &answer{status: kept.Status, header: header, raw: body}
}

// sealer encrypts under a key that takes both the server's key and the caller's Idempotency-Key, of which the
// database holds neither.
func (a *api) sealer(replayKey []byte, idempotencyKey string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, replayKey, []byte(idempotencyKey), "fosite-mcp kept answer", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (a *api) seal(idempotencyKey string, body []byte) ([]byte, error) {
	sealer, err := a.sealer(a.ReplayKey, idempotencyKey)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(nil, nil, body, nil), nil
}

func (a *api) open(idempotencyKey string, sealed []byte) (body []byte, err error) {
	for _, key := range append([][]byte{a.ReplayKey}, a.PreviousReplayKeys...) {
		sealer, sealerErr := a.sealer(key, idempotencyKey)
		if sealerErr != nil {
			return nil, sealerErr
		}
		if body, err = sealer.Open(nil, nil, sealed, nil); err == nil {
			return body, nil
		}
	}
	return nil, err
}
