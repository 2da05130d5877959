// Package reqinfo is what the parts of the server know of one HTTP request. They hand it on in the request's context, as one
// value. The server makes it first; see [From] and [With]. A package that keeps something of its own for a request uses [Carry].
// It imports nothing of ours, so that every package may use it.
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
	if info := Carried[Info](ctx); info != nil && info.Facts != nil {
		return info.Facts
	}
	return new(Facts)
}

// From is what ctx knows of its request. It is empty where nothing is known.
func From(ctx context.Context) Info {
	if info := Carried[Info](ctx); info != nil {
		return *info
	}
	return Info{}
}

// With returns a context that knows info.
func With(ctx context.Context, info Info) context.Context {
	ctx, carried := Carry[Info](ctx)
	*carried = info
	return ctx
}

// Carry returns a context that carries a T, empty as yet: fill it in before the context is handed on. Only those who know the
// type find it, by [Carried].
func Carry[T any](ctx context.Context) (context.Context, *T) {
	c := &carrier[T]{Context: ctx}
	return c, &c.carried
}

// Carried is the T that ctx carries, or nil.
func Carried[T any](ctx context.Context) *T {
	carried, _ := ctx.Value(typeOf[T]{}).(*T)
	return carried
}

// carrier is a context and what it carries, in one allocation.
type carrier[T any] struct {
	context.Context
	carried T
}

type typeOf[T any] struct{}

// Value implements [context.Context].
func (c *carrier[T]) Value(key any) any {
	if key == (typeOf[T]{}) {
		return &c.carried
	}
	return c.Context.Value(key)
}
