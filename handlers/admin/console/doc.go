// Package console is the admin console: pages for those who run the server, on the listener of the admin API.
//
// Fill in a [Console] and call [Console.Mount] with the root router:
//
//	c := &console.Console{API: api}
//	err := c.Mount(router)
//
// The pages do nothing by themselves. They ask the admin API, in this process, in the name of the admin key that the browser is
// logged in with. Rights, checks, audit events and error texts are therefore those of the API.
//
// There are no scripts. Every change is a form that is posted, and what ends something is confirmed on a page of its own.
package console
