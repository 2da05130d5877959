// Package client is the home of clients: the type [Client] with its [Secret]s, and what a client may be registered
// with. The store, the admin API, the importer and the authorization endpoint read it here, so that what registers
// also works.
//
// Call [FromFosite] to make a Client out of one of fosite's, and [Of] to find the Client behind a [fosite.Client].
// Call [CheckRedirectURI] before a redirect URI is registered, and [MatchRedirectURI] to find out where an
// authorization request may be answered.
//
// The package imports nothing of ours but package slowhash below it, so that every other package may import it.
package client
