package authserver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"
)

func (p *parts) metadata(cfg config.Config, endpoints *handlers.Server) handlers.Metadata {
	m := handlers.Metadata{
		Server:     endpoints,
		OpenID:     true,
		Endpoints:  cfg.PublicURL + cfg.BasePath,
		Scopes:     slices.Sorted(maps.Keys(cfg.Scopes)),
		GrantTypes: []string{"client_credentials"},

		GrantProfiles: p.grantProfiles(),
	}
	if len(cfg.Login.Methods) > 0 {
		m.GrantTypes = append(m.GrantTypes, "authorization_code")
	}
	if len(cfg.Login.Methods) > 0 || cfg.Tokens.ClientCredentialsRefresh {
		m.GrantTypes = append(m.GrantTypes, "refresh_token")
	}
	m.GrantTypes = append(m.GrantTypes, client.JWTBearer)
	for _, identifier := range resourceIdentifiers(cfg) {
		resource := cfg.Resources[identifier]
		m.Resources = append(m.Resources, handlers.ProtectedResource{Resource: identifier, Name: resource.Name, Scopes: resource.Scopes})
	}
	return m
}

// profilesLife is how long the metadata may lag behind the rules about issuers.
const profilesLife = 10 * time.Second

// grantProfiles names the profile of identity assertions while a rule accepts them.
func (p *parts) grantProfiles() func(ctx context.Context) []string {
	var mu sync.Mutex
	var known []string
	var until time.Time
	return func(ctx context.Context) []string {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(until) {
			has, err := p.store.Issuers().HasIssuers(ctx, client.IDJAG)
			if err != nil { // the document without them is as good as the last one
				p.log.WarnContext(ctx, "the rules about issuers cannot be read for the metadata", "cause", err.Error())
			} else if known = nil; has {
				known = []string{"urn:ietf:params:oauth:grant-profile:id-jag"}
			}
			until = now.Add(profilesLife)
		}
		return known
	}
}
