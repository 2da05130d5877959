package authserver

import (
	"fosite-mcp/handlers"
	"fosite-mcp/handlers/login"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
)

// Packages that do not import each other look for these methods in each other's types. Here the compiler checks them.
var (
	_ provider.DocumentStore = (*clients.Registry)(nil)

	_ provider.SecretUseStore     = (*storage.Store)(nil)
	_ provider.SlowSecretStore    = (*storage.Store)(nil)
	_ provider.TokenRevokingStore = (*storage.Store)(nil)
	_ provider.ReuseRevokingStore = (*storage.Store)(nil)
	_ provider.AtomicStore        = (*storage.Store)(nil)
	_ provider.TokenGrantStore    = (*storage.Store)(nil)
	_ provider.IssuerRuleStore    = (*storage.Store)(nil)
	_ provider.SigningKeyStore    = (*storage.Store)(nil)

	_ provider.ClientWithUsedSecret      = (*client.Client)(nil)
	_ provider.ClientWithAuthMethod      = (*client.Client)(nil)
	_ provider.ClientWithAssertionIssuer = (*client.Client)(nil)
	_ handlers.NamedClient               = (*client.Client)(nil)
	_ handlers.ResourceServerClient      = (*client.Client)(nil)
	_ handlers.ExpiringClient            = (*client.Client)(nil)
	_ provider.ExpiringClient            = (*client.Client)(nil)
	_ login.DynamicClient                = (*client.Client)(nil)

	_ handlers.ClientAuthenticator  = (*provider.Provider)(nil)
	_ handlers.PersonSession        = (*provider.Session)(nil)
	_ handlers.GroupsSession        = (*provider.Session)(nil)
	_ handlers.GroupsTimeSession    = (*provider.Session)(nil)
	_ handlers.AuthenticatedSession = (*provider.Session)(nil)
	_ storage.GroupsSession         = (*provider.Session)(nil)
	_ storage.AssertedSession       = (*provider.Session)(nil)
	_ storage.RuledSession          = (*provider.Session)(nil)
)
