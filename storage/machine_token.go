package storage

import (
	"context"
	"strings"

	"fosite-mcp/storage/internal/database"
)

// A machine's access token is one row, and nothing else changes with it. On PostgreSQL those that are issued while INSERTs are
// under way share the next one.

// insertMachineToken stores one access token. args are those of insertAccessToken.
func (s *Tokens) insertMachineToken(ctx context.Context, query string, args []any) (err error) {
	if s.db.Postgres && !database.InTransaction(ctx) {
		if args, err = database.Values(args); err == nil { // before the caller may leave, who owns the request
			err = s.machineTokens.Do(ctx, args)
		}
	} else {
		_, err = s.db.Run(ctx, query, args...)
	}
	return database.Wrap(err, "store an access token")
}

func (s *core) insertMachineTokens(ctx context.Context, tokens [][]any) error {
	alone, many := insertAccessToken.own, ownMachineTokens
	if s.external != nil {
		alone, many = insertAccessToken.external, externalMachineTokens
	}
	if len(tokens) == 1 {
		_, err := s.db.Run(ctx, alone, tokens[0]...)
		return err
	}
	arrays, err := database.Arrays(many.columns, tokens)
	if err != nil {
		return err
	}
	_, err = s.db.Run(ctx, many.statement, arrays...)
	return err
}

// manyTokens is an INSERT of machines' tokens, whose columns are given as arrays.
type manyTokens struct {
	statement string
	columns   []database.Column
}

var (
	ownMachineTokens = insertMany(`epoch BIGINT`, `given.epoch`)
	// An insertion has the client in place of its epoch.
	externalMachineTokens = insertMany(`epoch TEXT`, strings.ReplaceAll(externalEpoch, "?", "given.epoch"))
)

func insertMany(givenEpoch, epoch string) manyTokens {
	columns := database.Columns(`signature BYTEA, request_id TEXT, client_id TEXT, secret_id TEXT, ` + givenEpoch + `, subject TEXT, scope TEXT,
		audience TEXT, requested_scope TEXT, requested_audience TEXT, form TEXT, session_type TEXT, session TEXT, issued_at BIGINT, expires_at BIGINT`)
	return manyTokens{`INSERT INTO {access_tokens} (signature, ` + requestColumns + `)
		SELECT signature, ` + strings.Replace(requestColumns, "epoch", epoch, 1) + ` FROM ` + database.ManyOf(columns), columns}
}
