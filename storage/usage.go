package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// TokenUsed notes that the access token of this [TokenID] was used just now. It costs no database access.
func (s *Tokens) TokenUsed(id string) {
	if hash, err := tokenHash(id); err == nil && len(hash) == sha256.Size {
		s.tokensUsed.Note(string(hash), s.now())
	}
}

// FlushUsage writes the times of last use that were noted since the last call. Call it every minute or so, and before
// the program ends. What cannot be written waits for the next call.
func (s *Housekeeping) FlushUsage(ctx context.Context) error {
	var errs []error
	if s.external == nil {
		errs = append(errs, s.clients.FlushUsage(ctx))
	}
	return errors.Join(append(errs, s.tokensUsed.Write(ctx), s.adminKeysUsed.Write(ctx))...)
}

func tokenHash(id string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(id) }
