package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

const testIssuer = "https://as.example.com"

// jwtStrategy issues JWTs for docs, and opaque tokens for other resources.
func jwtStrategy(t *testing.T, ring *keyRing) *TokenStrategy {
	t.Helper()
	return jwtStrategyWith(t, ring, secretA)
}

func jwtStrategyWith(t *testing.T, ring *keyRing, secrets ...string) *TokenStrategy {
	t.Helper()
	s := newStrategy(t, secrets...)
	if err := s.UseJWT(JWTAccessTokens{Keys: ring.SigningKeys, Issuer: testIssuer, For: func(resource string) bool { return resource == docs }}); err != nil {
		t.Fatal(err)
	}
	return s
}

func accessRequest(audience ...string) *fosite.Request {
	session := NewSession()
	session.SetExpiresAt(fosite.AccessToken, time.Now().Add(time.Hour))
	return &fosite.Request{
		Client: &fosite.DefaultClient{ID: "ci"}, Session: session, RequestedAt: time.Now(),
		GrantedScope: fosite.Arguments{"mcp:search", "docs:read"}, GrantedAudience: audience,
	}
}

func generate(t *testing.T, s *TokenStrategy, r fosite.Requester) (token, signature string) {
	t.Helper()
	token, signature, err := s.GenerateAccessToken(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return token, signature
}

func TestJWTsVerifyByTheJWKSAlone(t *testing.T) {
	for _, algorithm := range SigningAlgorithms() {
		ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{Algorithm: algorithm})
		ensure(t, ring)
		s := jwtStrategy(t, ring)
		r := accessRequest(docs)
		token, signature := generate(t, s, r)

		set, err := ring.PublicKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var keys jose.JSONWebKeySet
		if err := json.Unmarshal(set, &keys); err != nil {
			t.Fatal(err)
		}
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatal(algorithm, err)
		}
		var claims map[string]any
		if err := parsed.Claims(keys, &claims); err != nil {
			t.Fatal(algorithm, err)
		}
		if typ := parsed.Headers[0].ExtraHeaders["typ"]; typ != "at+jwt" {
			t.Errorf("typ %v", typ)
		}
		issued := float64(r.RequestedAt.Unix())
		want := map[string]any{
			"iss": testIssuer, "sub": "ci", "client_id": "ci", "aud": docs, "scope": "mcp:search docs:read", "iat": issued, "nbf": issued,
			"exp": float64(r.Session.GetExpiresAt(fosite.AccessToken).Unix()), "jti": strings.TrimPrefix(signature, "~"), "mac": claims["mac"], // see TestASigningKeyAloneMakesNoToken
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", algorithm, diff)
		}
		if got := s.AccessTokenSignature(t.Context(), token); got != signature {
			t.Errorf("%s: signature %q, want %q", algorithm, got, signature)
		}
		if err := s.ValidateAccessToken(t.Context(), r, token); err != nil {
			t.Error(algorithm, err)
		}
		if s.RefreshTokenSignature(t.Context(), token) != "" || s.AuthorizeCodeSignature(t.Context(), token) != "" {
			t.Errorf("%s: the token passes for one of another kind", algorithm)
		}
		r.Session.SetExpiresAt(fosite.AccessToken, time.Now().Add(-time.Second))
		if err := s.ValidateAccessToken(t.Context(), r, token); !errors.Is(err, fosite.ErrTokenExpired) {
			t.Errorf("%s: an expired token: %v", algorithm, err)
		}
	}
}

func TestOneResourceThatWantsJWTsIsEnough(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	s := jwtStrategy(t, ring)
	for _, c := range []struct {
		audience []string
		aud      any // nil: the token is opaque
	}{
		{[]string{docs}, docs},
		{[]string{wiki, docs}, []any{wiki, docs}},
		{[]string{wiki}, nil},
		{nil, nil},
	} {
		r := accessRequest(c.audience...)
		r.Session.(*Session).Subject = "ada"
		token, signature := generate(t, s, r)
		if opaque := strings.HasPrefix(token, AccessTokenPrefix); opaque != (c.aud == nil) {
			t.Errorf("the token for %v is %.10s…", c.audience, token)
		}
		if got := s.AccessTokenSignature(t.Context(), token); got != signature || got == "" {
			t.Errorf("the token for %v has the signature %q, want %q", c.audience, got, signature)
		}
		if c.aud == nil {
			continue
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		var claims map[string]any
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.aud, claims["aud"]); diff != "" || claims["sub"] != "ada" {
			t.Errorf("claims %v", claims)
		}
	}
}

// A workload's subject is not one of this server's, and a gateway must be able to tell.
func TestAJWTSaysWhoHasNamedItsSubject(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	r := accessRequest(docs)
	r.Session.(*Session).SetAsserted("https://ci.example.com", "repo:docs")
	token, _ := generate(t, jwtStrategy(t, ring), r)
	_, payload, _ := split(t, token)
	want := map[string]any{"format": "iss_sub", "iss": "https://ci.example.com", "sub": "repo:docs"}
	claims := claimsIn(t, payload)
	if diff := cmp.Diff(want, claims["sub_id"]); diff != "" || claims["sub"] != "repo:docs" || claims["iss"] != testIssuer {
		t.Errorf("claims %v", claims)
	}
}

