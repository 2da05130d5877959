// Package handlers is the HTTP skin of an OAuth 2.1 authorization server built on fosite: token, authorization,
// introspection, revocation, metadata and health, on a gorilla/mux router.
//
// Fill in a [Server] and mount it where the endpoints should be; the well-known documents belong to the root:
//
//	server := &handlers.Server{Provider: oauth, NewSession: newSession, Issuer: issuer}
//	err := server.Mount(router.PathPrefix("/oauth2").Subrouter())
//	err = handlers.MountWellKnown(router, handlers.Metadata{Server: server, Endpoints: issuer + "/oauth2"})
//
// People log in where [Server] has a [Login], which is one method; package login has one with pages of its own.
//
// The provider is a provider.Provider, or a composition of a host's own: [Server.Mount] refuses one that these endpoints cannot
// serve safely, and says what to change. What fosite's own HTTP helpers get wrong is put right here: an outage is 503 at
// every endpoint and never "inactive", "revoked" or "invalid_client"; 401 carries WWW-Authenticate; introspection
// takes every way of client authentication and tells only whom it concerns.
package handlers
