package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

const (
	assertionIssuer   = "https://auth.example.com"
	assertionTokenURL = "https://auth.example.com/oauth/token"
)

var assertionNow = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// assertionKeys are made once: RSA keys are slow to make.
var assertionKeys = sync.OnceValue(func() (keys struct {
	rsa, weak *rsa.PrivateKey
	p256      *ecdsa.PrivateKey
	p384      *ecdsa.PrivateKey
	p521      *ecdsa.PrivateKey
	ed, other ed25519.PrivateKey
}) {
	keys.rsa = okay(rsa.GenerateKey(rand.Reader, 2048))
	keys.weak = okay(rsa.GenerateKey(rand.Reader, 1024))
	keys.p256 = okay(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keys.p384 = okay(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	keys.p521 = okay(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, keys.ed, _ = ed25519.GenerateKey(rand.Reader)
	_, keys.other, _ = ed25519.GenerateKey(rand.Reader)
	return keys
})

func okay[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// assertionStore is a ClientManager in memory that can be made to fail.
type assertionStore struct {
	mu        sync.Mutex
	clients   map[string]fosite.Client
	used      map[string]time.Time
	clientErr error
	jtiErr    error
}

func (s *assertionStore) GetClient(_ context.Context, id string) (fosite.Client, error) {
	if s.clientErr != nil {
		return nil, s.clientErr
	}
	if client, ok := s.clients[id]; ok {
		return client, nil
	}
	return nil, fosite.ErrNotFound
}

func (s *assertionStore) ClientAssertionJWTValid(context.Context, string) error { return nil }

func (s *assertionStore) SetClientAssertionJWT(_ context.Context, jti string, exp time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jtiErr != nil {
		return s.jtiErr
	}
	if _, ok := s.used[jti]; ok {
		return fosite.ErrJTIKnown
	}
	s.used[jti] = exp
	return nil
}

// assertionClient does not pin an algorithm unless told to.
type assertionClient struct {
	*fosite.DefaultOpenIDConnectClient
	alg string
}

func (c *assertionClient) GetTokenEndpointAuthSigningAlgorithm() string { return c.alg }

func assertingClient(id string, keys ...josev3.JSONWebKey) *assertionClient {
	return &assertionClient{DefaultOpenIDConnectClient: &fosite.DefaultOpenIDConnectClient{
		DefaultClient:           &fosite.DefaultClient{ID: id},
		TokenEndpointAuthMethod: "private_key_jwt",
		JSONWebKeys:             &josev3.JSONWebKeySet{Keys: keys},
	}}
}

func publicJWK(key crypto.Signer) josev3.JSONWebKey { return josev3.JSONWebKey{Key: key.Public()} }

func verifierFor(clients ...fosite.Client) (*assertionVerifier, *assertionStore) {
	store := &assertionStore{clients: map[string]fosite.Client{}, used: map[string]time.Time{}}
	for _, client := range clients {
		store.clients[client.GetID()] = client
	}
	return &assertionVerifier{
		store:     store,
		audiences: []string{assertionIssuer, assertionIssuer + "/", assertionTokenURL},
		now:       func() time.Time { return assertionNow },
	}, store
}

type claimSet map[string]any

// goodClaims are what a well-behaved client sends; change overrides them, and nil leaves one out.
func goodClaims(change claimSet) claimSet {
	claims := claimSet{
		"iss": "machine", "sub": "machine", "aud": assertionIssuer, "jti": "j1",
		"iat": assertionNow.Unix(), "exp": assertionNow.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

func signAssertion(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims claimSet) string {
	t.Helper()
	options := new(jose.SignerOptions)
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	if private, ok := key.(ed25519.PrivateKey); ok && alg == ed25519Name {
		key = ed25519Signer(private)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return okay(okay(signer.Sign(okay(json.Marshal(claims)))).CompactSerialize())
}

// ed25519Name is EdDSA with Ed25519 by the name that RFC 9864 gives it.
const ed25519Name jose.SignatureAlgorithm = "Ed25519"

// ed25519Signer signs under that name, which go-jose does not know.
type ed25519Signer ed25519.PrivateKey

func (s ed25519Signer) Public() *jose.JSONWebKey { return nil }

func (s ed25519Signer) Algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{ed25519Name}
}

func (s ed25519Signer) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(s), payload), nil
}

func assertionForm(assertion string) url.Values {
	return url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
}

// wantError checks the code and status that go out, and the reason that stays in the log.
func wantError(t *testing.T, err error, want *fosite.RFC6749Error, debug string) {
	t.Helper()
	if err == nil || fosite.ErrorToRFC6749Error(err).ErrorField != want.ErrorField {
		t.Fatalf("error = %v (%v), want %v", err, debugOf(err), want)
	}
	if debug != "" && !strings.Contains(debugOf(err), debug) {
		t.Errorf("reason = %q, want one with %q", debugOf(err), debug)
	}
}

func debugOf(err error) string {
	if err == nil {
		return "no error"
	}
	return fosite.ErrorToRFC6749Error(err).DebugField
}

func TestAssertionAuthenticatesItsSigner(t *testing.T) {
	keys := assertionKeys()
	rsaKey, weakFirst := publicJWK(keys.rsa), []josev3.JSONWebKey{publicJWK(keys.weak), publicJWK(keys.rsa)}
	named := func(key josev3.JSONWebKey, kid, use, alg string) josev3.JSONWebKey {
		key.KeyID, key.Use, key.Algorithm = kid, use, alg
		return key
	}
	tests := map[string]struct {
		alg    jose.SignatureAlgorithm
		key    crypto.Signer
		kid    string
		jwks   []josev3.JSONWebKey
		claims claimSet
		form   url.Values
	}{
		"RS256":                              {alg: jose.RS256, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"RS384":                              {alg: jose.RS384, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"RS512":                              {alg: jose.RS512, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"PS256":                              {alg: jose.PS256, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"PS384":                              {alg: jose.PS384, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"PS512":                              {alg: jose.PS512, key: keys.rsa, jwks: []josev3.JSONWebKey{rsaKey}},
		"ES256, no kid and no use":           {alg: jose.ES256, key: keys.p256},
		"ES384":                              {alg: jose.ES384, key: keys.p384},
		"ES512":                              {alg: jose.ES512, key: keys.p521},
		"EdDSA":                              {alg: jose.EdDSA, key: keys.ed},
		"Ed25519":                            {alg: ed25519Name, key: keys.ed},
		"Ed25519, which the key names":       {alg: ed25519Name, key: keys.ed, jwks: []josev3.JSONWebKey{named(publicJWK(keys.ed), "", "sig", "Ed25519")}},
		"the key with the kid":               {alg: jose.EdDSA, key: keys.ed, kid: "b", jwks: []josev3.JSONWebKey{named(publicJWK(keys.other), "a", "", ""), named(publicJWK(keys.ed), "b", "sig", "EdDSA")}},
		"any key when there is no kid":       {alg: jose.EdDSA, key: keys.ed, jwks: []josev3.JSONWebKey{named(publicJWK(keys.other), "a", "", ""), named(publicJWK(keys.ed), "b", "", "")}},
		"keys that do not fit are passed by": {alg: jose.RS256, key: keys.rsa, jwks: append(weakFirst, publicJWK(keys.p256))},
		"aud is issuer with a slash":         {claims: claimSet{"aud": assertionIssuer + "/"}},
		"aud is the token URL":               {claims: claimSet{"aud": assertionTokenURL}},
		"aud is a list of one":               {claims: claimSet{"aud": []string{assertionIssuer}}},
		"no iat":                             {claims: claimSet{"iat": nil}},
		"client_id is sub":                   {form: url.Values{"client_id": {"machine"}}},
		"an empty client_id is none":         {form: url.Values{"client_id": {""}}},
		"expired within the leeway":          {claims: claimSet{"exp": assertionNow.Add(-29 * time.Second).Unix()}},
		"issued by a clock a bit ahead":      {claims: claimSet{"iat": assertionNow.Add(30 * time.Second).Unix(), "nbf": assertionNow.Add(30 * time.Second).Unix()}},
		"the longest lifetime":               {claims: claimSet{"exp": assertionNow.Add(10*time.Minute + 30*time.Second).Unix()}},
		"the longest jti":                    {claims: claimSet{"jti": strings.Repeat("j", 256)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.key == nil {
				test.alg, test.key = jose.EdDSA, keys.ed
			}
			if test.jwks == nil {
				test.jwks = []josev3.JSONWebKey{publicJWK(test.key)}
			}
			v, store := verifierFor(assertingClient("machine", test.jwks...))
			form := assertionForm(signAssertion(t, test.alg, test.key, test.kid, goodClaims(test.claims)))
			maps.Copy(form, test.form)
			client, err := v.authenticate(t.Context(), form)
			if err != nil {
				t.Fatalf("refused: %v (%s)", err, debugOf(err))
			}
			if client != store.clients["machine"] {
				t.Errorf("client = %v", client)
			}
		})
	}
}

func TestAssertionFormMustBeComplete(t *testing.T) {
	good := signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(nil))
	tests := map[string]struct {
		form url.Values
		want *fosite.RFC6749Error
	}{
		"no type":          {url.Values{"client_assertion": {good}}, fosite.ErrInvalidRequest},
		"no assertion":     {url.Values{"client_assertion_type": {assertionType}}, fosite.ErrInvalidRequest},
		"empty assertion":  {assertionForm(""), fosite.ErrInvalidRequest},
		"SAML":             {url.Values{"client_assertion": {good}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}, fosite.ErrInvalidClient},
		"type in capitals": {url.Values{"client_assertion": {good}, "client_assertion_type": {strings.ToUpper(assertionType)}}, fosite.ErrInvalidClient},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, _ := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
			_, err := v.authenticate(t.Context(), test.form)
			wantError(t, err, test.want, "")
		})
	}
}

func TestAssertionClaimsAreRefused(t *testing.T) {
	at := func(d time.Duration) int64 { return assertionNow.Add(d).Unix() }
	tests := map[string]struct {
		claims   claimSet
		clientID string
		reason   string
	}{
		"no sub":              {claims: claimSet{"sub": nil, "iss": nil}, reason: "no sub"},
		"sub is not a string": {claims: claimSet{"sub": 7}, reason: "malformed claims"},
		"unknown client":      {claims: claimSet{"sub": "ghost", "iss": "ghost"}, reason: "unknown client"},
		"no iss":              {claims: claimSet{"iss": nil}, reason: "iss is not sub"},
		"another's iss":       {claims: claimSet{"iss": "ghost"}, reason: "iss is not sub"},
		"another's client_id": {clientID: "ghost", reason: "client_id is not sub"},
		"no aud":              {claims: claimSet{"aud": nil}, reason: "aud"},
		"another's aud":       {claims: claimSet{"aud": "https://other.example.com"}, reason: "aud"},
		"aud is a prefix":     {claims: claimSet{"aud": assertionIssuer + "/oauth"}, reason: "aud"},
		"aud is empty":        {claims: claimSet{"aud": ""}, reason: "aud"},
		"an empty list":       {claims: claimSet{"aud": []string{}}, reason: "aud"},
		"two auds":            {claims: claimSet{"aud": []string{assertionIssuer, "https://other.example.com"}}, reason: "aud"},
		"our aud twice":       {claims: claimSet{"aud": []string{assertionIssuer, assertionTokenURL}}, reason: "aud"},
		"aud is a number":     {claims: claimSet{"aud": 1}, reason: "malformed claims"},
		"no exp":              {claims: claimSet{"exp": nil}, reason: "no exp"},
		"exp 0":               {claims: claimSet{"exp": 0}, reason: "expired"},
		"exp below 0":         {claims: claimSet{"exp": -1e18}, reason: "expired"},
		"exp just past":       {claims: claimSet{"exp": at(-30 * time.Second)}, reason: "expired"},
		"exp too far":         {claims: claimSet{"exp": at(10*time.Minute + 31*time.Second)}, reason: "too far"},
		"exp in 9999":         {claims: claimSet{"exp": 253402300799}, reason: "too far"},
		"exp near overflow":   {claims: claimSet{"exp": 4e18}, reason: "too far"},
		"exp over the top":    {claims: claimSet{"exp": 1e300}, reason: "malformed claims"},
		"exp as text":         {claims: claimSet{"exp": "1800000000"}, reason: "malformed claims"},
		"exp as a list":       {claims: claimSet{"exp": []int64{at(time.Minute)}}, reason: "malformed claims"},
		"nbf in the future":   {claims: claimSet{"nbf": at(31 * time.Second)}, reason: "nbf"},
		"iat in the future":   {claims: claimSet{"iat": at(31 * time.Second)}, reason: "iat"},
		"no jti":              {claims: claimSet{"jti": nil}, reason: "jti"},
		"empty jti":           {claims: claimSet{"jti": ""}, reason: "jti"},
		"jti too long":        {claims: claimSet{"jti": strings.Repeat("j", 257)}, reason: "jti"},
		"jti is a number":     {claims: claimSet{"jti": 1}, reason: "malformed claims"},
		"assertion too long":  {claims: claimSet{"x": strings.Repeat("x", 8<<10)}, reason: "too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, store := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
			form := assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(test.claims)))
			if test.clientID != "" {
				form.Set("client_id", test.clientID)
			}
			_, err := v.authenticate(t.Context(), form)
			wantError(t, err, fosite.ErrInvalidClient, test.reason)
			if len(store.used) != 0 {
				t.Errorf("a refused assertion used up its jti: %v", store.used)
			}
		})
	}
}

// A key signs more than client assertions: what was made for another purpose opens nothing here.
func TestAssertionTypes(t *testing.T) {
	for typ, good := range map[string]bool{
		"": true, "JWT": true, "jwt": true, "client-authentication+jwt": true, "Client-Authentication+JWT": true,
		"at+jwt": false, "oauth-id-jag+jwt": false, "application/jwt": false, "secevent+jwt": false,
	} {
		v, _ := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
		options := new(jose.SignerOptions)
		if typ != "" {
			options = options.WithType(jose.ContentType(typ))
		}
		signer := okay(jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: assertionKeys().ed}, options))
		assertion := okay(okay(signer.Sign(okay(json.Marshal(goodClaims(nil))))).CompactSerialize())
		_, err := v.authenticate(t.Context(), assertionForm(assertion))
		if good && err != nil {
			t.Errorf("typ %q: %v", typ, debugOf(err))
		}
		if !good {
			wantError(t, err, fosite.ErrInvalidClient, "typ")
		}
	}
}

func TestAssertionSignaturesAreRefused(t *testing.T) {
	keys := assertionKeys()
	spki := okay(x509.MarshalPKIXPublicKey(keys.rsa.Public()))
	secret := []byte(strings.Repeat("s", 32))
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode(okay(json.Marshal(goodClaims(nil))))
	good := signAssertion(t, jose.EdDSA, keys.ed, "", goodClaims(nil))
	head, _, _ := strings.Cut(good, ".")
	signature := good[strings.LastIndexByte(good, '.'):]
	sign := func(alg jose.SignatureAlgorithm, key any, kid string) string {
		return signAssertion(t, alg, key, kid, goodClaims(nil))
	}
	many := make([]josev3.JSONWebKey, maxKeysTried, maxKeysTried+1)
	for i := range many {
		many[i] = publicJWK(keys.other)
	}
	tests := map[string]struct {
		assertion string
		jwks      []josev3.JSONWebKey
		pinned    string
		reason    string
	}{
		"not a JWT":                     {assertion: "assertion", reason: "not a JWT"},
		"alg none":                      {assertion: encode([]byte(`{"alg":"none"}`)) + "." + payload + ".", reason: "not a JWT"},
		"no alg":                        {assertion: encode([]byte(`{}`)) + "." + payload + signature, reason: "not a JWT"},
		"HS256 keyed by a public key":   {assertion: sign(jose.HS256, spki, ""), jwks: []josev3.JSONWebKey{publicJWK(keys.rsa)}, reason: "not a JWT"},
		"HS256 with a registered key":   {assertion: sign(jose.HS256, secret, ""), jwks: []josev3.JSONWebKey{{Key: secret}}, reason: "not a JWT"},
		"claims changed after signing":  {assertion: head + "." + encode(okay(json.Marshal(goodClaims(claimSet{"jti": "j2"})))) + signature, reason: "no registered key"},
		"no signature":                  {assertion: strings.TrimSuffix(good, signature) + ".", reason: "no registered key"},
		"another's key":                 {assertion: sign(jose.EdDSA, keys.other, ""), reason: "no registered key"},
		"a key sent along":              {assertion: embedded(t, keys.other), reason: "no registered key"},
		"unknown kid":                   {assertion: sign(jose.EdDSA, keys.ed, "b"), jwks: []josev3.JSONWebKey{{Key: keys.ed.Public(), KeyID: "a"}}, reason: "no registered key"},
		"kid of another key":            {assertion: sign(jose.EdDSA, keys.ed, "b"), jwks: []josev3.JSONWebKey{{Key: keys.ed.Public(), KeyID: "a"}, {Key: keys.other.Public(), KeyID: "b"}}, reason: "no registered key"},
		"key for encryption":            {assertion: good, jwks: []josev3.JSONWebKey{{Key: keys.ed.Public(), Use: "enc"}}, reason: "no registered key"},
		"key for another alg":           {assertion: sign(jose.RS256, keys.rsa, ""), jwks: []josev3.JSONWebKey{{Key: keys.rsa.Public(), Algorithm: "PS256"}}, reason: "no registered key"},
		"RSA key of 1024 bits":          {assertion: sign(jose.RS256, keys.weak, ""), jwks: []josev3.JSONWebKey{publicJWK(keys.weak)}, reason: "no registered key"},
		"a private key":                 {assertion: good, jwks: []josev3.JSONWebKey{{Key: keys.ed}}, reason: "no registered key"},
		"a key without a point":         {assertion: sign(jose.ES256, keys.p256, ""), jwks: []josev3.JSONWebKey{{Key: &ecdsa.PublicKey{Curve: elliptic.P256()}}}, reason: "no registered key"},
		"the seventeenth key":           {assertion: good, jwks: append(many, publicJWK(keys.ed)), reason: "no registered key"},
		"alg the client did not pin":    {assertion: good, pinned: "ES256", reason: "alg"},
		"Ed25519, another's key":        {assertion: sign(ed25519Name, keys.other, ""), reason: "no registered key"},
		"Ed25519 and an RSA key":        {assertion: sign(ed25519Name, keys.ed, ""), jwks: []josev3.JSONWebKey{publicJWK(keys.rsa), publicJWK(keys.p256)}, reason: "no registered key"},
		"Ed25519 and a key for EdDSA":   {assertion: sign(ed25519Name, keys.ed, ""), jwks: []josev3.JSONWebKey{{Key: keys.ed.Public(), Algorithm: "EdDSA"}}, reason: "no registered key"},
		"Ed25519 where EdDSA is pinned": {assertion: sign(ed25519Name, keys.ed, ""), pinned: "EdDSA", reason: "alg"},
		"EdDSA that is called Ed25519":  {assertion: encode([]byte(`{"alg":"Ed25519"}`)) + strings.TrimPrefix(good, head), reason: "no registered key"},
		"no keys at all":                {assertion: good, jwks: []josev3.JSONWebKey{}, reason: "no keys"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.jwks == nil {
				test.jwks = []josev3.JSONWebKey{publicJWK(keys.ed)}
			}
			client := assertingClient("machine", test.jwks...)
			client.alg = test.pinned
			v, store := verifierFor(client)
			_, err := v.authenticate(t.Context(), assertionForm(test.assertion))
			wantError(t, err, fosite.ErrInvalidClient, test.reason)
			if len(store.used) != 0 {
				t.Errorf("a refused assertion used up its jti: %v", store.used)
			}
		})
	}
}

