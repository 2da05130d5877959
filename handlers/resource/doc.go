// Package resource protects a downstream service with access tokens of an
// OAuth 2.1 authorization server. It needs nothing but the standard library.
//
// Call [NewIntrospector] first, with the introspection endpoint and the
// credentials under which the service is registered there (or let
// [Config.Discover] find the endpoint). Hand the result to [RequireBearer],
// which wraps any handler:
//
//	verifier, err := resource.NewIntrospector(resource.Config{
//		Endpoint:     "https://auth.example.com/authed/mcp/oauth/introspect",
//		ClientID:     "docs_search",
//		ClientSecret: secret,
//		Resource:     "https://docs.example.com/authed/mcp",
//	})
//	http.Handle("/authed/mcp", resource.RequireBearer(verifier, "mcp:search")(mcpHandler))
//
// Inside the handler, [TokenFromContext] tells who is calling, and the context
// ends when the token does. A handler of the Go SDK for MCP has to be stateless:
// see [TokenFromContext]. Three more
// parts are used as needed: [NewMetadataHandler] publishes where clients get
// their tokens (RFC 9728), [CORS] lets browser clients in, and [Bearer] is
// RequireBearer with every field spelled out.
//
// Every request is checked at the authorization server, and nothing is kept
// between two requests: a revoked token is refused at its very next use. With
// [Config.Cache] answers are kept and dropped when the server's feed of
// revocations names them: a revoked token is refused within a bound, 5 seconds
// if nothing else is said, also when the feed cannot be reached.
//
// [NewJWTVerifier] makes a verifier for access tokens that are JWTs. It needs
// the keys of the issuer, and asks about a token only when the feed of
// revocations does not decide.
//
// When the authorization server cannot answer, the request is refused with 503
// and never with 401, because a client throws a good token away on a 401.
package resource
