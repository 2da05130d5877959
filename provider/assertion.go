package provider

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// assertionType is the only client_assertion_type there is (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	maxAssertionLength   = 8 << 10
	maxAssertionLifetime = 10 * time.Minute
	maxJTILength         = 256
	clockLeeway          = 30 * time.Second
	maxKeysTried         = 16 // one assertion must not buy the verification of a thousand keys
)

// assertionAlgorithms are those of [client.SigningAlgorithms].
var assertionAlgorithms = func() (all []jose.SignatureAlgorithm) {
	for _, name := range client.SigningAlgorithms() {
		all = append(all, jose.SignatureAlgorithm(name))
	}
	return all
}()

// assertionVerifier authenticates clients by the assertions they sign: private_key_jwt (RFC 7523 §2.2 and §3).
type assertionVerifier struct {
	store     fosite.ClientManager
	tried     RefusedClient              // in whose name the assertion is
	audiences []string                   // issuer, issuer with a slash, token endpoint URL
	keys      fosite.JWKSFetcherStrategy // for jwks_uri; nil: clients with a jwks_uri are refused
	documents *ClientDocuments           // nil: what is stored counts
	now       func() time.Time           // nil: time.Now
}

// authenticate returns the client that signed the assertion in form. It answers invalid_request for a form without
// an assertion or its type, temporarily_unavailable when the store or the client's jwks_uri cannot be reached, and
// one and the same invalid_client for everything else; the reason is in the debug text.
func (v *assertionVerifier) authenticate(ctx context.Context, form url.Values) (fosite.Client, error) {
	token, claims, err := parseAssertion(form)
	if err != nil {
		return nil, err
	}
	if id := form.Get("client_id"); id != "" && claims.Issuer != claims.Subject && claims.Subject != "" {
		return v.byIssuer(ctx, id, token, claims)
	}
	if reason := v.checkClaims(claims, form.Get("client_id")); reason != "" {
		return nil, refuseAssertion(reason)
	}
	client, expired, err := v.lookUp(ctx, claims.Subject)
	if err != nil {
		return nil, err
	}
	if client, err = v.documents.current(ctx, client); err != nil {
		return nil, v.undocumented(err)
	}
	signer, ok := client.(fosite.OpenIDConnectClient)
	if !ok || signer.GetTokenEndpointAuthMethod() != "private_key_jwt" {
		return nil, refuseAssertion("the client is not registered for private_key_jwt")
	}
	if issuer, _, _ := assertionIssuerOf(client); issuer != "" {
		return nil, refuseAssertion("the client's assertions are its issuer's (assertion_issuer)")
	}
	if err := v.checkSignature(ctx, token, signer); err != nil {
		return nil, err
	}
	if expired != nil {
		return nil, expired
	}
	// Last, so that an assertion refused for any other reason does not use up its jti.
	if err := v.useOnce(ctx, client.GetID(), claims); err != nil {
		return nil, err
	}
	return client, nil
}

// lookUp reads the client in whose name an assertion is sent. expired is what to tell once the assertion is verified.
func (v *assertionVerifier) lookUp(ctx context.Context, id string) (_ fosite.Client, expired, err error) {
	known, err := v.store.GetClient(ctx, id)
	v.tried.ClientID, v.tried.Exists = id, err == nil
	if ended := (*client.ExpiredError)(nil); errors.As(err, &ended) {
		return ended.Client, errExpired(ended.At, assertionFault), nil
	}
	if errors.Is(err, client.ErrDisabled) {
		return nil, nil, refuseAssertion("the client is disabled")
	}
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, nil, refuseAssertion("unknown client")
	}
	if err != nil {
		return nil, nil, unavailable(err)
	}
	return known, nil, nil
}

// undocumented is the error of a client whose metadata document cannot be used: an outage where it does not answer, or too many
// are asked for.
func (v *assertionVerifier) undocumented(err error) error {
	if known := fosite.ErrorToRFC6749Error(err); known.ErrorField == errDocument.ErrorField {
		return refuseAssertion("the metadata document of the client cannot be used")
	}
	return err
}

const assertionFault = "client assertion: "

// refuseAssertion makes the one answer to a bad assertion. The reason is for the log: fixed words, nothing sent.
func refuseAssertion(reason string) error {
	return errInvalidClient.WithDebug(assertionFault + reason)
}

// parseAssertion reads the assertion without trusting it: the claims hold only once checkSignature says so.
func parseAssertion(form url.Values) (*jwt.JSONWebToken, jwt.Claims, error) {
	var claims jwt.Claims
	assertion := form.Get("client_assertion")
	switch kind := form.Get("client_assertion_type"); {
	case kind == "":
		return nil, claims, fosite.ErrInvalidRequest.WithHintf("Send client_assertion_type together with client_assertion; it must be '%s'.", assertionType)
	case kind != assertionType:
		return nil, claims, refuseAssertion("unknown client_assertion_type")
	case assertion == "":
		return nil, claims, fosite.ErrInvalidRequest.WithHint("Send client_assertion together with client_assertion_type.")
	case len(assertion) > maxAssertionLength:
		return nil, claims, refuseAssertion("too long")
	}
	token, err := jwt.ParseSigned(assertion, assertionAlgorithms)
	if err != nil {
		return nil, claims, refuseAssertion("not a JWT signed with an algorithm that is allowed")
	}
	if kind, given := token.Headers[0].ExtraHeaders[jose.HeaderType]; given && !isAssertionType(kind) {
		return nil, claims, refuseAssertion("typ is that of another kind of JWT")
	}
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return nil, claims, refuseAssertion("malformed claims")
	}
	return token, claims, nil
}

// isAssertionType tells whether the header typ is that of a client assertion: JWT, or the type of its own that
// draft-ietf-oauth-rfc7523bis gives it. An access token or another grant's assertion, signed with the same key, is none.
func isAssertionType(kind any) bool {
	name, _ := kind.(string)
	return strings.EqualFold(name, "JWT") || strings.EqualFold(name, "client-authentication+jwt")
}

// checkClaims applies RFC 7523 §3 and answers what is wrong, or "".
func (v *assertionVerifier) checkClaims(claims jwt.Claims, clientID string) (reason string) {
	switch {
	case claims.Subject == "":
		return "no sub"
	case claims.Issuer != claims.Subject:
		return "iss is not sub"
	case clientID != "" && clientID != claims.Subject: // RFC 7521 §4.2
		return "client_id is not sub"
	// An assertion for several audiences could be replayed by one of them at another.
	case len(claims.Audience) != 1 || !slices.Contains(v.audiences, claims.Audience[0]):
		return "aud is not exactly this server"
	case claims.ID == "" || len(claims.ID) > maxJTILength:
		return "no jti, or one that is too long"
	}
	return checkTimes(claims, clock(v.now), maxAssertionLifetime)
}

// useOnce marks the assertion as used; of any number of concurrent calls the store lets one pass. A jti is unique
// per client only (RFC 7523 §3): another client's must not get in the way. The escaped id holds no space, so no two
// pairs make one key.
func (v *assertionVerifier) useOnce(ctx context.Context, clientID string, claims jwt.Claims) error {
	// Remembered for longer than it is accepted, also by a replica whose clock is behind.
	until := claims.Expiry.Time().Add(2 * clockLeeway)
	err := v.store.SetClientAssertionJWT(ctx, url.QueryEscape(clientID)+" "+claims.ID, until)
	if errors.Is(err, fosite.ErrJTIKnown) {
		return refuseAssertion("used before")
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}