// embedded signs with a key that the header itself brings along (RFC 7515 §4.1.3).
func embedded(t *testing.T, key crypto.Signer) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	return okay(okay(signer.Sign(okay(json.Marshal(goodClaims(nil))))).CompactSerialize())
}

func TestAssertionKeyMustFitTheAlgorithm(t *testing.T) {
	keys := assertionKeys()
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(keys.rsa.N, 8192), E: 65537}
	fitting := map[string]map[string]bool{
		"RSA":     {"RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true},
		"P-256":   {"ES256": true},
		"P-384":   {"ES384": true},
		"P-521":   {"ES512": true},
		"Ed25519": {"EdDSA": true, "Ed25519": true},
	}
	for name, key := range map[string]any{
		"RSA": keys.rsa.Public(), "P-256": keys.p256.Public(), "P-384": keys.p384.Public(), "P-521": keys.p521.Public(),
		"Ed25519": keys.ed.Public(), "symmetric": []byte(strings.Repeat("s", 64)), "private": keys.rsa, "nothing": nil,
		"RSA over 8192 bits": huge,
	} {
		got := map[string]bool{}
		for _, alg := range append(assertionAlgorithms, "HS256", "none", "") {
			if fits(&josev3.JSONWebKey{Key: key}, string(alg)) {
				got[string(alg)] = true
			}
		}
		want := fitting[name]
		if want == nil {
			want = map[string]bool{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s fits (-want +got):\n%s", name, diff)
		}
	}
}

func TestAssertionIsForClientsRegisteredForIt(t *testing.T) {
	form := assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(nil)))
	for _, method := range []string{"client_secret_basic", "client_secret_jwt", "none", ""} {
		client := assertingClient("machine", publicJWK(assertionKeys().ed))
		client.TokenEndpointAuthMethod = method
		v, _ := verifierFor(client)
		_, err := v.authenticate(t.Context(), form)
		wantError(t, err, fosite.ErrInvalidClient, "not registered for private_key_jwt")
	}
	v, _ := verifierFor(&fosite.DefaultClient{ID: "machine"})
	_, err := v.authenticate(t.Context(), form)
	wantError(t, err, fosite.ErrInvalidClient, "not registered for private_key_jwt")
}

