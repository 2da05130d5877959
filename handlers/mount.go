package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"fosite-mcp/internal/composition"
	"fosite-mcp/provider/client"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
)

// Mount adds the endpoints to r, which is usually a subrouter at the base path. /revoke and /introspect exist as far as
// Provider is composed for them, /authorize exists with a Login. When the fields do not fit together, Mount logs what to do
// about it, returns it as an error, and mounts nothing.
func (s *Server) Mount(r *mux.Router) error {
	if err := s.check(); err != nil {
		s.log().Error("no OAuth endpoint is mounted", "cause", err)
		return err
	}
	s.busy = NewSample()
	r.Handle("/token", corsForAnyOrigin.Handler(form(s.token)))
	if s.revokes() {
		r.Handle("/revoke", corsForAnyOrigin.Handler(form(s.revoke)))
	}
	if s.answersIntrospection() {
		r.Handle("/introspect", form(s.introspect))
	}
	if s.Revocations != nil {
		r.Handle("/revocations", Methods(map[string]http.HandlerFunc{http.MethodGet: s.revocations, http.MethodPost: s.revocations}, use("Use GET or POST.")))
	}
	r.Handle("/jwks.json", corsForAnyOrigin.Handler(Reading(s.jwks)))
	if s.ForwardAuth != nil {
		r.HandleFunc("/verify", s.verify) // whatever the method is of the request that it is about
	}
	if s.Registration != nil {
		s.mountRegistration(r)
	}
	if s.Login != nil {
		// No CORS: browsers are sent here, scripts have no business (OAuth 2.1 §3.1).
		r.Handle("/authorize", s.authorizeEndpoint())
	}
	return nil
}

// check finds what would fail, or be unsafe, at the first request.
func (s *Server) check() error {
	if s.Provider == nil || s.NewSession == nil {
		return errors.New("handlers: set Server.Provider and Server.NewSession")
	}
	if s.Revocations != nil && (s.Revocations.Read == nil || s.Revocations.Changed == nil) {
		return errors.New("handlers: set Read and Changed of Server.Revocations")
	}
	if err := s.checkComposition(); err != nil {
		return err
	}
	s.authenticate = s.AuthenticateIntrospection
	if authenticator, ok := capability[ClientAuthenticator](s.Provider); ok && s.authenticate == nil {
		s.authenticate = authenticator.AuthenticateClient
	}
	if s.authenticate == nil {
		return fmt.Errorf("handlers: a %T cannot authenticate who introspects; set Server.AuthenticateIntrospection, or give it the method AuthenticateClient", s.Provider)
	}
	if first, second := reflect.ValueOf(s.NewSession()), reflect.ValueOf(s.NewSession()); first.Kind() == reflect.Pointer && first.Type().Elem().Size() > 0 && first.Pointer() == second.Pointer() {
		return errors.New("handlers: Server.NewSession returns the same session each time, which all requests would share; let it make a new one")
	}
	if signed := s.SignedIntrospection; signed != nil && (signed.Sign == nil || s.Issuer == "") {
		return errors.New("handlers: set SignedIntrospection.Sign and Server.Issuer")
	}
	if d := s.Registration; d != nil && (d.Clients == nil || d.Endpoint == "" || d.MaxUnused == 0 || s.Login == nil) {
		return errors.New("handlers: set Clients, Endpoint and MaxUnused of Server.Registration, and Server.Login: who registers itself gets tokens for people alone")
	}
	if s.Login == nil {
		return nil
	}
	session := s.NewSession()
	if _, ok := session.(PersonSession); !ok {
		return fmt.Errorf("handlers: with a Login a session must say whose it is: give the %T of Server.NewSession the method SetPerson of handlers.PersonSession", session)
	}
	if _, ok := capability[AuthorizationChecker](s.Provider); !ok {
		return fmt.Errorf("handlers: with a Login the Provider must check an authorization request before a person is asked, and a %T does not say that it does; "+
			"take a provider.Provider, or embed a provider.AuthorizePolicy beside your fosite.OAuth2Provider", s.Provider)
	}
	return nil
}

