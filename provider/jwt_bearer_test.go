package provider

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"

	"fosite-mcp/provider/client"
)

const (
	githubIssuer = "https://token.actions.githubusercontent.com"
	docsMCP      = "https://docs.example.com/mcp"
)

// ruleStore is fosite's memory store, with rules. Its check of a jti is as atomic as it has to be.
type ruleStore struct {
	*storage.MemoryStore
	rules []*client.Client
	err   error

	mu   sync.Mutex
	used map[string]bool
}

func (s *ruleStore) RulesOfIssuer(_ context.Context, issuer string) (rules []*client.Client, err error) {
	for _, rule := range s.rules {
		if rule.Trust.Issuer == issuer {
			rules = append(rules, rule)
		}
	}
	return rules, s.err
}

func (s *ruleStore) SetClientAssertionJWT(_ context.Context, jti string, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[jti] {
		return fosite.ErrJTIKnown
	}
	if s.used == nil {
		s.used = map[string]bool{}
	}
	s.used[jti] = true
	return nil
}

var trustRules = client.Rules{Scopes: []string{"mcp:search", "mcp:write"}, Resources: []string{docsMCP}, DefaultResource: docsMCP}

// ruleOf makes a rule of JSON, with the keys that the tests sign with unless it names others.
func ruleOf(t *testing.T, document string) *client.Client {
	t.Helper()
	var body map[string]any
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		t.Fatal(err)
	}
	body["name"] = "rule"
	rule, err := trustRules.NewIssuer(body)
	if err != nil {
		t.Fatal(err)
	}
	rule.ID = fmt.Sprintf("rule_%x", document)[:20]
	if rule.JWKS == nil && rule.JWKSURI == "" {
		rule.JWKS = &josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{publicJWK(assertionKeys().rsa), publicJWK(assertionKeys().ed)}}
	}
	return rule
}

// trusting is a provider with rules, and what it was told of refused assertions.
func trusting(t *testing.T, options Options, rules ...*client.Client) (oauth *Provider, store *ruleStore, reason *string) {
	t.Helper()
	store, reason = &ruleStore{MemoryStore: storage.NewMemoryStore(), rules: rules}, new(string)
	options.SystemSecret = []byte(strings.Repeat("s", 32))
	options.Issuer, options.TokenURL = assertionIssuer, assertionTokenURL
	options.Resources.Known, options.Resources.Default = []string{docsMCP}, docsMCP
	options.Now = func() time.Time { return assertionNow }
	var mu sync.Mutex
	options.AssertionRefused = func(_ context.Context, refused RefusedAssertion) error {
		mu.Lock()
		defer mu.Unlock()
		*reason = refused.Reason
		return nil
	}
	oauth, err := New(store, options)
	if err != nil {
		t.Fatal(err)
	}
	return oauth, store, reason
}