func TestAssertionRefusalsLookAlike(t *testing.T) {
	v, _ := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
	answers := map[string]bool{}
	for _, assertion := range []string{
		"garbage",
		signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(claimSet{"iss": "ghost", "sub": "ghost"})),
		signAssertion(t, jose.EdDSA, assertionKeys().other, "", goodClaims(nil)),
		signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(claimSet{"exp": 0})),
	} {
		_, err := v.authenticate(t.Context(), assertionForm(assertion))
		wantError(t, err, fosite.ErrInvalidClient, "")
		e := fosite.ErrorToRFC6749Error(err)
		if strings.Contains(e.DebugField, assertion) {
			t.Errorf("the reason holds the assertion: %s", e.DebugField)
		}
		answers[e.ErrorField+" "+e.GetDescription()+" "+e.HintField] = true
	}
	if len(answers) != 1 {
		t.Errorf("refusals can be told apart: %v", answers)
	}
}

func TestAssertionIsGoodOnce(t *testing.T) {
	v, store := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
	form := assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(nil)))
	if _, err := v.authenticate(t.Context(), form); err != nil {
		t.Fatal(err)
	}
	_, err := v.authenticate(t.Context(), form)
	wantError(t, err, fosite.ErrInvalidClient, "used before")
	if code := fosite.ErrorToRFC6749Error(err).CodeField; code != 401 {
		t.Errorf("status = %d, want 401", code)
	}
	// An assertion is accepted until exp and the leeway; a store that forgot it before would let it pass again.
	accepted := assertionNow.Add(5*time.Minute + clockLeeway)
	if kept := store.used["machine j1"]; !kept.After(accepted) {
		t.Errorf("the jti is kept until %v, the assertion is accepted until %v", kept, accepted)
	}
}

