package provider

import (
	"errors"
	"slices"
	"time"

	"github.com/ory/fosite"
)

// TokenLifespan is how long a machine's access token lives unless told otherwise.
const TokenLifespan = 14 * 24 * time.Hour

// Harden sets what a fosite.Config leaves open or unsafe, and keeps what is set already where that is safe. Call it
// before the first request: fosite fills some empty fields lazily and without a lock. It reports a configuration
// that cannot be made safe.
func Harden(config *fosite.Config) error {
	if n := len(config.GlobalSecret); n != 0 && n != 32 {
		return errors.New("provider: fosite uses the first 32 bytes of GlobalSecret and ignores the rest; derive a key of exactly 32 bytes, or use a TokenStrategy")
	}
	// PKCE with S256 for everybody. Without EnforcePKCE a code can be redeemed without a verifier after one
	// failed try.
	config.EnforcePKCE, config.EnforcePKCEForPublicClients, config.EnablePKCEPlainChallengeMethod = true, true, false
	// An introspected access token is an access token: refresh tokens are not valid at resource servers.
	config.DisableRefreshTokenValidation = true
	config.SendDebugMessagesToClients, config.UseLegacyErrorFormat = false, false
	config.ScopeStrategy = fosite.ExactScopeStrategy
	config.AudienceMatchingStrategy = exactAudience
	config.GrantTypeJWTBearerCanSkipClientAuth = false
	// A list replaces fosite's own, and without redirect_uri in it redirect binding is off.
	if len(config.SanitationWhiteList) > 0 && !slices.Contains(config.SanitationWhiteList, "redirect_uri") {
		config.SanitationWhiteList = append(slices.Clone(config.SanitationWhiteList), "redirect_uri")
	}
	// state is optional under PKCE (OAuth 2.1 §4.1.1), and MCP clients leave it out or keep it short.
	if config.MinParameterEntropy == 0 {
		config.MinParameterEntropy = -1
	}
	config.OmitRedirectScopeParam = true // RFC 6749 §4.1.2 knows no scope there
	// Refresh tokens follow from the client's grant types, not from a scope.
	if config.RefreshTokenScopes == nil {
		config.RefreshTokenScopes = []string{}
	}
	if config.ClientSecretsHasher == nil {
		config.ClientSecretsHasher = NewSecretHasher()
	}
	if config.JWKSFetcherStrategy == nil {
		config.JWKSFetcherStrategy = NewJWKSFetcher(JWKSFetcherOptions{})
	}
	setDefault(&config.AccessTokenLifespan, TokenLifespan)
	setDefault(&config.RefreshTokenLifespan, 90*24*time.Hour)
	setDefault(&config.AuthorizeCodeLifespan, time.Minute)
	setDefault(&config.PushedAuthorizeContextLifespan, 5*time.Minute)
	return nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}