// githubClaims are those of a GitHub Actions job, in their real shape; change overrides them, and nil leaves one out.
func githubClaims(change claimSet) claimSet {
	claims := claimSet{
		"jti": "example-id", "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "aud": assertionIssuer, "ref": "refs/heads/main",
		"sha": "c1f5a5c5a5d5e5f5", "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "actor_id": "12",
		"repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65", "run_id": "1234", "run_number": "10",
		"run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat", "workflow": "example", "head_ref": "", "base_ref": "",
		"event_name": "workflow_dispatch", "ref_type": "branch", "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
		"iss": githubIssuer, "nbf": assertionNow.Add(-10 * time.Minute).Unix(), "exp": assertionNow.Add(5 * time.Minute).Unix(), "iat": assertionNow.Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// kubernetesClaims are those of a projected service account token.
func kubernetesClaims(change claimSet) claimSet {
	claims := claimSet{
		"aud": []string{assertionIssuer, "https://kubernetes.default.svc"}, "iss": "https://oidc.cluster.example/id", "jti": "1d2f8a3b",
		"exp": assertionNow.Add(time.Hour).Unix(), "iat": assertionNow.Unix(), "nbf": assertionNow.Unix(),
		"kubernetes.io": map[string]any{
			"namespace": "search", "node": map[string]any{"name": "node-1", "uid": "a1"}, "pod": map[string]any{"name": "indexer-0", "uid": "b2"},
			"serviceaccount": map[string]any{"name": "indexer", "uid": "c3"}, "warnafter": assertionNow.Add(50 * time.Minute).Unix(),
		},
		"sub": "system:serviceaccount:search:indexer",
	}
	maps.Copy(claims, change)
	return claims
}

func exchangeForm(assertion string) url.Values {
	return url.Values{"grant_type": {client.JWTBearer}, "assertion": {assertion}}
}

func signed(t *testing.T, claims claimSet) string {
	t.Helper()
	return signAssertion(t, jose.RS256, assertionKeys().rsa, "", claims)
}

const mainBranch = `{"preset":"github-actions","subject":"repo:octo-org/octo-repo:ref:refs/heads/main"}`

func TestAWorkloadGetsATokenWithItsAssertionAlone(t *testing.T) {
	for name, test := range map[string]struct {
		rule   string
		claims claimSet
	}{
		"GitHub Actions":            {mainBranch, githubClaims(nil)},
		"any branch":                {`{"preset":"github-actions","subject":"repo:octo-org/*:ref:**"}`, githubClaims(nil)},
		"by claims":                 {`{"preset":"github-actions","claims":{"repository_owner":"octo-org","ref":"refs/heads/*"}}`, githubClaims(nil)},
		"for the token URL":         {mainBranch, githubClaims(claimSet{"aud": assertionTokenURL})},
		"for the issuer with slash": {mainBranch, githubClaims(claimSet{"aud": assertionIssuer + "/"})},
		"for several":               {mainBranch, githubClaims(claimSet{"aud": []string{"https://other.example", assertionIssuer}})},
		"another audience":          {`{"preset":"github-actions","subject":"repo:octo-org/**","audience":["https://github.com/octo-org"]}`, githubClaims(claimSet{"aud": "https://github.com/octo-org"})},
		"Kubernetes":                {`{"preset":"kubernetes","issuer":"https://oidc.cluster.example/id","subject":"system:serviceaccount:search:*","claims":{"kubernetes.io":{"namespace":"search","serviceaccount":{"name":"indexer"}}}}`, kubernetesClaims(nil)},
		"SPIFFE without jti":        {`{"preset":"spiffe","issuer":"https://spire.example.org","subject":"spiffe://example.org/ci/*"}`, claimSet{"iss": "https://spire.example.org", "sub": "spiffe://example.org/ci/build", "aud": []string{assertionIssuer}, "exp": assertionNow.Add(5 * time.Minute).Unix()}},
		"a claim that is a list":    {`{"issuer":"https://ci.example","claims":{"teams":"docs","n":7,"protected":true}}`, githubClaims(claimSet{"iss": "https://ci.example", "teams": []string{"ops", "docs"}, "n": 7, "protected": true})},
	} {
		t.Run(name, func(t *testing.T) {
			oauth, _, reason := trusting(t, Options{AccessTokenLifespan: time.Hour}, ruleOf(t, test.rule))
			response, err := tokenRequest(t, oauth, exchangeForm(signed(t, test.claims)))
			if err != nil {
				t.Fatal(err, *reason)
			}
			if response.GetExtra("refresh_token") != nil {
				t.Error("there is a refresh token")
			}
			_, token, err := oauth.IntrospectToken(t.Context(), response.GetAccessToken(), fosite.AccessToken, NewSession())
			if err != nil {
				t.Fatal(err)
			}
			got := []any{token.GetSession().GetSubject(), []string(token.GetGrantedScopes()), []string(token.GetGrantedAudience()), token.GetSession().(*Session).SubjectIssuer}
			want := []any{test.claims["sub"], []string{"mcp:search"}, []string{docsMCP}, test.claims["iss"]}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if end := token.GetSession().GetExpiresAt(fosite.AccessToken); !end.Equal(assertionNow.Add(time.Hour)) {
				t.Errorf("it ends at %s", end)
			}
		})
	}
}

func TestAssertionsThatAreNotExchanged(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		claims claimSet
		reason string
	}{
		"another issuer":         {githubClaims(claimSet{"iss": githubIssuer + "/octo-org"}), "no rule is about its issuer"},
		"no issuer":              {githubClaims(claimSet{"iss": nil}), "no rule is about its issuer"},
		"another repository":     {githubClaims(claimSet{"sub": "repo:octo-org/other:ref:refs/heads/main"}), "subject and claims fit no rule"},
		"a repository that ends": {githubClaims(claimSet{"sub": "x:repo:octo-org/octo-repo:ref:refs/heads/main"}), "subject and claims fit no rule"},
		"another branch":         {githubClaims(claimSet{"sub": "repo:octo-org/octo-repo:ref:refs/heads/mainx"}), "subject and claims fit no rule"},
		"no subject":             {githubClaims(claimSet{"sub": nil}), "no sub"},
		"a subject of lines":     {githubClaims(claimSet{"sub": "a\nb"}), "no sub"},
		"another audience":       {githubClaims(claimSet{"aud": "https://github.com/octo-org"}), "its aud"},
		"no audience":            {githubClaims(claimSet{"aud": nil}), "its aud"},
		"no exp":                 {githubClaims(claimSet{"exp": nil}), "no exp"},
		"expired":                {githubClaims(claimSet{"exp": assertionNow.Add(-time.Minute).Unix()}), "expired"},
		"exp tomorrow":           {githubClaims(claimSet{"exp": assertionNow.Add(24 * time.Hour).Unix()}), "too far ahead"},
		"not yet":                {githubClaims(claimSet{"nbf": assertionNow.Add(time.Minute).Unix()}), "nbf"},
		"issued later":           {githubClaims(claimSet{"iat": assertionNow.Add(time.Minute).Unix()}), "iat"},
		"a jti of a megabyte":    {githubClaims(claimSet{"jti": long}), "longer than 32 KiB"},
		"claims of other types":  {githubClaims(claimSet{"exp": "tomorrow"}), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			oauth, store, reason := trusting(t, Options{}, ruleOf(t, mainBranch))
			_, err := tokenRequest(t, oauth, exchangeForm(signed(t, test.claims)))
			wantError(t, err, fosite.ErrInvalidGrant, test.reason)
			if !strings.Contains(*reason, test.reason) || len(store.used) != 0 {
				t.Errorf("told %q, want %q; used up: %v", *reason, test.reason, store.used)
			}
		})
	}
}

