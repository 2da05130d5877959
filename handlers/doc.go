// Package handlers is the HTTP skin of an OAuth 2.1 authorization server built on fosite: token, authorization,
// introspection, revocation, metadata and health, on a gorilla/mux router.
//
// Fill in a [Server] and mount it where the endpoints should be; the well-known documents belong to the root:
//
//	(&handlers.Server{Provider: oauth, NewSession: newSession, Issuer: issuer}).Mount(router.PathPrefix("/oauth2").Subrouter())
//	handlers.MountWellKnown(router, metadata)
//
// People log in where [Server] has a [Login], which is one method; package login has one with pages of its own.
//
// Any fosite.OAuth2Provider will do. What fosite's own HTTP helpers get wrong is put right here: an outage is 503 at
// every endpoint and never "inactive", "revoked" or "invalid_client"; 401 carries WWW-Authenticate; introspection
// takes every way of client authentication and tells only whom it concerns.
package handlers