func TestAssertionOfSixteenAtOnceOnePasses(t *testing.T) {
	v, _ := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
	form := assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(nil)))
	outcomes := make(chan error, 16)
	for range cap(outcomes) {
		one := *v
		one.tried = RefusedClient{} // each request has its own
		go func() {
			_, err := one.authenticate(t.Context(), form)
			outcomes <- err
		}()
	}
	passed := 0
	for range cap(outcomes) {
		if err := <-outcomes; err == nil {
			passed++
		} else if !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("a loser got %v", err)
		}
	}
	if passed != 1 {
		t.Errorf("%d of 16 passed", passed)
	}
}

func TestAssertionIDsAreUniquePerClient(t *testing.T) {
	use := func(t *testing.T, v *assertionVerifier, client, jti string) {
		t.Helper()
		claims := goodClaims(claimSet{"iss": client, "sub": client, "jti": jti})
		if _, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", claims))); err != nil {
			t.Errorf("%q with jti %q: %v (%s)", client, jti, err, debugOf(err))
		}
	}
	key := publicJWK(assertionKeys().ed)
	v, _ := verifierFor(assertingClient("a", key), assertingClient("b", key), assertingClient("a b", key))
	use(t, v, "a", "j")
	use(t, v, "b", "j")
	use(t, v, "a", "b c") // must not be taken for client "a b" with jti "c"
	use(t, v, "a b", "c")
}