func TestSignaturesThatAreNotExchanged(t *testing.T) {
	keys := assertionKeys()
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode(okay(json.Marshal(githubClaims(nil))))
	spki := okay(x509.MarshalPKIXPublicKey(keys.rsa.Public()))
	header := func(key any, alg jose.SignatureAlgorithm, options *jose.SignerOptions) string {
		signer := okay(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options))
		return okay(okay(signer.Sign(okay(json.Marshal(githubClaims(nil))))).CompactSerialize())
	}
	typed := func(typ jose.ContentType) string {
		return header(keys.ed, jose.EdDSA, new(jose.SignerOptions).WithType(typ))
	}
	for name, test := range map[string]struct{ assertion, reason string }{
		"none":                         {encode([]byte(`{"alg":"none"}`)) + "." + payload + ".", "not a JWT"},
		"HS256 with the public key":    {header(spki, jose.HS256, nil), "not a JWT"},
		"another key":                  {header(keys.other, jose.EdDSA, nil), "no key of the rule"},
		"a key in the header (jwk)":    {header(keys.other, jose.EdDSA, &jose.SignerOptions{EmbedJWK: true}), "no key of the rule"},
		"a key at a URL (jku)":         {header(keys.other, jose.EdDSA, new(jose.SignerOptions).WithHeader("jku", "https://evil.example/keys")), "no key of the rule"},
		"a certificate at a URL (x5u)": {header(keys.other, jose.EdDSA, new(jose.SignerOptions).WithHeader("x5u", "https://evil.example/cert")), "no key of the rule"},
		"RSA of 1024 bits":             {header(keys.weak, jose.RS256, nil), "no key of the rule"},
		"an access token":              {typed("at+jwt"), "another kind of JWT"},
		"the same with its whole type": {typed("application/at+jwt"), "another kind of JWT"},

		"a client's assertion":          {typed("client-authentication+jwt"), "another kind of JWT"},
		"no JWT":                        {"assertion", "not a JWT"},
		"a good one with other claims":  {strings.Split(typed("JWT"), ".")[0] + "." + encode([]byte(`{"iss":"`+githubIssuer+`"}`)) + "." + strings.Split(typed("JWT"), ".")[2], "no exp"},
		"critical and unknown (crit)":   {header(keys.ed, jose.EdDSA, new(jose.SignerOptions).WithHeader("crit", []string{"x"}).WithHeader("x", 1)), "no key of the rule"},
		"a signature of other contents": {strings.Split(typed("JWT"), ".")[0] + "." + encode(okay(json.Marshal(githubClaims(claimSet{"ref": "x"})))) + "." + strings.Split(typed("JWT"), ".")[2], "no key of the rule"},
	} {
		t.Run(name, func(t *testing.T) {
			rule := ruleOf(t, mainBranch)
			rule.JWKS.Keys = append(rule.JWKS.Keys, publicJWK(keys.weak))
			oauth, store, _ := trusting(t, Options{}, rule)
			_, err := tokenRequest(t, oauth, exchangeForm(test.assertion))
			wantError(t, err, fosite.ErrInvalidGrant, test.reason)
			if len(store.used) != 0 {
				t.Errorf("used up: %v", store.used)
			}
		})
	}
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
	for _, typ := range []jose.ContentType{"JWT", "jwt", "JOSE", "authorization-grant+jwt"} {
		r := header(keys.ed, jose.EdDSA, new(jose.SignerOptions).WithType(typ))
		if _, err := tokenRequest(t, oauth, exchangeForm(r)); err != nil && !strings.Contains(debugOf(err), "used before") {
			t.Errorf("typ %s: %v", typ, debugOf(err))
		}
	}
	_, err := tokenRequest(t, oauth, exchangeForm(""))
	wantError(t, err, fosite.ErrInvalidRequest, "")
}

