package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// accessTokenKeys is the name of the set of keys that sign access tokens.
const accessTokenKeys = "access_tokens"

// KeySet is the keys that sign JWT access tokens, as provider.SigningKeys has written them, and their revision; nothing and 0
// if there are none.
func (s *Tokens) KeySet(ctx context.Context) (keys []byte, revision int64, err error) {
	var row model.KeySet
	err = s.db.QueryRow(ctx, `SELECT revision, keys FROM {key_sets} WHERE name = ?`, accessTokenKeys).Scan(&row.Revision, &row.Keys)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return row.Keys, row.Revision, database.Wrap(err, "read the signing keys")
}

// ReplaceKeySet stores other keys under the next revision, if revision is still that of the stored ones.
func (s *Tokens) ReplaceKeySet(ctx context.Context, revision int64, keys []byte) (replaced bool, err error) {
	statement, args := `UPDATE {key_sets} SET revision = revision + 1, keys = ? WHERE name = ? AND revision = ?`, []any{string(keys), accessTokenKeys, revision}
	if revision == 0 {
		statement, args = `INSERT INTO {key_sets} (name, revision, keys) VALUES (?, 1, ?) ON CONFLICT (name) DO NOTHING`, []any{accessTokenKeys, string(keys)}
	}
	n, err := s.db.Run(ctx, statement, args...)
	return n > 0, database.Wrap(err, "store the signing keys")
}

// LastTokenEnd is when the last of all access tokens ends that are stored; zero if there is none.
func (s *Tokens) LastTokenEnd(ctx context.Context) (time.Time, error) {
	var end model.Time
	err := s.db.QueryRow(ctx, `SELECT MAX(expires_at) FROM {access_tokens}`).Scan(&end)
	return end.Time, database.Wrap(err, "read when the last token ends")
}

// LastTokenEndOf is when the last of the access and refresh tokens ends that were issued before a time and not revoked; zero if there
// is none. It reads all tokens that are stored.
func (s *Tokens) LastTokenEndOf(ctx context.Context, issuedBefore time.Time) (time.Time, error) {
	var end model.Time
	before := model.Millis(issuedBefore)
	_, source := s.queries()
	last := func(table string) string {
		return `SELECT MAX(t.expires_at) AS expires_at FROM ` + table + ` t` + source.joins + ` WHERE t.issued_at < ? AND NOT ` + source.revoked()
	}
	err := s.db.QueryRow(ctx, `SELECT MAX(expires_at) FROM (`+last("{access_tokens}")+` UNION ALL `+last("{refresh_tokens}")+`) ends`, before, before).Scan(&end)
	return end.Time, database.Wrap(err, "read when the last token of before ends")
}
