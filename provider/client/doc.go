// Package client holds what a client may be registered with. The admin API, the importer and the authorization
// endpoint read the same rules here, so that what registers also works.
//
// Call [CheckRedirectURI] before a redirect URI is registered, and [MatchRedirectURI] to find out where an
// authorization request may be answered.
//
// The package imports nothing of ours, so that every other package may import it.
package client