// A token counts in the format that it has, whatever the format of new ones is.
func TestTokensOfBothFormatsOutliveAChangeOfFormat(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	before, during := newStrategy(t, secretA), jwtStrategy(t, ring)
	after := newStrategy(t, secretA)
	if err := after.UseJWT(JWTAccessTokens{Keys: ring.SigningKeys, Issuer: testIssuer}); err != nil {
		t.Fatal(err)
	}
	opaque, opaqueSignature := generate(t, before, accessRequest(docs))
	signed, signedSignature := generate(t, during, accessRequest(docs))
	if third, _ := generate(t, after, accessRequest(docs)); !strings.HasPrefix(third, AccessTokenPrefix) {
		t.Errorf("after the change back a token is %.10s…", third)
	}
	for name, s := range map[string]*TokenStrategy{"during": during, "after": after} {
		if got := s.AccessTokenSignature(t.Context(), opaque); got != opaqueSignature {
			t.Errorf("%s: the opaque token has the signature %q", name, got)
		}
		if got := s.AccessTokenSignature(t.Context(), signed); got != signedSignature {
			t.Errorf("%s: the JWT has the signature %q", name, got)
		}
	}
}

func TestWhatIsNoJWTOfThisServerHasNoSignature(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	s := jwtStrategy(t, ring)
	token, _ := generate(t, s, accessRequest(docs))
	header, payload, signed := split(t, token)
	current := ring.set.Load().current
	ours := current.private.(*ecdsa.PrivateKey)
	next := ring.set.Load().byHeader
	another, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(current.public)
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsIn(t, payload)
	delete(claims, "mac")
	with := func(name string, value any) map[string]any {
		changed := map[string]any{}
		for k, v := range claims {
			changed[k] = v
		}
		changed[name] = value
		return changed
	}
	sealed := func(claims any) []byte { // all else about a token is checked as well
		encoded, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		return s.jwt.addMAC(encoded)
	}
	sign := func(key any, alg jose.SignatureAlgorithm, claims any, header map[jose.HeaderKey]any) string {
		t.Helper()
		return signPayload(t, key, alg, sealed(claims), header)
	}
	at := func(typ string) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{"typ": typ, "kid": current.id} }
	raw := func(header any) string {
		encoded, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	otherHeader := ""
	for h := range next {
		if h != header {
			otherHeader = h
		}
	}
	bad := map[string]string{
		"another key with our kid":          sign(another, jose.ES256, claims, at("at+jwt")),
		"another key with a kid of its own": sign(another, jose.ES256, claims, map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "another"}),
		"without a kid":                     sign(ours, jose.ES256, claims, map[jose.HeaderKey]any{"typ": "at+jwt"}),
		"typ JWT":                           sign(ours, jose.ES256, claims, at("JWT")),
		"no typ":                            sign(ours, jose.ES256, claims, map[jose.HeaderKey]any{"kid": current.id}),
		"an ID-JAG":                         sign(ours, jose.ES256, claims, at("oauth-id-jag+jwt")),
		"a client assertion":                sign(ours, jose.ES256, claims, at("client-authentication+jwt")),
		"typ of another spelling":           sign(ours, jose.ES256, claims, at("application/at+jwt")),
		"HS256 with the public key":         sign(public, jose.HS256, claims, at("at+jwt")),
		"a key in the header":               sign(another, jose.ES256, claims, map[jose.HeaderKey]any{"typ": "at+jwt", "kid": current.id, "jwk": jose.JSONWebKey{Key: another.Public()}}),
		"keys by a URL in the header":       sign(another, jose.ES256, claims, map[jose.HeaderKey]any{"typ": "at+jwt", "kid": current.id, "jku": "https://evil.example.com/jwks.json"}),
		"a certificate's URL in it":         sign(another, jose.ES256, claims, map[jose.HeaderKey]any{"typ": "at+jwt", "kid": current.id, "x5u": "https://evil.example.com/x5u"}),
		"another issuer":                    sign(ours, jose.ES256, with("iss", "https://evil.example.com"), at("at+jwt")),
		"without a jti":                     sign(ours, jose.ES256, with("jti", ""), at("at+jwt")),
		"alg none":                          raw(map[string]string{"alg": "none", "kid": current.id, "typ": "at+jwt"}) + "." + payload + ".",
		"our header, no signature":          header + "." + payload + ".",
		"our signature, alg RS256":          raw(map[string]string{"alg": "RS256", "kid": current.id, "typ": "at+jwt"}) + "." + payload + "." + signed,
		"signed by another of our keys":     otherHeader + "." + payload + "." + signed,
		"other claims":                      header + "." + base64.RawURLEncoding.EncodeToString(sealed(with("scope", "admin"))) + "." + signed,
		"another exp":                       header + "." + base64.RawURLEncoding.EncodeToString(sealed(with("exp", 1<<40))) + "." + signed,
		"two parts":                         header + "." + payload,
		"four parts":                        token + "." + signed,
		"five parts":                        token + "." + signed + "." + signed,
		"padding":                           token + "==",
		"a newline":                         token + "\n",
		"a signature of ASN.1":              header + "." + payload + "." + asn1(t, ours, header+"."+payload),
		"cut off":                           token[:len(token)-1],
		"other bits that mean the same":     sameBits(token),
		"a megabyte of a jti":               sign(ours, jose.ES256, with("jti", strings.Repeat("a", 1<<20)), at("at+jwt")),
		"no JSON":                           header + "." + base64.RawURLEncoding.EncodeToString([]byte("{")) + "." + signed,
		"only dots":                         "..",
		"the stored name":                   "~" + claims["jti"].(string),
	}
	for name, token := range bad {
		if got := s.AccessTokenSignature(t.Context(), token); got != "" {
			t.Errorf("%s: signature %q", name, got)
		}
		ctx, signature := s.WithToken(t.Context(), token)
		if signature != "" || s.AccessTokenSignature(ctx, token) != "" {
			t.Errorf("%s: announced as %q", name, signature)
		}
		if err := s.ValidateAccessToken(t.Context(), accessRequest(docs), token); !errors.Is(err, fosite.ErrTokenSignatureMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, token := range []string{token, sign(ours, jose.ES256, claims, at("at+jwt"))} {
		if s.AccessTokenSignature(t.Context(), token) == "" {
			t.Error("the token that they are made of has no signature, so the test shows nothing")
		}
	}
}

func split(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	return parts[0], parts[1], parts[2]
}

func claimsIn(t *testing.T, payload string) (claims map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatal(err)
	}
	return claims
}