// checkComposition looks at what the Provider is composed of, as far as that can be seen.
func (s *Server) checkComposition() error {
	config := configOf(s.Provider)
	if config == nil {
		s.log().Warn("the Provider shows no fosite.Fosite, so nothing tells whether its composition is safe", "type", fmt.Sprintf("%T", s.Provider))
		return nil
	}
	if config.GetClientAuthenticationStrategy(context.Background()) == nil {
		return errors.New("handlers: fosite's own client authentication answers 401 in an outage, and clients throw their credentials away; " +
			"set fosite.Config.ClientAuthenticationStrategy to Authenticate of a provider.ClientAuthenticator")
	}
	for _, handler := range composition.Handlers(config) {
		switch handler := handler.(type) {
		case *oauth2.ClientCredentialsGrantHandler:
			return errors.New("handlers: compose.OAuth2ClientCredentialsGrantFactory grants neither scope nor audience, it leaves that to its caller; " +
				"compose provider.ClientCredentialsFactory in its place")
		case *oauth2.TokenRevocationHandler:
			return errors.New("handlers: compose.OAuth2TokenRevocationFactory calls a revocation done that has failed or reached nothing; " +
				"compose provider.RevocationFactory in its place")
		case CompositionChecker:
			if err := handler.CheckComposition(); err != nil {
				return fmt.Errorf("handlers: %s", fosite.ErrorToRFC6749Error(err).DebugField)
			}
		}
	}
	return nil
}

// capability is p as a T, or what p embeds: a struct that embeds the interface fosite.OAuth2Provider has the methods of that
// interface alone, whatever is in it.
func capability[T any](p fosite.OAuth2Provider) (found T, ok bool) {
	for p != nil {
		if found, ok = p.(T); ok {
			return found, true
		}
		p = embedded(p)
	}
	return found, false
}

func embedded(p fosite.OAuth2Provider) fosite.OAuth2Provider { return embeddedIn(reflect.ValueOf(p)) }

func embeddedIn(v reflect.Value) fosite.OAuth2Provider {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		field := v.Field(i)
		if !v.Type().Field(i).Anonymous {
			continue
		}
		if field.CanAddr() && field.Kind() == reflect.Struct {
			field = field.Addr() // which has the methods of the pointer
		}
		if !field.CanInterface() { // of a type that is not exported: what it embeds may be
			if inner := embeddedIn(field); inner != nil {
				return inner
			}
		} else if inner, ok := field.Interface().(fosite.OAuth2Provider); ok {
			return inner
		}
	}
	return nil
}

// configOf is the configuration of a composition; nil when the provider is no fosite.Fosite at its core.
func configOf(p fosite.OAuth2Provider) fosite.Configurator {
	core, ok := capability[*fosite.Fosite](p)
	if !ok {
		return nil
	}
	return core.Config
}

// revokes tells whether a revocation reaches anything. Where that is not known it does.
func (s *Server) revokes() bool {
	config := configOf(s.Provider)
	return config == nil || len(config.GetRevocationHandlers(context.Background())) > 0
}

// answersIntrospection tells whether a token can be found valid. Where that is not known it can.
func (s *Server) answersIntrospection() bool {
	config := configOf(s.Provider)
	return config == nil || len(config.GetTokenIntrospectionHandlers(context.Background())) > 0
}

var knownGrantTypes = []string{"client_credentials", "authorization_code", "refresh_token", client.JWTBearer}

// grantTypes are those that the token endpoint has a handler for.
func (s *Server) grantTypes() (types []string) {
	config := configOf(s.Provider)
	if config == nil {
		return nil
	}
	for _, name := range knownGrantTypes {
		request := fosite.NewAccessRequest(nil)
		request.GrantTypes = fosite.Arguments{name}
		for _, handler := range config.GetTokenEndpointHandlers(context.Background()) {
			if handler.CanHandleTokenEndpointRequest(context.Background(), request) {
				types = append(types, name)
				break
			}
		}
	}
	return types
}
