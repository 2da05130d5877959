// Package reqinfo is what the parts of the server know of one HTTP request. They hand it on in the request's context, as one
// value. The server makes it first; see [From] and [With]. It imports nothing of ours, so that every package may use it.
package reqinfo

import (
	"context"
	"net/http"
	"net/netip"
)

// Info is what is known of a request. A copy may be changed and handed on by [With]; it counts for the calls that get the new
// context.
type Info struct {
	ID      string      // names the request in answers, logs and audit events
	Address netip.Addr  // of the caller; invalid: not known
	Actor   string      // who acts, for audit events: the name of an admin key
	Answer  http.Header // header of the answer; nil: there is none to write to
	Facts   *Facts      // what the request turns out to be; nil: nobody asks

	// ReadAhead belongs to package storage: the token that it reads together with the caller.
	ReadAhead any
}

// Facts are for log and metrics. The endpoints note them on the way, so that the server can tell them afterwards.
type Facts struct {
	Client  string // that has authenticated, or whose page or token it is
	Secret  string // the id of the secret that it has authenticated with
	Subject string // the person whom it is about, or the machine
	Actor   string // the admin key

	GrantType string // of a token request
	Refused   string // the error code of an OAuth endpoint that refused the request
	Issued    string // the grant type of the token that was issued
	// PreviousSecret is the kind of a live token in the request that was made with a previous system secret.
	PreviousSecret string

	Introspected string // active or inactive: the answer
}

// Note returns what is known of the request of ctx, to be added to. Only the goroutine that answers the request may.
func Note(ctx context.Context) *Facts {
	if info, ok := ctx.Value(key{}).(*Info); ok && info.Facts != nil {
		return info.Facts
	}
	return new(Facts)
}

// From is what ctx knows of its request. It is empty where nothing is known.
func From(ctx context.Context) Info {
	if info, ok := ctx.Value(key{}).(*Info); ok {
		return *info
	}
	return Info{}
}

// With returns a context that knows info.
func With(ctx context.Context, info Info) context.Context { return &known{ctx, info} }

// known is a context with an Info.
type known struct {
	context.Context
	info Info
}

type key struct{}

// Value implements [context.Context].
func (k *known) Value(asked any) any {
	if asked == (key{}) {
		return &k.info
	}
	return k.Context.Value(asked)
}