func TestOfFiftyWhoSendOneAssertionOneIsServed(t *testing.T) {
	for name, claims := range map[string]claimSet{"by its jti": githubClaims(nil), "by its claims": githubClaims(claimSet{"jti": nil})} {
		t.Run(name, func(t *testing.T) {
			oauth, _, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
			assertion := signed(t, claims)
			var served, refused atomic.Int64
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					r := httptest.NewRequest("POST", "/token", strings.NewReader(exchangeForm(assertion).Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					switch _, err := oauth.NewAccessRequest(t.Context(), r, NewSession()); {
					case err == nil:
						served.Add(1)
					case errors.Is(err, fosite.ErrInvalidGrant):
						refused.Add(1)
					}
				})
			}
			all.Wait()
			if served.Load() != 1 || refused.Load() != 49 {
				t.Errorf("%d served, %d refused", served.Load(), refused.Load())
			}
		})
	}
}

func TestAReusableRuleTakesOneAssertionAgain(t *testing.T) {
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, `{"preset":"kubernetes","issuer":"https://oidc.cluster.example/id","subject":"system:serviceaccount:search:indexer"}`))
	for range 2 {
		if _, err := tokenRequest(t, oauth, exchangeForm(signed(t, kubernetesClaims(claimSet{"exp": assertionNow.Add(24 * time.Hour).Unix()})))); err != nil {
			t.Fatal(debugOf(err))
		}
	}
	_, err := tokenRequest(t, oauth, exchangeForm(signed(t, kubernetesClaims(claimSet{"exp": assertionNow.Add(25 * time.Hour).Unix()}))))
	wantError(t, err, fosite.ErrInvalidGrant, "too far ahead")
}

// One issuer's jti says nothing about another's.
func TestAJTIBelongsToItsIssuer(t *testing.T) {
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, mainBranch), ruleOf(t, `{"issuer":"https://ci.example","subject":"repo:octo-org/**"}`))
	for _, issuer := range []string{githubIssuer, "https://ci.example"} {
		if _, err := tokenRequest(t, oauth, exchangeForm(signed(t, githubClaims(claimSet{"iss": issuer})))); err != nil {
			t.Fatal(issuer, debugOf(err))
		}
	}
}

