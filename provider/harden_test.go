package provider

import (
	"reflect"
	"slices"
	"testing"

	"github.com/ory/fosite"
)

func TestHardenMakesTheDefaultsSafe(t *testing.T) {
	config := &fosite.Config{EnablePKCEPlainChallengeMethod: true, SendDebugMessagesToClients: true, SanitationWhiteList: []string{"code"}}
	if _, err := Harden(config); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for rule, holds := range map[string]bool{
		"PKCE for everybody":                 config.GetEnforcePKCE(ctx) && config.GetEnforcePKCEForPublicClients(ctx),
		"no plain challenges":                !config.GetEnablePKCEPlainChallengeMethod(ctx),
		"refresh tokens introspect inactive": config.GetDisableRefreshTokenValidation(ctx),
		"no debug messages to clients":       !config.GetSendDebugMessagesToClients(ctx),
		"exact scopes":                       !config.GetScopeStrategy(ctx)([]string{"mcp.*"}, "mcp.search"),
		"exact audiences":                    config.GetAudienceStrategy(ctx)([]string{"https://a/mcp"}, []string{"https://u:p@a/mcp/../x?y#z"}) != nil,
		"redirect binding":                   slices.Contains(config.GetSanitationWhiteList(ctx), "redirect_uri"),
		"14 days":                            config.GetAccessTokenLifespan(ctx) == TokenLifespan,
		"refresh by grant type":              len(config.GetRefreshTokenScopes(ctx)) == 0,
		"a state may be missing":             config.GetMinParameterEntropy(ctx) <= 0,
		"no scope in redirects":              config.GetOmitRedirectScopeParam(ctx),
	} {
		if !holds {
			t.Errorf("does not hold: %s", rule)
		}
	}
}

// fosite fills these fields at the first request, without a lock.
func TestHardenLeavesNoFieldToBeFilledLazily(t *testing.T) {
	config := &fosite.Config{}
	if _, err := Harden(config); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"ScopeStrategy", "AudienceMatchingStrategy", "ClientSecretsHasher", "JWKSFetcherStrategy"} {
		if reflect.ValueOf(config).Elem().FieldByName(field).IsNil() {
			t.Errorf("%s is nil", field)
		}
	}
}

func TestHardenRefusesASecretThatFositeWouldCut(t *testing.T) {
	for length, ok := range map[int]bool{0: true, 31: false, 32: true, 33: false, 64: false} {
		if _, err := Harden(&fosite.Config{GlobalSecret: make([]byte, length)}); (err == nil) != ok {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}
