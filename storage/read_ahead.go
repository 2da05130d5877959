package storage

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
)

// ReadAhead announces that the access token with this signature is read after the caller was authenticated.
// [Store.GetClient] then reads both in one round trip. On PostgreSQL that saves a third of the cost of an introspection
// (RFC 7662). Use the context for this one request, and for nothing that revokes.
//
// It is what handlers.Server.ReadAhead is for, which is given the token itself:
//
//	ReadAhead: func(ctx context.Context, token string) context.Context {
//		ctx, signature := strategy.WithToken(ctx, token) // a provider.TokenStrategy; others have AccessTokenSignature
//		return storage.ReadAhead(ctx, signature)
//	}
//
// A signature of "", which is that of no token, announces nothing.
func ReadAhead(ctx context.Context, signature string) context.Context {
	if signature == "" {
		return ctx
	}
	ctx, ahead := reqinfo.Carry[readAhead](ctx)
	ahead.signature, ahead.hash = signature, accessTokenKey(signature)
	return ctx
}

// readAhead is a token that will be read, by its signature and the hash of that, and the token once GetClient has found it.
type readAhead struct {
	signature string
	hash      []byte
	found     atomic.Pointer[tokenAhead]
}

type tokenAhead struct {
	token storedRequest
	store *core
	at    time.Time
}

// consumed marks a context whose token has been read: nothing more is read ahead in it.
var consumed = new(tokenAhead)

// readAheadLife is how long a token that was read ahead is used. After an authentication that takes longer (a slow hash, a
// key that is fetched) the token is read again.
const readAheadLife = 50 * time.Millisecond

// readAheadOf is the token that ctx announces, or nil. In a transaction it is nil: the transaction may have changed the token.
func readAheadOf(ctx context.Context) *readAhead {
	ahead := reqinfo.Carried[readAhead](ctx)
	if ahead == nil || ahead.found.Load() == consumed || database.InTransaction(ctx) {
		return nil
	}
	return ahead
}

// take returns what store read ahead, once, or nil.
func (a *readAhead) take(store *core, signature string) *storedRequest {
	if a == nil || a.signature != signature {
		return nil
	}
	found := a.found.Swap(consumed)
	if found == nil || found.store != store || time.Since(found.at) > readAheadLife {
		return nil
	}
	return &found.token
}

// tokenRow is an access token and its scan targets. Rows are pooled, because every introspection reads one. A scan overwrites
// the whole row.
type tokenRow struct {
	token   storedRequest
	targets []any
}

var tokenRows = sync.Pool{New: func() any {
	row := new(tokenRow)
	row.targets = row.token.targets()
	return row
}}

// withToken makes a reader of clients together with a token, which is found by its hash.
func withToken(registry *clients.Registry) *clients.Reader[storedRequest] {
	joins := func(hash string) string {
		return `LEFT JOIN {access_tokens} t ON t.signature = ` + hash + ownClients.joins
	}
	return clients.NewReader(registry, ", "+ownClients.columns(ownClients.revoked()), joins, (*storedRequest).targets)
}
