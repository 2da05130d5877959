// Package client is the home of clients: the type [Client] with its [Secret]s, its JSON form, and the [Rules] for what a
// client may be registered with. The store, the admin API, the importer and the authorization endpoint read them here, so
// that what registers also works.
//
// Call [Rules.New] and [Rules.Change] to make a Client out of JSON, [FromFosite] to make one out of a client of fosite's,
// and [Of] to find the Client behind a [fosite.Client]. Call [NewSecret] and [HashSecret] for a client that needs a secret.
// Call [MatchRedirectURI] to find out where an authorization request may be answered.
//
// The package imports nothing of ours but the packages below it, so that every other package may import it: slowhash
// compares secrets with imported hashes, strictjson reads JSON objects, and spelling suggests names.
package client
