package storage

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/storage/internal/database"
)

// ReadAhead announces that the access token with this signature will be asked for as soon as the caller has been
// authenticated: [Store.GetClient] then reads both in one round trip, which on PostgreSQL is a third of the cost of an
// introspection (RFC 7662). Use the context for this one request, and for nothing that revokes.
//
// It is what handlers.Server.ReadAhead is for, which is given the token itself:
//
//	ReadAhead: func(ctx context.Context, token string) context.Context {
//		return storage.ReadAhead(ctx, strategy.AccessTokenSignature(ctx, token))
//	}
//
// A signature of "", which provider.TokenStrategy gives to what is no token of its own, announces nothing.
func ReadAhead(ctx context.Context, signature string) context.Context {
	if signature == "" {
		return ctx
	}
	return context.WithValue(ctx, readAheadKey{}, &readAhead{hash: signatureHash(signature)})
}

type readAheadKey struct{}

// readAhead is a token that is asked for next, and what was found of it.
type readAhead struct {
	hash []byte
	kept atomic.Pointer[tokenAhead]
}

type tokenAhead struct {
	accessToken
	store *Store
	at    time.Time
}

// taken stands for a token that has been asked for: nothing is read ahead in that context any more.
var taken = new(tokenAhead)

// readAheadLife is how long what was read ahead is used. An authentication that takes longer (a slow hash, a key that is
// fetched) is followed by a look at the token as it is then.
const readAheadLife = 50 * time.Millisecond

// readAheadOf is what ctx announces, or nil. In a transaction it is nil: what that has written is read from the database.
func readAheadOf(ctx context.Context) *readAhead {
	ahead, _ := ctx.Value(readAheadKey{}).(*readAhead)
	if ahead == nil || ahead.kept.Load() == taken || database.InTransaction(ctx) {
		return nil
	}
	return ahead
}

func (a *readAhead) keep(store *Store, token accessToken, at time.Time) {
	a.kept.Store(&tokenAhead{token, store, at})
}

// take returns what store read ahead, once, or nil.
func (a *readAhead) take(store *Store, hash []byte) *accessToken {
	if a == nil || !bytes.Equal(a.hash, hash) {
		return nil
	}
	kept := a.kept.Swap(taken)
	if kept == nil || kept.store != store || time.Since(kept.at) > readAheadLife {
		return nil
	}
	return &kept.accessToken
}

// hotRow is what an authentication and an introspection read, together or one after the other. Rows are used again,
// because every request reads one; scanning overwrites all of what it is asked for.
type hotRow struct {
	client       clientState
	secret       secretRow
	token        accessToken
	registration registration

	clientTargets, tokenTargets, registrationTargets []any

	targets []any // those of the last query
}

var hotRows = sync.Pool{New: func() any {
	row := new(hotRow)
	row.clientTargets = append(row.client.targets(), row.secret.workingTargets()...)
	row.tokenTargets = row.token.targets()
	row.registrationTargets = row.registration.targets()
	return row
}}

// clientQuery says what to read together with the state of a client and its secrets.
type clientQuery struct{ token, registration bool }

func (row *hotRow) targetsOf(query clientQuery) []any {
	row.targets = append(row.targets[:0], row.clientTargets...)
	if query.token {
		row.targets = append(row.targets, row.tokenTargets...)
	}
	if query.registration {
		row.targets = append(row.targets, row.registrationTargets...)
	}
	return row.targets
}

// selectClient holds the statements; the hash of the token comes before the client's id.
var selectClient = func() map[clientQuery]string {
	statements := make(map[clientQuery]string)
	for _, query := range []clientQuery{{false, false}, {false, true}, {true, false}, {true, true}} {
		columns := qualified("c", clientStateColumns) + ", " + qualified("s", workingSecretColumns)
		joins := secretsOfClient
		if query.token {
			columns += ", " + ownClients.accessTokenColumns()
			joins += ` LEFT JOIN {access_tokens} t ON t.signature = CAST(? AS BLOB)` + ownClients.joins
		}
		if query.registration {
			columns += ", " + qualified("c", registrationColumns)
		}
		statements[query] = `SELECT ` + columns + ` FROM {clients} c` + joins + ` WHERE c.id = CAST(? AS TEXT)`
	}
	return statements
}()