func TestAssertionOutageIsNotARefusal(t *testing.T) {
	down := errors.New("connection refused")
	form := assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", goodClaims(nil)))
	for name, fail := range map[string]func(*assertionStore){
		"client look-up": func(s *assertionStore) { s.clientErr = down },
		"jti":            func(s *assertionStore) { s.jtiErr = down },
	} {
		t.Run(name, func(t *testing.T) {
			v, store := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
			fail(store)
			_, err := v.authenticate(t.Context(), form)
			wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
			if !errors.Is(err, down) || errors.Is(err, fosite.ErrInvalidClient) {
				t.Errorf("error = %v, want one that wraps the outage", err)
			}
		})
	}
}

// fakeFetcher answers with cached until it is told to ignore that.
type fakeFetcher struct {
	cached, fresh *josev3.JSONWebKeySet
	err, freshErr error
	calls         []bool
}

func (f *fakeFetcher) Resolve(_ context.Context, _ string, ignoreCache bool) (*josev3.JSONWebKeySet, error) {
	f.calls = append(f.calls, ignoreCache)
	if ignoreCache {
		return f.fresh, f.freshErr
	}
	return f.cached, f.err
}

func TestAssertionKeysAtAURI(t *testing.T) {
	keys := assertionKeys()
	now := &josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{{Key: keys.ed.Public(), KeyID: "now"}}}
	before := &josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{{Key: keys.other.Public(), KeyID: "before"}}}
	down := errors.New("no route to host")
	tests := map[string]struct {
		fetcher *fakeFetcher
		kid     string
		want    *fosite.RFC6749Error
		calls   []bool
	}{
		"known key":                       {fetcher: &fakeFetcher{cached: now}, kid: "now", calls: []bool{false}},
		"new kid: fetched once more":      {fetcher: &fakeFetcher{cached: before, fresh: now}, kid: "now", calls: []bool{false, true}},
		"new key without kid: once more":  {fetcher: &fakeFetcher{cached: before, fresh: now}, calls: []bool{false, true}},
		"unknown kid":                     {fetcher: &fakeFetcher{cached: now, fresh: now}, kid: "garbage", want: fosite.ErrInvalidClient, calls: []bool{false, true}},
		"nothing fetched":                 {fetcher: &fakeFetcher{}, want: fosite.ErrInvalidClient, calls: []bool{false, true}},
		"outage":                          {fetcher: &fakeFetcher{err: down}, want: fosite.ErrTemporarilyUnavailable, calls: []bool{false}},
		"outage when fetched once more":   {fetcher: &fakeFetcher{cached: before, freshErr: down}, want: fosite.ErrTemporarilyUnavailable, calls: []bool{false, true}},
		"server_error of another fetcher": {fetcher: &fakeFetcher{err: fosite.ErrServerError}, want: fosite.ErrTemporarilyUnavailable, calls: []bool{false}},
		"not a key set":                   {fetcher: &fakeFetcher{err: refuseKeySet("not a JSON Web Key Set")}, want: fosite.ErrInvalidClient, calls: []bool{false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := assertingClient("machine")
			client.JSONWebKeysURI = "https://machine.example.com/jwks.json"
			v, _ := verifierFor(client)
			v.keys = test.fetcher
			_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, jose.EdDSA, keys.ed, test.kid, goodClaims(nil))))
			if test.want != nil {
				wantError(t, err, test.want, "")
			} else if err != nil {
				t.Errorf("refused: %v (%s)", err, debugOf(err))
			}
			if diff := cmp.Diff(test.calls, test.fetcher.calls); diff != "" {
				t.Errorf("ignoreCache of the fetches (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no location", func(t *testing.T) {
		v, _ := verifierFor(assertingClient("machine"))
		v.keys = &fakeFetcher{cached: now}
		_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, jose.EdDSA, keys.ed, "", goodClaims(nil))))
		wantError(t, err, fosite.ErrInvalidClient, "no keys")
	})
	t.Run("no fetcher", func(t *testing.T) {
		client := assertingClient("machine")
		client.JSONWebKeysURI = "https://machine.example.com/jwks.json"
		v, _ := verifierFor(client)
		_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, jose.EdDSA, keys.ed, "", goodClaims(nil))))
		wantError(t, err, fosite.ErrInvalidClient, "no keys")
	})
}

