package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	// maxToken is far above any access token; what is longer is not sent on.
	maxToken = 8 << 10 // bytes
	// retryAfter is how long a client should wait during an outage.
	retryAfter = "5" // seconds
	// slowBody is how long a message may take to arrive until its token is
	// verified again.
	slowBody = time.Second
)

// Bearer is a guard that lets only requests with an active access token
// through. [RequireBearer] is the short form for a verifier that knows its
// resource.
type Bearer struct {
	// Verifier decides about tokens. Required.
	Verifier Verifier
	// Resource is the identifier whose metadata a refusal points to (RFC 9728
	// §5.1). Empty means: the one of the verifier, if it has a method
	// Resource() string as [Introspector] has.
	Resource string
	// Scopes must all have been granted. None means: any active token.
	Scopes []string
	// Tools are the scopes that calls of MCP tools need beyond Scopes. With
	// them a POST is a JSON-RPC message of up to 4 MiB, or a batch of up to
	// 100, which is looked into.
	Tools ToolScopes
	// Logger hears why a token could not be checked, and at debug level why
	// one was refused. It never sees a token. Nil means slog.Default().
	Logger *slog.Logger
}

// RequireBearer returns middleware that answers requests without an active
// access token, or whose token lacks one of the scopes, as RFC 6750 says:
//
//	401  no token, or one that is not active
//	403  the token lacks a scope
//	400  the Authorization header is malformed or there are two of them
//	503  the verifier cannot tell; with Retry-After
//
// While a request runs, its token is verified every 5 seconds and when it
// expires. The context of the request ends when a new request would be answered
// 401 or 403, with a cause that wraps [ErrInactive]: a handler that streams stops
// when its context is done. In an outage it goes on until the token expires. This
// begins when the handler, or what it calls, first looks at Done or Err of the
// context. A handler that does not, costs nothing more.
//
// The token is taken from the Authorization header only. Every method needs
// it, OPTIONS too: wrap the result in [CORS] if browsers should get in.
//
// It panics if the verifier is nil or does not know its resource, or if a
// scope holds characters that no scope has: mistakes in the program.
func RequireBearer(verifier Verifier, scopes ...string) func(http.Handler) http.Handler {
	return Bearer{Verifier: verifier, Scopes: scopes}.Wrap
}

// Wrap puts the guard before next. It panics as [RequireBearer] does; check a
// Resource that comes from configuration with [MetadataURL] beforehand.
func (b Bearer) Wrap(next http.Handler) http.Handler {
	g, err := b.gate()
	if err != nil {
		panic("resource: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, refused := g.admit(w, r)
		if refused != nil {
			refused.log(r, g.log())
			refused.write(w)
			return
		}
		defer admitted.finish()
		next.ServeHTTP(w, r.WithContext(admitted))
	})
}

// admit returns the context to go on with, or the refusal.
func (g *gate) admit(w http.ResponseWriter, r *http.Request) (*runningRequest, *refusal) {
	authorization := r.Header["Authorization"]
	ctx := withTrace(r)
	token, refused := g.decide(ctx, authorization)
	if refused != nil {
		return nil, refused
	}
	var calls []string
	if len(g.tools) > 0 {
		began := time.Now()
		if calls, refused = readCalls(w, r); refused != nil {
			return nil, refused
		}
		if time.Since(began) > slowBody {
			if token, refused = g.decide(ctx, authorization); refused != nil {
				return nil, refused
			}
		}
		if refused = g.allow(token, calls); refused != nil {
			return nil, refused
		}
	}
	return &runningRequest{Context: ctx, gate: g, authorization: authorization[0], calls: calls, token: token}, nil
}

// gate holds what decisions are made from.
type gate struct {
	verifier  Verifier
	scopes    []string
	tools     ToolScopes
	challenge challenge
	logger    *slog.Logger // nil: slog.Default()
}

func (g *gate) log() *slog.Logger {
	if g.logger == nil {
		return slog.Default()
	}
	return g.logger
}

func (b Bearer) gate() (*gate, error) {
	if b.Verifier == nil {
		return nil, errors.New("a bearer guard needs a Verifier: see NewIntrospector")
	}
	identifier := b.Resource
	if named, ok := b.Verifier.(ResourceVerifier); ok && identifier == "" {
		identifier = named.Resource()
	}
	metadata, err := MetadataURL(identifier)
	if err != nil {
		return nil, fmt.Errorf("a bearer guard must know what it guards: set Bearer.Resource: %w", err)
	}
	for tool, scopes := range b.Tools {
		if len(scopes) == 0 {
			return nil, fmt.Errorf("Bearer.Tools has no scope for the tool %q: name one, or leave the tool out", tool)
		}
	}
	for _, scope := range append(b.Tools.scopes(), b.Scopes...) {
		if scope == "" || strings.ContainsFunc(scope, notInURI) { // RFC 6749 §3.3 has the same alphabet
			return nil, fmt.Errorf("%q is not a scope: give each scope as an argument of its own", scope)
		}
	}
	scopes := append([]string(nil), b.Scopes...)
	return &gate{b.Verifier, scopes, b.Tools, challenge{metadata: metadata, scope: strings.Join(scopes, " ")}, b.Logger}, nil
}

// refusal is the answer to a request that may not pass.
type refusal struct {
	status    int
	challenge string // WWW-Authenticate; empty for none
	message   string // for the person who reads the body
	cause     error  // for the log
}

// decide takes the values of all Authorization headers and returns the token
// to go on with, or the refusal.
func (g *gate) decide(ctx context.Context, authorization []string) (*Token, *refusal) {
	if len(authorization) > 1 {
		return nil, g.malformed("the request has more than one Authorization header")
	}
	credentials, ok := bearerCredentials(authorization)
	if !ok {
		return nil, g.noToken()
	}
	if len(credentials) > maxToken {
		return nil, g.inactive(fmt.Errorf("%w: it is longer than %d bytes", ErrInactive, maxToken))
	}
	if !isToken68(credentials) {
		return nil, g.malformed("the Authorization header is not of the form: Bearer <access token>")
	}
	token, err := g.verifier.Verify(ctx, credentials)
	switch {
	case errors.Is(err, ErrInactive):
		return nil, g.inactive(err)
	case err != nil:
		return nil, unavailable(err)
	case token == nil:
		return nil, unavailable(errors.New("the verifier returned neither a token nor an error"))
	}
	for _, scope := range g.scopes {
		if !token.HasScope(scope) {
			return nil, g.insufficient(scope)
		}
	}
	return token, nil
}

// bearerCredentials returns what follows the scheme, which is
// case-insensitive (RFC 9110 §11.1), and one space or several (§11.4). Another
// scheme counts as no token; a tab stays and makes the token malformed.
func bearerCredentials(authorization []string) (string, bool) {
	if len(authorization) == 0 {
		return "", false
	}
	scheme, credentials := strings.Trim(authorization[0], " \t"), ""
	if end := strings.IndexAny(scheme, " \t"); end >= 0 {
		scheme, credentials = scheme[:end], strings.TrimLeft(scheme[end:], " ")
	}
	return credentials, strings.EqualFold(scheme, "Bearer") && credentials != ""
}

// isToken68 is the syntax of an access token in a header (RFC 6750 §2.1).
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !token68[body[i]] {
			return false
		}
	}
	return body != ""
}

var token68 = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		set[c] = true
	}
	return set
}()