func TestTheFirstRuleCountsThatHasWhatIsAskedFor(t *testing.T) {
	reads := ruleOf(t, `{"preset":"github-actions","subject":"repo:octo-org/**"}`)
	writes := ruleOf(t, `{"preset":"github-actions","subject":"repo:octo-org/octo-repo:**","scope":"mcp:search mcp:write","access_token_lifespan":60}`)
	for scope, test := range map[string]struct {
		rule *client.Client
		err  error
		life time.Duration
	}{
		"": {rule: reads, life: time.Hour}, "mcp:search": {rule: reads, life: time.Hour}, "mcp:write": {rule: writes, life: time.Minute},
		"mcp:write mcp:search": {rule: writes, life: time.Minute}, "mcp:admin": {err: fosite.ErrInvalidScope},
	} {
		oauth, _, _ := trusting(t, Options{AccessTokenLifespan: time.Hour}, reads, writes)
		form := exchangeForm(signed(t, githubClaims(nil)))
		form.Set("scope", scope)
		response, err := tokenRequest(t, oauth, form)
		if test.err != nil {
			if !errors.Is(err, test.err) {
				t.Errorf("%q: %v, want %v", scope, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", scope, debugOf(err))
			continue
		}
		_, token, err := oauth.IntrospectToken(t.Context(), response.GetAccessToken(), fosite.AccessToken, NewSession())
		if err != nil || token.GetClient().GetID() != test.rule.ID {
			t.Errorf("%q: %v, by %v, want %s", scope, err, token, test.rule.ID)
			continue
		}
		if end := token.GetSession().GetExpiresAt(fosite.AccessToken); !end.Equal(assertionNow.Add(test.life)) {
			t.Errorf("%q ends at %s", scope, end)
		}
	}
}

// A rule has to allow what is named, where the resource understands only what that includes as well.
func TestARuleDoesNotAllowWhatIncludesItsScope(t *testing.T) {
	options := Options{Scopes: Scopes{"mcp:search": {}, "mcp:write": {Includes: []string{"mcp:search"}}}}
	options.Resources.Scopes = map[string][]string{docsMCP: {"mcp:search"}}
	oauth, _, _ := trusting(t, options, ruleOf(t, mainBranch))
	form := exchangeForm(signed(t, githubClaims(nil)))
	form.Set("scope", "mcp:write")
	_, err := tokenRequest(t, oauth, form)
	wantError(t, err, fosite.ErrInvalidScope, "")
}

// What a rule allows, and that there is one, is told to those alone who can sign.
func TestOnlyWhoCanSignLearnsWhatARuleAllows(t *testing.T) {
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
	form := exchangeForm(signAssertion(t, jose.EdDSA, assertionKeys().other, "", githubClaims(nil)))
	for _, scope := range []string{"mcp:search", "mcp:write"} {
		form.Set("scope", scope)
		_, err := tokenRequest(t, oauth, form)
		wantError(t, err, fosite.ErrInvalidGrant, "no key of the rule")
	}
	form = exchangeForm(signed(t, githubClaims(nil)))
	form.Set("resource", "https://elsewhere.example")
	_, err := tokenRequest(t, oauth, form)
	wantError(t, err, ErrInvalidTarget, "")
}

// A rule's token never lives longer than the server's.
func TestARuleShortensTheLifespanAlone(t *testing.T) {
	oauth, _, _ := trusting(t, Options{AccessTokenLifespan: time.Hour}, ruleOf(t, `{"preset":"github-actions","subject":"repo:octo-org/**","access_token_lifespan":86400}`))
	response, err := tokenRequest(t, oauth, exchangeForm(signed(t, githubClaims(nil))))
	if err != nil {
		t.Fatal(debugOf(err))
	}
	if answer := response.ToMap()["expires_in"]; fmt.Sprint(answer) != "3600" {
		t.Errorf("expires_in is %v", answer)
	}
}

// A workload that has to wait has not used its assertion up.
func TestAWorkloadThatIsHeldBackKeepsItsAssertion(t *testing.T) {
	busy := true
	options := Options{AllowWorkload: func(_ context.Context, ruleID, subject string) error {
		if busy && ruleID != "" && subject == "repo:octo-org/octo-repo:ref:refs/heads/main" {
			return fosite.ErrTemporarilyUnavailable
		}
		return nil
	}}
	oauth, _, _ := trusting(t, options, ruleOf(t, mainBranch))
	form := exchangeForm(signed(t, githubClaims(nil)))
	_, err := tokenRequest(t, oauth, form)
	wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
	busy = false
	if _, err := tokenRequest(t, oauth, form); err != nil {
		t.Error(debugOf(err))
	}
}

// Whoever names a client has to be it.
func TestAClientThatIsNamedMustAuthenticate(t *testing.T) {
	oauth, store, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
	store.Clients["machine"] = &fosite.DefaultClient{ID: "machine", Secret: []byte("$2a$10$"), GrantTypes: []string{client.JWTBearer}}
	for name, change := range map[string]func(form url.Values, r *http.Request){
		"by id": func(form url.Values, _ *http.Request) { form.Set("client_id", "machine") },
		"with a secret": func(form url.Values, _ *http.Request) {
			form.Set("client_id", "machine")
			form.Set("client_secret", "x")
		},
		"by Basic":       func(_ url.Values, r *http.Request) { r.SetBasicAuth("machine", "x") },
		"a secret alone": func(form url.Values, _ *http.Request) { form.Set("client_secret", "x") },
		"by an assertion": func(form url.Values, _ *http.Request) {
			form.Set("client_assertion", "x")
			form.Set("client_assertion_type", assertionType)
		},
	} {
		form := exchangeForm(signed(t, githubClaims(nil)))
		r := httptest.NewRequest("POST", "/token", nil)
		change(form, r)
		withBody := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
		withBody.Header = r.Header
		withBody.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if _, err := oauth.NewAccessRequest(t.Context(), withBody, NewSession()); !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("%s: %v, want invalid_client", name, err)
		}
	}
}

// The mark that a request has no client is one of the token endpoint: elsewhere the grant's name opens nothing.
func TestTheGrantTypeIsNoAuthentication(t *testing.T) {
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
	form := exchangeForm(signed(t, githubClaims(nil)))
	r := httptest.NewRequest("POST", "/introspect", strings.NewReader(form.Encode()))
	if client, err := oauth.AuthenticateClient(t.Context(), r, form); err == nil {
		t.Errorf("it is %s", client.GetID())
	}
	if client, err := oauth.AuthenticateClient(WithoutClient(t.Context(), r), r, form); err == nil {
		t.Errorf("it is %s", client.GetID())
	}
}

func TestAStoreWithoutRulesHasNoExchange(t *testing.T) {
	if _, err := tokenRequest(t, strangersProvider(t), exchangeForm("x")); err == nil {
		t.Error("it was exchanged")
	}
	oauth, store, _ := trusting(t, Options{}, ruleOf(t, mainBranch))
	store.err = errors.New("no database")
	_, err := tokenRequest(t, oauth, exchangeForm(signed(t, githubClaims(nil))))
	wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
}

// issuerServer publishes keys as an issuer does; change may spoil the answer.
func issuerServer(t *testing.T, document func(issuer string) string, keys http.HandlerFunc) (issuer string, keysAsked *atomic.Int64) {
	t.Helper()
	keysAsked = new(atomic.Int64)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer = server.URL
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document(issuer))) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) { keysAsked.Add(1); keys(w, r) })
	return issuer, keysAsked
}

