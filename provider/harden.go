package provider

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/ory/fosite"
)

// TokenLifespan is how long a machine's access token lives unless told otherwise.
const TokenLifespan = 14 * 24 * time.Hour

// Insecure names a setting that [Harden] is to leave as it is, and what may happen then. The grants of this package
// keep to PKCE with S256, exact scopes and exact audiences all the same.
type Insecure string

const (
	InsecureCodesWithoutPKCE        Insecure = "InsecureCodesWithoutPKCE"        // who steals a code redeems it
	InsecurePlainPKCE               Insecure = "InsecurePlainPKCE"               // who reads an authorization request redeems its code
	InsecureRefreshTokenAsAccess    Insecure = "InsecureRefreshTokenAsAccess"    // a refresh token opens resource servers
	InsecureDebugMessages           Insecure = "InsecureDebugMessages"           // callers read what the database said
	InsecureScopeStrategy           Insecure = "InsecureScopeStrategy"           // a wildcard or hierarchy gives scopes that nobody registered
	InsecureAudienceStrategy        Insecure = "InsecureAudienceStrategy"        // a prefix of a URL gives tokens for other resources
	InsecureUnauthenticatedJWTGrant Insecure = "InsecureUnauthenticatedJWTGrant" // an assertion is enough, without its client
	InsecureUnboundRedirectURI      Insecure = "InsecureUnboundRedirectURI"      // a code is redeemed for another redirect URI
)

// Harden makes a fosite.Config safe. Call it before the first request: fosite fills some empty fields lazily and without a
// lock. It replaces what a host has set
//
//   - EnforcePKCE and EnforcePKCEForPublicClients, to true: without them a code can be redeemed without a verifier after
//     one failed try; EnablePKCEPlainChallengeMethod, to false;
//   - DisableRefreshTokenValidation, to true: an introspected access token is an access token;
//   - SendDebugMessagesToClients and UseLegacyErrorFormat, to false;
//   - ScopeStrategy and AudienceMatchingStrategy, to exact ones: fosite's own match by prefix;
//   - GrantTypeJWTBearerCanSkipClientAuth, to false;
//   - SanitationWhiteList, if it lacks redirect_uri: a list replaces fosite's own, and redirect binding is off without it;
//   - OmitRedirectScopeParam, to true: RFC 6749 §4.1.2 knows no scope there.
//
// It fills in, where nothing is set, MinParameterEntropy (-1: state is optional under PKCE, OAuth 2.1 §4.1.1),
// RefreshTokenScopes (none: refresh tokens follow from the client's grant types), ClientSecretsHasher, JWKSFetcherStrategy
// and the lifespans: access tokens 14 days, refresh tokens 90 days, codes a minute, pushed requests five.
//
// leave names what to leave as it is. changed are the fields that have another value now. An error is a configuration that
// cannot be made safe.
func Harden(config *fosite.Config, leave ...Insecure) (changed []string, err error) {
	if n := len(config.GlobalSecret); n != 0 && n != 32 {
		remedy := "use 32 random bytes"
		if n > 32 {
			remedy = "set it to its own first 32 bytes (secret[:32]), with which every token stays valid that was made so far; any other key would end them"
		}
		return nil, fmt.Errorf("provider: GlobalSecret has %d bytes, and fosite takes the first 32 and ignores the rest: %s", n, remedy)
	}
	for _, name := range leave {
		if !slices.Contains(insecure, name) {
			return nil, errors.New("provider: Harden knows nothing called " + string(name) + "; use the constants")
		}
	}
	before := *config
	harden(config, func(name Insecure) bool { return !slices.Contains(leave, name) })
	was, is := reflect.ValueOf(before), reflect.ValueOf(*config)
	for i := range is.NumField() {
		if !same(was.Field(i), is.Field(i)) {
			changed = append(changed, is.Type().Field(i).Name)
		}
	}
	return changed, nil
}

var insecure = []Insecure{InsecureCodesWithoutPKCE, InsecurePlainPKCE, InsecureRefreshTokenAsAccess, InsecureDebugMessages,
	InsecureScopeStrategy, InsecureAudienceStrategy, InsecureUnauthenticatedJWTGrant, InsecureUnboundRedirectURI}

func harden(config *fosite.Config, may func(Insecure) bool) {
	if may(InsecureCodesWithoutPKCE) {
		config.EnforcePKCE, config.EnforcePKCEForPublicClients = true, true
	}
	if may(InsecurePlainPKCE) {
		config.EnablePKCEPlainChallengeMethod = false
	}
	if may(InsecureRefreshTokenAsAccess) {
		config.DisableRefreshTokenValidation = true
	}
	if may(InsecureDebugMessages) {
		config.SendDebugMessagesToClients, config.UseLegacyErrorFormat = false, false
	}
	if may(InsecureScopeStrategy) {
		config.ScopeStrategy = fosite.ExactScopeStrategy
	} else {
		config.ScopeStrategy = config.GetScopeStrategy(context.Background()) // which fosite fills in at the first request
	}
	if may(InsecureAudienceStrategy) {
		config.AudienceMatchingStrategy = exactAudience
	} else {
		config.AudienceMatchingStrategy = config.GetAudienceStrategy(context.Background())
	}
	if may(InsecureUnauthenticatedJWTGrant) {
		config.GrantTypeJWTBearerCanSkipClientAuth = false
	}
	if may(InsecureUnboundRedirectURI) && len(config.SanitationWhiteList) > 0 && !slices.Contains(config.SanitationWhiteList, "redirect_uri") {
		config.SanitationWhiteList = append(slices.Clone(config.SanitationWhiteList), "redirect_uri")
	}
	config.OmitRedirectScopeParam = true
	setDefault(&config.MinParameterEntropy, -1)
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
}

// same tells that two values of one field are the same. Functions are compared by their code.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Func {
		return a.Pointer() == b.Pointer()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
