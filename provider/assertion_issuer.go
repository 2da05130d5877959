package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"
)

// The second form of private_key_jwt: another issuer, such as the client's platform, says who it is. Its iss and sub are registered
// with the client, and client_id names the client, as the assertion cannot.

// byIssuer authenticates the client id by an assertion of its issuer.
func (v *assertionVerifier) byIssuer(ctx context.Context, id string, token *jwt.JSONWebToken, claims jwt.Claims) (fosite.Client, error) {
	client, expired, err := v.lookUp(ctx, id)
	if err != nil {
		return nil, err
	}
	issuer, subject, reusable := assertionIssuerOf(client)
	signer, ok := client.(fosite.OpenIDConnectClient)
	if !ok || issuer == "" || signer.GetTokenEndpointAuthMethod() != "private_key_jwt" {
		return nil, refuseAssertion("iss is not sub, and the client has no issuer of its own (assertion_issuer)")
	}
	if reason := v.checkIssued(claims, issuer, subject, reusable); reason != "" {
		return nil, refuseAssertion(reason)
	}
	if err := v.checkIssuersSignature(ctx, token, signer, issuer); err != nil {
		return nil, err
	}
	if expired != nil {
		return nil, expired
	}
	if reusable {
		return client, nil
	}
	if claims.ID == "" { // known by what it says
		var payload json.RawMessage
		if token.UnsafeClaimsWithoutVerification(&payload) != nil {
			return nil, refuseAssertion("malformed claims")
		}
		digest := sha256.Sum256(payload)
		claims.ID = "claims " + base64.RawURLEncoding.EncodeToString(digest[:])
	}
	if err := v.useOnce(ctx, "issuer "+issuer, claims); err != nil {
		return nil, err
	}
	return client, nil
}

// assertionIssuerOf is who makes the client's assertions; an empty issuer: the client itself.
func assertionIssuerOf(client fosite.Client) (issuer, subject string, reusable bool) {
	if c, ok := client.(ClientWithAssertionIssuer); ok {
		return c.GetAssertionIssuer()
	}
	return "", "", false
}

// checkIssued answers what is wrong with the claims of an assertion of the client's issuer, or "".
func (v *assertionVerifier) checkIssued(claims jwt.Claims, issuer, subject string, reusable bool) (reason string) {
	ahead := maxSingleUseAhead
	if reusable {
		ahead = maxReusableAhead
	}
	switch {
	case claims.Issuer != issuer:
		return "iss is not the client's assertion_issuer"
	case claims.Subject != subject:
		return "sub is not the client's assertion_subject"
	case !slices.ContainsFunc(claims.Audience, func(aud string) bool { return slices.Contains(v.audiences, aud) }):
		return "aud is not this server"
	case len(claims.ID) > maxJTILength:
		return "a jti that is too long"
	}
	return checkTimes(claims, clock(v.now), ahead)
}

// checkTimes answers what is wrong with the times of an assertion, or "".
func checkTimes(claims jwt.Claims, now time.Time, ahead time.Duration) (reason string) {
	switch {
	case claims.Expiry == nil:
		return "it has no exp"
	case !now.Before(claims.Expiry.Time().Add(clockLeeway)):
		return "it has expired"
	case claims.Expiry.Time().After(now.Add(ahead + clockLeeway)):
		return "its exp is too far ahead"
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(clockLeeway)):
		return "its nbf is in the future"
	case claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(clockLeeway)):
		return "its iat is in the future"
	}
	return ""
}

// checkIssuersSignature verifies the assertion with the keys that are registered with the client, or with those that its issuer publishes.
func (v *assertionVerifier) checkIssuersSignature(ctx context.Context, token *jwt.JSONWebToken, client fosite.OpenIDConnectClient, issuer string) error {
	if set := client.GetJSONWebKeys(); set != nil && len(set.Keys) > 0 || client.GetJSONWebKeysURI() != "" {
		return v.checkSignature(ctx, token, client)
	}
	discoverer, ok := v.keys.(KeyDiscoverer)
	if !ok {
		return refuseAssertion("no keys of the client's issuer to verify it with")
	}
	location, err := discoverer.DiscoverKeys(ctx, issuer)
	if err != nil {
		return unavailable(err)
	}
	return v.checkSignatureAt(ctx, token, client, location)
}