func asn1(t *testing.T, key *ecdsa.PrivateKey, message string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(message))
	signed, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(signed)
}

func TestATokenOfARetiredKeyCountsAndOneOfADiscardedKeyDoesNot(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	s := jwtStrategy(t, ring)
	first, signature := generate(t, s, accessRequest(docs))
	ring.clock = ring.clock.Add(KeyLead)
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, secondSignature := generate(t, s, accessRequest(docs))
	for token, want := range map[string]string{first: signature, second: secondSignature} {
		if got := s.AccessTokenSignature(t.Context(), token); got != want {
			t.Errorf("after a rotation: signature %q, want %q", got, want)
		}
	}
	if _, err := ring.Discard(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{first: signature, second: ""} {
		if got := s.AccessTokenSignature(t.Context(), token); got != want {
			t.Errorf("after the current key was discarded: signature %q, want %q", got, want)
		}
	}
}

// A replica that has not heard of a key looks for it before it calls a token unknown.
func TestATokenOfAnotherReplicasKeyIsKnown(t *testing.T) {
	store := &keyStore{}
	here, there := newKeyRing(t, store, SigningKeyOptions{}), newKeyRing(t, store, SigningKeyOptions{})
	ensure(t, here)
	ensure(t, there)
	for range 2 {
		if _, err := there.Discard(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	token, signature := generate(t, jwtStrategy(t, there), accessRequest(docs))
	s := jwtStrategy(t, here)
	store.err = errors.New("the database is gone")
	if s.checked(t.Context(), token).outage == nil || s.AccessTokenSignature(t.Context(), token) != "" {
		t.Error("a token of an unknown key is refused while the database is gone")
	}
	store.err, here.clock = nil, here.clock.Add(unknownKeys)
	if got := s.AccessTokenSignature(t.Context(), token); got != signature {
		t.Errorf("signature %q, want %q", got, signature)
	}
}

func TestATokenThatNobodyWouldTakeIsNotIssued(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	r := accessRequest(docs)
	r.GrantedScope = fosite.Arguments{strings.Repeat("s", MaximumToken)}
	if _, _, err := jwtStrategy(t, ring).GenerateAccessToken(t.Context(), r); !errors.Is(err, fosite.ErrInvalidScope) {
		t.Errorf("%v", err)
	}
}

func TestWithoutASecretForItsKeyAReplicaVerifiesAndDoesNotSign(t *testing.T) {
	store := &keyStore{}
	ring := newKeyRing(t, store, SigningKeyOptions{})
	ensure(t, ring)
	token, signature := generate(t, jwtStrategy(t, ring), accessRequest(docs))
	lost := jwtStrategy(t, newKeyRing(t, store, SigningKeyOptions{SystemSecret: []byte(secretB)}))
	if got := lost.AccessTokenSignature(t.Context(), token); got != signature {
		t.Errorf("signature %q, want %q", got, signature)
	}
	if _, _, err := lost.GenerateAccessToken(t.Context(), accessRequest(docs)); !errors.Is(err, fosite.ErrTemporarilyUnavailable) || !errors.Is(err, errMissingKeySecret) {
		t.Errorf("%v", err)
	}
}
