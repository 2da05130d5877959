// Package admin is the JSON API for those who run the server: clients, their secrets and tokens, and the audit log.
//
// Fill in an [API] and call [API.Mount] with a subrouter at /admin/v1, on a listener of its own:
//
//	api := &admin.API{Store: store, NewSecret: client.NewSecret, Hasher: hasher, …}
//	err := api.Mount(router.PathPrefix("/admin/v1").Subrouter())
//
// Over clients in a table of your own it also needs [Clients], a way to authenticate, and a place for audit events; Mount says
// what is missing.
//
// Unless [API.Authenticate] is set, every request but GET openapi.json carries an admin key: Authorization: Bearer mcp_ak_….
// [EnsureKey] stores the first one. The API trusts no cookie and sends no CORS header, so a browser cannot be tricked into calling it.
//
// Every change and its audit event are one transaction. Mistakes in a request are answered all at once, as RFC 9457
// problems. A database that does not answer is 503, never "not found".
package admin