func issuerDocument(issuer string) string {
	return `{"issuer":"` + issuer + `","jwks_uri":"` + issuer + `/keys"}`
}

// discovered is a rule that leaves it to its issuer to say where its keys are.
func discoveredRule(t *testing.T, issuer string) *client.Client {
	rule := ruleOf(t, mainBranch)
	rule.JWKS, rule.Trust.Issuer = nil, issuer
	return rule
}

func TestKeysAreFoundWhereTheIssuerSaysThatTheyAre(t *testing.T) {
	key := josev3.JSONWebKey{Key: assertionKeys().rsa.Public(), KeyID: "k1"}
	issuer, asked := issuerServer(t, issuerDocument, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{key}})
	})
	fetcher := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true, Now: func() time.Time { return assertionNow }})
	oauth, _, reason := trusting(t, Options{Keys: fetcher}, discoveredRule(t, issuer))
	for i := range 3 {
		claims := githubClaims(claimSet{"iss": issuer, "jti": fmt.Sprint(i)})
		if _, err := tokenRequest(t, oauth, exchangeForm(signAssertion(t, jose.RS256, assertionKeys().rsa, "k1", claims))); err != nil {
			t.Fatal(debugOf(err), *reason)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the keys were fetched %d times, want once", asked.Load())
	}
	for range 5 { // an unknown kid asks again, but not each time
		_, err := tokenRequest(t, oauth, exchangeForm(signAssertion(t, jose.RS256, assertionKeys().rsa, "k2", githubClaims(claimSet{"iss": issuer}))))
		wantError(t, err, fosite.ErrInvalidGrant, "no key of the issuer")
	}
	if asked.Load() > 2 {
		t.Errorf("unknown key ids had the keys fetched %d times", asked.Load())
	}
}

