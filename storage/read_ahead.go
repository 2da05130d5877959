package storage

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
)

// ReadAhead announces that the access token with this signature will be asked for as soon as the caller has been
// authenticated: [Store.GetClient] then reads both in one round trip, which on PostgreSQL is a third of the cost of an
// introspection (RFC 7662). Use the context for this one request, and for nothing that revokes.
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
	info := reqinfo.From(ctx)
	info.ReadAhead = &readAhead{hash: signatureHash(signature)}
	return reqinfo.With(ctx, info)
}

// readAhead is a token that is asked for next, and what was found of it.
type readAhead struct {
	hash []byte
	kept atomic.Pointer[tokenAhead]
}

type tokenAhead struct {
	accessToken
	store *core
	at    time.Time
}

// taken stands for a token that has been asked for: nothing is read ahead in that context any more.
var taken = new(tokenAhead)

// readAheadLife is how long what was read ahead is used. An authentication that takes longer (a slow hash, a key that is
// fetched) is followed by a look at the token as it is then.
const readAheadLife = 50 * time.Millisecond

// readAheadOf is what ctx announces, or nil. In a transaction it is nil: what that has written is read from the database.
func readAheadOf(ctx context.Context) *readAhead {
	ahead, _ := reqinfo.From(ctx).ReadAhead.(*readAhead)
	if ahead == nil || ahead.kept.Load() == taken || database.InTransaction(ctx) {
		return nil
	}
	return ahead
}

func (a *readAhead) keep(store *core, token accessToken, at time.Time) {
	a.kept.Store(&tokenAhead{token, store, at})
}

// take returns what store read ahead, once, or nil.
func (a *readAhead) take(store *core, hash []byte) *accessToken {
	if a == nil || !bytes.Equal(a.hash, hash) {
		return nil
	}
	kept := a.kept.Swap(taken)
	if kept == nil || kept.store != store || time.Since(kept.at) > readAheadLife {
		return nil
	}
	return &kept.accessToken
}

// hotToken is what an introspection reads. Rows are used again, because every request reads one; scanning overwrites all
// of it.
type hotToken struct {
	token   accessToken
	targets []any
}

var hotTokens = sync.Pool{New: func() any {
	row := new(hotToken)
	row.targets = row.token.targets()
	return row
}}

// tokenBesideClient reads a token, found by its hash, together with a client.
var tokenBesideClient = clients.NewBeside(", "+ownClients.accessTokenColumns(), ` LEFT JOIN {access_tokens} t ON t.signature = CAST(? AS BLOB)`+ownClients.joins)
