// Package login is the built-in [handlers.Login]: people log in with a local account, at an upstream OpenID Connect
// provider or through an authenticating proxy, are asked to consent, and see and withdraw what they granted.
//
// Call [New], mount the pages at the base path of the OAuth endpoints, and give the server to the authorize endpoint:
//
//	people, err := login.New(login.Options{Origin: publicURL, BasePath: basePath, Key: key, Sessions: store, Consents: store,
//		Local: &login.Local{Accounts: store, Hasher: hasher}})
//	people.Mount(router.PathPrefix(basePath).Subrouter())
//	endpoints := &handlers.Server{…, Login: people}
//
// What it promises:
//
//   - What a person was shown is what is granted: the page's form carries the request under a MAC that is bound to the
//     person's session.
//   - Consent is remembered for each person, client, scope and resource, and covers less but never more. It is asked for
//     every time when a public client is answered on the person's own device (a loopback address or a custom scheme):
//     any program there can call itself that client (RFC 8252 §8.6). So it is with a client that has registered itself,
//     which may have changed since.
//   - Every form is refused unless it comes from a page that this server gave to this browser. There is no way from
//     here to a place that is not this server's own or the client's checked redirect URI.
//   - The pages need no JavaScript, and a team can replace them: see [Options.Templates].
package login