// An issuer that cannot be asked says nothing about the assertion.
func TestAnIssuerThatIsDownIsAnOutage(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	for name, test := range map[string]struct {
		document func(string) string
		keys     http.HandlerFunc
		reach    bool
		cause    string // in the log
	}{
		"keys are down":        {issuerDocument, down, true, "answered 502"},
		"nobody listens":       {func(string) string { return `{"issuer":"ISSUER","jwks_uri":"http://127.0.0.1:1/keys"}` }, down, true, "127.0.0.1:1/keys cannot be fetched: dial tcp 127.0.0.1:1: connect: connection refused"},
		"no keys there":        {issuerDocument, http.NotFound, true, "answered 404"},
		"no key set":           {issuerDocument, serveBody("x"), true, "cannot be read"},
		"another's document":   {func(string) string { return issuerDocument("https://other.example") }, down, true, "the document of the issuer"},
		"no jwks_uri":          {func(issuer string) string { return `{"issuer":"` + issuer + `"}` }, down, true, "it has no jwks_uri"},
		"no document":          {func(string) string { return "<html>" }, down, true, "not a JSON object"},
		"at a private address": {issuerDocument, down, false, "in a closed network set registration.insecure_allow_private_addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, _ := issuerServer(t, func(issuer string) string { return strings.ReplaceAll(test.document(issuer), "ISSUER", issuer) }, test.keys)
			oauth, _, _ := trusting(t, Options{Keys: NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: test.reach})}, discoveredRule(t, issuer))
			_, err := tokenRequest(t, oauth, exchangeForm(signed(t, githubClaims(claimSet{"iss": issuer}))))
			wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
			if told := fosite.ErrorToRFC6749Error(err).GetDescription(); !strings.Contains(told, "The keys of the assertion's issuer cannot be fetched now") || strings.Contains(told, test.cause) {
				t.Errorf("the caller hears %q", told)
			}
			for inner := err; inner != nil; inner = errors.Unwrap(inner) {
				err = inner
			}
			if !strings.Contains(err.Error(), test.cause) {
				t.Errorf("the log tells %q, want %q", err, test.cause)
			}
		})
	}
}

// A composition of a host's own takes the grant as one more factory.
func TestAHostComposesTheGrantByItself(t *testing.T) {
	store := &ruleStore{MemoryStore: storage.NewMemoryStore(), rules: []*client.Client{ruleOf(t, mainBranch)}}
	config := &fosite.Config{AccessTokenIssuer: assertionIssuer, TokenURL: assertionTokenURL, GlobalSecret: []byte(strings.Repeat("s", 32))}
	if _, err := Harden(config); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return assertionNow }
	resources := Resources{Known: []string{docsMCP}, Default: docsMCP}
	oauth := compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config), JWTBearerFactory(Grants{Resources: resources, Now: now}))
	r := httptest.NewRequest("POST", "/token", strings.NewReader(exchangeForm(signed(t, githubClaims(nil))).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := oauth.NewAccessRequest(WithoutClient(t.Context(), r), r, NewSession())
	if err != nil {
		t.Fatal(debugOf(err))
	}
	if response, err := oauth.NewAccessResponse(t.Context(), request); err != nil || response.GetAccessToken() == "" {
		t.Error(err)
	}
	if _, err := oauth.NewAccessRequest(t.Context(), r, NewSession()); !errors.Is(err, fosite.ErrInvalidClient) && !errors.Is(err, fosite.ErrInvalidRequest) {
		t.Errorf("without the mark: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("fosite's own handler beside ours is let pass")
		}
	}()
	other := &fosite.Config{GlobalSecret: config.GlobalSecret}
	compose.Compose(other, struct {
		*storage.MemoryStore
		IssuerRuleStore
	}{store.MemoryStore, store}, compose.NewOAuth2HMACStrategy(other), compose.RFC7523AssertionGrantFactory, JWTBearerFactory(Grants{}))
}
