package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
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

// curveAlgorithms ties each curve to its one algorithm (RFC 7518 §3.4).
var curveAlgorithms = map[elliptic.Curve]string{
	elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512",
}

// assertionVerifier authenticates clients by the assertions they sign: private_key_jwt (RFC 7523 §2.2 and §3).
type assertionVerifier struct {
	store     fosite.ClientManager
	tried     *RefusedClient             // in whose name the assertion is
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

// checkSignature verifies the assertion with the client's registered keys, inline or at its jwks_uri.
func (v *assertionVerifier) checkSignature(ctx context.Context, token *jwt.JSONWebToken, client fosite.OpenIDConnectClient) error {
	if pinned := client.GetTokenEndpointAuthSigningAlgorithm(); pinned != "" && pinned != token.Headers[0].Algorithm {
		return refuseAssertion("alg is not the one the client registered")
	}
	if set := client.GetJSONWebKeys(); set != nil && len(set.Keys) > 0 {
		if !signedBy(token, set) {
			return refuseAssertion("no registered key verifies it")
		}
		return nil
	}
	location := client.GetJSONWebKeysURI()
	if location == "" || v.keys == nil {
		return refuseAssertion("no keys of the client to verify it with")
	}
	return v.checkSignatureAt(ctx, token, client, location)
}

// checkSignatureAt verifies the assertion with the keys at a location.
func (v *assertionVerifier) checkSignatureAt(ctx context.Context, token *jwt.JSONWebToken, client fosite.OpenIDConnectClient, location string) error {
	if pinned := client.GetTokenEndpointAuthSigningAlgorithm(); pinned != "" && pinned != token.Headers[0].Algorithm {
		return refuseAssertion("alg is not the one the client registered")
	}
	ctx = forClient(ctx, client)
	known, err := v.resolve(ctx, location, false)
	if err != nil {
		return err
	}
	if signedBy(token, known) {
		return nil
	}
	// The client may have changed its keys. The fetcher limits how often a location is asked again.
	fresh, err := v.resolve(ctx, location, true)
	if err != nil {
		return err
	}
	if fresh == known || !signedBy(token, fresh) {
		return refuseAssertion("no key at the client's jwks_uri verifies it")
	}
	return nil
}

// resolve fetches keys. Whatever the fetcher does not call invalid_client is an outage: it says nothing about the client.
func (v *assertionVerifier) resolve(ctx context.Context, location string, ignoreCache bool) (*josev3.JSONWebKeySet, error) {
	set, err := v.keys.Resolve(ctx, location, ignoreCache)
	if errors.Is(err, fosite.ErrInvalidClient) {
		return nil, refuseAssertion(fosite.ErrorToRFC6749Error(err).DebugField)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return set, nil
}

// signedBy tells whether one of the keys that fit the token's header verifies it.
func signedBy(token *jwt.JSONWebToken, set *josev3.JSONWebKeySet) bool {
	if set == nil {
		return false
	}
	header, tried := token.Headers[0], 0
	for i := range set.Keys {
		key := &set.Keys[i]
		if header.KeyID != "" && header.KeyID != key.KeyID || !fits(key, header.Algorithm) {
			continue
		}
		if tried++; tried > maxKeysTried {
			return false
		}
		verifier := key.Key
		if public, ok := verifier.(ed25519.PublicKey); ok {
			verifier = ed25519Verifier(public)
		}
		if token.Claims(verifier) == nil {
			return true
		}
	}
	return false
}

// ed25519Verifier verifies a signature under either name: EdDSA (RFC 8037) or Ed25519 (RFC 9864), which go-jose does not know.
type ed25519Verifier ed25519.PublicKey

// VerifyPayload implements [jose.OpaqueVerifier].
func (v ed25519Verifier) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	if alg != jose.EdDSA && alg != "Ed25519" || len(v) != ed25519.PublicKeySize {
		return jose.ErrUnsupportedAlgorithm
	}
	if !ed25519.Verify(ed25519.PublicKey(v), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}

// fits tells whether key may verify signatures of alg. A key without use or alg says nothing against it
// (RFC 7517 §4.2, §4.4). Symmetric and private keys fit nothing.
func fits(key *josev3.JSONWebKey, alg string) bool {
	if !key.Valid() || key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		// RFC 7518 §3.3 sets the minimum; beyond the maximum a verification costs too much.
		bits := public.N.BitLen()
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && bits >= 2048 && bits <= 8192
	case *ecdsa.PublicKey:
		return alg == curveAlgorithms[public.Curve]
	case ed25519.PublicKey:
		return alg == "EdDSA" || alg == "Ed25519"
	}
	return false
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