// Nothing but the holder of the key can make an assertion, so whatever comes in must be refused, and no panic.
func FuzzAssertion(f *testing.F) {
	keys := assertionKeys()
	good := signAssertion(f, jose.EdDSA, keys.ed, "", goodClaims(nil))
	forged := signAssertion(f, jose.EdDSA, keys.other, "", goodClaims(nil))
	rsaSigned := signAssertion(f, jose.PS256, keys.weak, "k", goodClaims(nil))
	encode := base64.RawURLEncoding.EncodeToString
	f.Add(assertionType, forged, "")
	f.Add(assertionType, forged, "machine")
	f.Add(assertionType, rsaSigned, "")
	f.Add(assertionType, good[:strings.LastIndexByte(good, '.')+1], "")
	f.Add(assertionType, encode([]byte(`{"alg":"none"}`))+"."+encode([]byte(`{"iss":"machine","sub":"machine"}`))+".", "")
	f.Add(assertionType, encode([]byte(`{"alg":"ES256","crit":["b64"],"b64":false}`))+".e30.AAAA", "")
	f.Add(assertionType, encode([]byte(`{"alg":"EdDSA","kid":7}`))+"."+encode([]byte(`{"exp":1e999}`))+".AAAA", "")
	f.Add(assertionType, "..", "")
	f.Add("", good, "")
	f.Add("urn:ietf:params:oauth:client-assertion-type:saml2-bearer", good, "machine")
	client := assertingClient("machine", publicJWK(keys.ed), publicJWK(keys.rsa), publicJWK(keys.p256), publicJWK(keys.weak))
	f.Fuzz(func(t *testing.T, kind, assertion, clientID string) {
		v, store := verifierFor(client)
		form := url.Values{"client_assertion_type": {kind}, "client_assertion": {assertion}, "client_id": {clientID}}
		got, err := v.authenticate(t.Context(), form)
		if err == nil || got != nil || len(store.used) != 0 {
			t.Fatalf("authenticated %v with %q, %q", got, kind, assertion)
		}
		if !errors.Is(err, fosite.ErrInvalidClient) && !errors.Is(err, fosite.ErrInvalidRequest) {
			t.Fatalf("error = %v", err)
		}
	})
}

func TestTheIssuerMayBeTheOnlyAudience(t *testing.T) {
	for _, only := range []bool{false, true} {
		o := Options{Issuer: assertionIssuer, TokenURL: assertionTokenURL, AssertionIssuerOnly: only}
		v, _ := verifierFor(assertingClient("machine", publicJWK(assertionKeys().ed)))
		v.audiences = o.assertionAudiences()
		for i, audience := range []string{assertionIssuer, assertionIssuer + "/", assertionTokenURL} {
			claims := goodClaims(claimSet{"aud": audience, "jti": fmt.Sprint(only, i)})
			_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, jose.EdDSA, assertionKeys().ed, "", claims)))
			if accepted, want := err == nil, !only || i == 0; accepted != want {
				t.Errorf("issuer only: %t, aud %s: accepted %t, want %t", only, audience, accepted, want)
			}
		}
	}
}
