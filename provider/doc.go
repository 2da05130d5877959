// Package provider composes an OAuth 2.1 authorization server for MCP out of fosite's parts.
//
// Call [New] for the whole: it returns a fosite.OAuth2Provider with the safe settings, our token format, client
// authentication, resource policy and introspection hook. Hand it to handlers.Server.
//
// A team with a composition of its own takes only a part:
//
//   - [Harden] sets every field of a fosite.Config whose default is unsafe or racy;
//   - [MCPSearchFactory] adds the introspection hook of the MCP search scope, [HookFactory] any other
//     [IntrospectionHook]; both go after compose.OAuth2TokenIntrospectionFactory;
//   - [ClientCredentialsFactory], [AuthorizationCodeFactory] and [RefreshTokenFactory] are the grants: fosite's handlers with
//     our rules around them, in place of the factories of the same grants in fosite's compose and of compose.OAuth2PKCEFactory.
//     Like [RevocationFactory], they end a grant only for a whole token, with any token strategy. [AuthorizePolicy] reads
//     authorization requests as MCP clients send them;
//   - [SigningKeys] and [TokenStrategy.UseJWT] make access tokens JWTs, for gateways that verify them;
//   - [ClientAuthenticator], [TokenStrategy], [SecretHasher] and [RevocationFactory] work alone too.
//
// What a client may be registered with is in the package client below.
//
// The package knows fosite's storage interfaces and no storage.
package provider
