package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"fosite-mcp/internal/logonce"

	"github.com/ory/fosite"
	"golang.org/x/time/rate"
)

// Server is the OAuth endpoints. Provider and NewSession are required; [Server.Mount] says what else they need.
type Server struct {
	// Provider is a provider.Provider, or a composition of a host's own with a provider.ClientAuthenticator and a
	// provider.ClientCredentialsFactory.
	Provider fosite.OAuth2Provider
	// NewSession makes an empty session, which a stored one is read into. It is called before anybody is authenticated.
	NewSession func() fosite.Session
	// FillSession adds what tokens of this client or this person shall carry, before a new grant's tokens are stored: for a
	// machine at the token endpoint, for a person behind the decision of Login. The request has the client, what is granted,
	// and the session (GetSession) to write to. An error ends the request: a *fosite.RFC6749Error is the answer, any other
	// one is an outage. nil: nothing to add.
	FillSession func(ctx context.Context, request fosite.Requester) error

	// Issuer is the iss of introspection answers (RFC 8414) and of authorization answers (RFC 9207); empty: left out.
	Issuer string
	// Login finds out who sits at the browser and what they allow; nil: there is no authorization endpoint. Provider
	// must be an [AuthorizationChecker], and NewSession's sessions a [PersonSession].
	Login Login
	// ErrorPage shows an error of an authorization request to the person, when it cannot be told to the client; the
	// headers that protect the page are set. nil: a plain page.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error)
	// Registration lets clients register themselves; nil: an administrator does it.
	Registration *Registration
	// ForwardAuth lets proxies check tokens; nil: they have to introspect.
	ForwardAuth *ForwardAuth
	// Revocations tells resource servers what has ended; nil: there is no such endpoint.
	Revocations *Revocations
	// AuthenticateIntrospection authenticates the callers of the introspection endpoint; nil: as Provider does, which
	// authenticates those of the other endpoints.
	AuthenticateIntrospection fosite.ClientAuthenticationStrategy
	// SignedIntrospection signs introspection answers for callers who ask for that; nil: answers are JSON alone.
	SignedIntrospection *SignedIntrospection
	// TokenID names an access token in introspection answers (jti) without revealing it; nil: no jti.
	TokenID func(ctx context.Context, token string) string
	// ReadAhead prepares the context of an introspection, before the caller is authenticated, for a look at token, so that
	// a store can read both at once and a strategy need not check token again; nil: nothing to prepare. With the packages
	// provider and storage: see storage.ReadAhead.
	ReadAhead func(ctx context.Context, token string) context.Context
	// PublicKeys is the JWK Set (RFC 7517 §5) that verifies JWT access tokens, see provider.SigningKeys; nil: an empty one, as
	// the tokens are opaque.
	PublicKeys func(ctx context.Context) ([]byte, error)
	// Log receives failures of the server, never tokens or secrets; nil: slog.Default.
	Log *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	authenticate fosite.ClientAuthenticationStrategy // of those who introspect (RFC 6749 §2.3)
	busy         *rate.Limiter                       // of which refusals the log tells
	unnamed      logonce.Set                         // resource servers that the log has told about
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

// fillSession lets the host add to the session of a new grant.
func (s *Server) fillSession(ctx context.Context, request fosite.Requester) error {
	if s.FillSession == nil {
		return nil
	}
	return s.FillSession(ctx, request)
}
