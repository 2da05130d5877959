package storage

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// graceAnswers is how many uses of a rotated refresh token are answered. Programs that share a token file and lose
// answers need a few; somebody who needs more does not share a token but loops with it. docs/decisions/0005 has more.
const graceAnswers = 5

// WithRefreshGrace sets how long a refresh token still works after it was rotated (zero: not at all). Clients refresh
// concurrently and lose answers: within the grace a few further uses stay inside the family instead of ending it. The
// grace is over early once one of the tokens that replaced it has been rotated as well. The default is 60 seconds.
func WithRefreshGrace(grace time.Duration) Option {
	return func(s *Store) { s.grace = grace }
}

// successorRotated holds when a refresh token that replaced t was used up or revoked. Whoever did that has received
// it, so that t is no longer needed. An access token issued beside it tells nothing: of several programs that refresh
// at once, the fastest uses its own before the others have theirs.
const successorRotated = `EXISTS (SELECT 1 FROM {refresh_tokens} s WHERE s.request_id = t.request_id AND s.predecessor = t.signature
	AND (s.rotated_at IS NOT NULL OR s.revoked_at IS NOT NULL))`

// rotation is what became of a refresh token.
type rotation struct {
	rotatedAt        sql.NullInt64
	revokedAt        sql.NullInt64
	graceAnswers     int64
	successorRotated bool
}

const rotationColumns = `t.rotated_at, t.revoked_at, t.grace_answers, t.rotated_at IS NOT NULL AND ` + successorRotated

func (r *rotation) targets() []any {
	return []any{&r.rotatedAt, &r.revokedAt, &r.graceAnswers, &r.successorRotated}
}

// verdict is nil when the token may be used, and [fosite.ErrInactiveToken] when its use is reuse. It is [fosite.ErrNotFound]
// when its grace has no answers left: so many refreshes at once prove no theft, and they get no tokens.
func (s *Tokens) verdict(r *rotation) error {
	switch {
	case r.revokedAt.Valid:
		return fosite.ErrInactiveToken
	case !r.rotatedAt.Valid:
		return nil
	case r.successorRotated || r.rotatedAt.Int64 <= s.graceStart():
		return fosite.ErrInactiveToken
	case r.graceAnswers >= graceAnswers:
		return fosite.ErrNotFound
	}
	return nil
}

// graceStart is the time of the last rotation whose grace is over. Without a grace that is every rotation, even one that a
// replica with a clock ahead of ours has made.
func (s *Tokens) graceStart() int64 {
	if s.grace <= 0 {
		return math.MaxInt64
	}
	return model.Millis(s.now().Add(-s.grace))
}

// rotateAgain counts a use of a rotated refresh token, if its grace allows one more. The caller has locked the grant, so that
// this statement sees the successors of concurrent uses.
func (s *Tokens) rotateAgain(ctx context.Context, tx *database.Tx, hash []byte) error {
	n, err := tx.Run(`UPDATE {refresh_tokens} AS t SET grace_answers = grace_answers + 1
		WHERE signature = ? AND revoked_at IS NULL AND rotated_at > ? AND grace_answers < ? AND NOT `+successorRotated,
		hash, s.graceStart(), graceAnswers)
	if err != nil || n == 1 {
		return database.Wrap(err, "use a refresh token again")
	}
	var r rotation
	err = tx.QueryRow(`SELECT `+rotationColumns+` FROM {refresh_tokens} t WHERE signature = ?`, hash).Scan(r.targets()...)
	if err != nil {
		return notFound(err, "read a refresh token")
	}
	if err := s.verdict(&r); err != nil {
		return err
	}
	return fosite.ErrInactiveToken
}
