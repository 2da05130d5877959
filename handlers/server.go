package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"golang.org/x/time/rate"
)

// Server is the OAuth endpoints. Provider and NewSession are required.
type Server struct {
	Provider   fosite.OAuth2Provider
	NewSession func() fosite.Session

	// Issuer is the iss of introspection answers (RFC 8414) and of authorization answers (RFC 9207); empty: left out.
	Issuer string
	// Login finds out who sits at the browser and what they allow; nil: there is no authorization endpoint. Provider
	// must check authorization requests as provider.Provider does, all of them before Login is asked, and NewSession's
	// sessions need a method SetPerson as provider.Session has it.
	Login Login
	// ErrorPage shows an error of an authorization request to the person, when it cannot be told to the client; the
	// headers that protect the page are set. nil: a plain page.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error)
	// Authenticate authenticates the callers of the introspection endpoint; nil: as Provider does.
	Authenticate fosite.ClientAuthenticationStrategy
	// TokenID names an access token in introspection answers (jti) without revealing it; nil: no jti.
	TokenID func(ctx context.Context, token string) string
	// ReadAhead prepares the context of an introspection, before the caller is authenticated, for a look at token, so that
	// a store can read both at once and a strategy need not check token again; nil: nothing to prepare. With the packages
	// provider and storage: see storage.ReadAhead.
	ReadAhead func(ctx context.Context, token string) context.Context
	// Log receives failures of the server, never tokens or secrets; nil: slog.Default.
	Log *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	busy *rate.Limiter // of which refusals the log tells
}

// Mount adds the endpoints to r, which is usually a subrouter at the base path.
func (s *Server) Mount(r *mux.Router) {
	s.busy = NewSample()
	r.Handle("/token", corsForAnyOrigin.Handler(form(s.token)))
	r.Handle("/revoke", corsForAnyOrigin.Handler(form(s.revoke)))
	r.Handle("/introspect", form(s.introspect))
	r.Handle("/jwks.json", document(keySet{Keys: []any{}}))
	if s.Login != nil {
		// No CORS: browsers are sent here, scripts have no business (OAuth 2.1 §3.1).
		r.Handle("/authorize", s.authorizeEndpoint())
	}
}

// keySet is RFC 7517 §5. Tokens are opaque, so there are no keys to publish; the document exists because metadata
// must name it.
type keySet struct {
	Keys []any `json:"keys"`
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

// authenticate tells who calls (RFC 6749 §2.3).
func (s *Server) authenticate(ctx context.Context, r *http.Request) (fosite.Client, error) {
	if s.Authenticate != nil {
		return s.Authenticate(ctx, r, r.PostForm)
	}
	provider, ok := s.Provider.(ClientAuthenticator)
	if !ok {
		return nil, fosite.ErrMisconfiguration.WithDebug("handlers.Server: set Authenticate, the Provider cannot authenticate clients")
	}
	return provider.AuthenticateClient(ctx, r, r.PostForm)
}
