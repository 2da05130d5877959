package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/people"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

// issuerKey signs the assertions of the test issuers.
var issuerKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func issuerKeys() string {
	encoded, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: issuerKey().Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// issuer makes a rule about an issuer and returns its id.
func (w *world) issuer(body string) string {
	w.t.Helper()
	return w.post("/issuers", body).want(w.t, http.StatusCreated).str("id")
}

const (
	githubRule     = `{"name":"docs CI","preset":"github-actions","subject":"repo:octo-org/octo-repo:ref:refs/heads/main","jwks":KEYS}`
	kubernetesRule = `{"name":"indexer","preset":"kubernetes","issuer":"https://oidc.cluster.example/id","subject":"system:serviceaccount:search:*","claims":{"kubernetes.io":{"namespace":"search"}},"jwks":KEYS}`
)

func withKeys(document string) string { return strings.Replace(document, "KEYS", issuerKeys(), 1) }

// githubJob are the claims of a GitHub Actions job in their real shape, kubernetesPod those of a projected service account token.
func (w *world) githubJob() map[string]any {
	now := w.clock.Now()
	return map[string]any{
		"jti": rand.Text(), "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "aud": "https://auth.example.com", "ref": "refs/heads/main",
		"repository": "octo-org/octo-repo", "repository_owner": "octo-org", "repository_owner_id": "65", "run_id": "1234", "actor": "octocat",
		"event_name": "push", "job_workflow_ref": "octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main",
		"iss": "https://token.actions.githubusercontent.com", "iat": now.Unix(), "nbf": now.Unix() - 300, "exp": now.Unix() + 300,
	}
}

func (w *world) kubernetesPod() map[string]any {
	now := w.clock.Now()
	return map[string]any{
		"aud": []string{"https://auth.example.com/token"}, "iss": "https://oidc.cluster.example/id", "jti": "1d2f8a3b",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Unix() + 3607, "sub": "system:serviceaccount:search:indexer",
		"kubernetes.io": map[string]any{
			"namespace": "search", "pod": map[string]any{"name": "indexer-0", "uid": "b2"},
			"serviceaccount": map[string]any{"name": "indexer", "uid": "c3"}, "warnafter": now.Unix() + 3000,
		},
	}
}

// assertion signs claims, which change overrides.
func assertion(t testing.TB, typ string, claims map[string]any) string {
	t.Helper()
	options := new(jose.SignerOptions).WithHeader("kid", "k1")
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: issuerKey()}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// exchange sends a form to the token endpoint.
func (w *world) exchange(form url.Values) (token string, err error) {
	w.t.Helper()
	form.Set("grant_type", client.JWTBearer)
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := w.provider.NewAccessRequest(r.Context(), r, provider.NewSession())
	if err != nil {
		return "", err
	}
	response, err := w.provider.NewAccessResponse(r.Context(), request)
	if err != nil {
		return "", err
	}
	return response.GetAccessToken(), nil
}

func (w *world) mustExchange(claims map[string]any) string {
	w.t.Helper()
	token, err := w.exchange(url.Values{"assertion": {assertion(w.t, "JWT", claims)}})
	if err != nil {
		w.t.Fatalf("no token: %v (%s)", err, fosite.ErrorToRFC6749Error(err).DebugField)
	}
	return token
}

func changed(claims map[string]any, name string, value any) map[string]any {
	claims[name] = value
	return claims
}

// No client is registered, and the token ends at its next check when the rule does.
func TestAWorkloadsTokenLivesAsLongAsItsRule(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		for name, test := range map[string]struct {
			rule   string
			claims func() map[string]any
		}{"GitHub Actions": {githubRule, w.githubJob}, "Kubernetes": {kubernetesRule, w.kubernetesPod}} {
			t.Run(name, func(t *testing.T) {
				id := w.issuer(withKeys(test.rule))
				if clients := w.get("/clients").items(); len(clients) != 0 {
					t.Fatalf("clients are registered: %v", clients)
				}
				token := w.mustExchange(test.claims())
				_, found, err := w.provider.IntrospectToken(t.Context(), token, fosite.AccessToken, provider.NewSession())
				if err != nil {
					t.Fatal(err)
				}
				claims := found.GetSession().(*provider.Session).GetExtraClaims()
				want := map[string]string{"format": "iss_sub", "iss": test.claims()["iss"].(string), "sub": test.claims()["sub"].(string)}
				if diff := cmp.Diff(want, claims["sub_id"]); diff != "" || found.GetClient().GetID() != id || found.GetSession().GetSubject() != want["sub"] {
					t.Errorf("it is of %s for %s (-want +got):\n%s", found.GetClient().GetID(), found.GetSession().GetSubject(), diff)
				}
				w.post("/issuers/"+id+"/disable", "").want(t, http.StatusOK)
				if w.active(token) {
					t.Error("the token of a disabled rule is active")
				}
				if _, err := w.exchange(url.Values{"assertion": {assertion(t, "", test.claims())}}); !errors.Is(err, fosite.ErrInvalidGrant) {
					t.Errorf("a disabled rule: %v", err)
				}
				w.post("/issuers/"+id+"/enable", "").want(t, http.StatusOK)
				if !w.active(token) {
					t.Error("the token of a rule that is enabled again is inactive")
				}
				w.delete("/issuers/"+id).want(t, http.StatusNoContent)
				if w.active(token) {
					t.Error("the token of a deleted rule is active")
				}
				if _, err := w.exchange(url.Values{"assertion": {assertion(t, "", test.claims())}}); !errors.Is(err, fosite.ErrInvalidGrant) {
					t.Errorf("a deleted rule: %v", err)
				}
				w.post("/issuers", `{"id":"`+id+`",`+withKeys(test.rule)[1:]).want(t, http.StatusConflict)
			})
		}
	})
}

func TestOneAssertionOfFiftyIsExchangedOnTheDatabase(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.issuer(withKeys(githubRule))
		form := url.Values{"assertion": {assertion(t, "", w.githubJob())}}
		var served, refused atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				switch _, err := w.exchange(url.Values{"assertion": form["assertion"]}); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, fosite.ErrInvalidGrant):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if served.Load() != 1 || refused.Load() != 49 {
			t.Errorf("%d served, %d refused", served.Load(), refused.Load())
		}
	})
}

func TestTokensOfARuleAreListedAndRevokedBySubject(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id := w.issuer(withKeys(strings.Replace(githubRule, "octo-repo:ref:refs/heads/main", "**", 1)))
		other := changed(w.githubJob(), "sub", "repo:octo-org/other:environment:prod")
		first, second, third := w.mustExchange(w.githubJob()), w.mustExchange(w.githubJob()), w.mustExchange(other)
		path := "/issuers/" + id + "/tokens"
		if all := w.get(path+"?active=true").want(t, http.StatusOK).items(); len(all) != 3 {
			t.Fatalf("%d tokens, want 3", len(all))
		}
		one := w.get(path+"?limit=1").want(t, http.StatusOK)
		if rest := w.get(path + "?limit=2&cursor=" + one.str("next_cursor")).items(); len(one.items()) != 1 || len(rest) != 2 {
			t.Errorf("the pages have %d and %d tokens", len(one.items()), len(rest))
		}
		of := w.get(path + "?subject=" + url.QueryEscape("repo:octo-org/other:environment:prod")).items()
		if len(of) != 1 || of[0]["subject"] != "repo:octo-org/other:environment:prod" || of[0]["secret_id"] != nil || of[0]["scope"] != "mcp:search" {
			t.Fatalf("of the subject: %v", of)
		}
		w.post(path+"/revoke", `{"subject":"repo:octo-org/other:environment:prod"}`).want(t, http.StatusNoContent)
		if !w.active(first) || !w.active(second) || w.active(third) {
			t.Error("a revocation by subject ends the tokens of the subject, and no other")
		}
		listed := w.get(path + "?active=true").items()
		w.post(path+"/revoke", `{"token_id":"`+fmt.Sprint(listed[0]["token_id"])+`"}`).want(t, http.StatusNoContent)
		if w.active(first) == w.active(second) {
			t.Error("a revocation by token_id ends this one token")
		}
		w.clock.advance(time.Second)
		fourth := w.mustExchange(w.githubJob())
		w.post(path+"/revoke", `{"issued_before":"`+w.clock.Now().Format(time.RFC3339Nano)+`"}`).want(t, http.StatusNoContent)
		if w.active(first) || w.active(second) || !w.active(fourth) {
			t.Error("a revocation by time ends what was issued before")
		}
		w.post(path+"/revoke", `{"all":true}`).want(t, http.StatusNoContent)
		if w.active(fourth) {
			t.Error("all were revoked")
		}
		if !w.active(w.mustExchange(w.githubJob())) {
			t.Error("a token of after the revocation is inactive")
		}
		for body, pointer := range map[string]string{`{}`: "", `{"secret_id":"x"}`: "/secret_id", `{"subject":""}`: "/subject", `{"subject":"a","all":true}`: ""} {
			if problems := w.post(path+"/revoke", body).want(t, http.StatusBadRequest).problems(); problems[pointer] == "" {
				t.Errorf("%s: %v, want %s", body, problems, pointer)
			}
		}
		var seen []string
		for _, event := range w.get("/audit?client_id=" + id).items() {
			seen = append(seen, fmt.Sprint(event["action"]))
		}
		if diff := cmp.Diff([]string{"issuer.registered", "tokens.revoked", "token.revoked", "tokens.revoked", "tokens.revoked"}, seen); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func TestARuleIsReadChangedAndListed(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		made := w.post("/issuers", withKeys(githubRule)).want(t, http.StatusCreated)
		id := made.str("id")
		if got := made.Header.Get("Location"); got != "/admin/v1/issuers/"+id || made.Header.Get("ETag") != `"1"` {
			t.Errorf("Location %s, ETag %s", got, made.Header.Get("ETag"))
		}
		if made.str("profile") != "workload" || made.str("issuer") != "https://token.actions.githubusercontent.com" || made.str("scope") != "mcp:search" || made.json["preset"] != nil {
			t.Errorf("it is %s", made.text)
		}
		token := w.mustExchange(w.githubJob())
		w.patch("/issuers/"+id, "", `{"name":"x"}`).want(t, http.StatusPreconditionRequired)
		w.patch("/issuers/"+id, `"9"`, `{"name":"x"}`).want(t, http.StatusPreconditionFailed)
		w.patch("/issuers/"+id, `"1"`, `{"name":"x","access_token_lifespan":60}`).want(t, http.StatusOK)
		if !w.active(token) {
			t.Error("another name ends no token")
		}
		w.patch("/issuers/"+id, `"2"`, `{"subject":"repo:octo-org/other:**"}`).want(t, http.StatusOK)
		if w.active(token) {
			t.Error("the rule trusts somebody else now, and the token is active")
		}
		w.patch("/issuers/"+id, `"3"`, `{"subject":null}`).want(t, http.StatusBadRequest)
		w.clock.advance(time.Second)
		second := w.issuer(withKeys(kubernetesRule))
		page := w.get("/issuers?limit=1").want(t, http.StatusOK)
		if next := w.get("/issuers?limit=1&cursor=" + page.str("next_cursor")).items(); len(next) != 1 || next[0]["id"] != second {
			t.Errorf("the second page is %v", next)
		}
		if found := w.get("/issuers?q=INDEX").items(); len(found) != 1 || found[0]["id"] != second {
			t.Errorf("found %v", found)
		}
		once := call{method: "POST", path: "/issuers", body: withKeys(kubernetesRule), header: map[string]string{"Idempotency-Key": "k"}}
		if a, b := w.do(once).want(t, http.StatusCreated), w.do(once).want(t, http.StatusCreated); a.str("id") != b.str("id") {
			t.Error("a repetition made another rule")
		}
	})
}

// A rule is stored where clients are, and is none.
func TestARuleIsNoClient(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id := w.issuer(withKeys(githubRule))
		w.mustExchange(w.githubJob())
		clientID, secret := w.client(`{"client_name":"machine"}`)
		if listed := w.get("/clients").items(); len(listed) != 1 || listed[0]["client_id"] != clientID {
			t.Errorf("clients: %v", listed)
		}
		for _, c := range []call{
			{method: "GET", path: "/clients/" + id}, {method: "DELETE", path: "/clients/" + id}, {method: "POST", path: "/clients/" + id + "/disable"},
			{method: "GET", path: "/clients/" + id + "/secrets"}, {method: "POST", path: "/clients/" + id + "/secrets", body: `{}`},
			{method: "GET", path: "/clients/" + id + "/tokens"}, {method: "POST", path: "/clients/" + id + "/tokens/revoke", body: `{"all":true}`},
			{method: "GET", path: "/issuers/" + clientID}, {method: "DELETE", path: "/issuers/" + clientID}, {method: "POST", path: "/issuers/" + clientID + "/disable"},
			{method: "POST", path: "/issuers/" + clientID + "/tokens/revoke", body: `{"all":true}`},
			{method: "PATCH", path: "/clients/" + id, body: `{"client_name":"x"}`, header: map[string]string{"If-Match": "*"}},
			{method: "PATCH", path: "/issuers/" + clientID, body: `{"name":"x"}`, header: map[string]string{"If-Match": "*"}},
		} {
			w.do(c).want(t, http.StatusNotFound)
		}
		for range 2 { // read, and remembered
			if _, err := w.store.GetClient(context.Background(), id); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("GetClient: %v", err)
			}
		}
		for _, secret := range []string{"", "x", secret} {
			if token, _ := w.token(id, secret, true); token != "" {
				t.Error("the rule has authenticated")
			}
		}
		form := url.Values{"assertion": {assertion(t, "", w.githubJob())}, "client_id": {id}}
		if _, err := w.exchange(form); !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("the rule's id as client_id: %v", err)
		}
		r := httptest.NewRequest("GET", "/authorize?response_type=code&client_id="+id, nil)
		if _, err := w.provider.NewAuthorizeRequest(t.Context(), r); err == nil {
			t.Error("a login with the rule")
		}
		if n, err := w.store.Clients().DropUnused(t.Context(), w.clock.Now().Add(time.Hour)); err != nil || n != 0 {
			t.Errorf("dropped %d, %v", n, err)
		}
		w.get("/issuers/"+id).want(t, http.StatusOK)
	})
}

// The subject of an assertion is a stranger's word: a local account of that name is somebody else.
func TestASubjectThatIsALocalAccountGetsNoGroupsOfIt(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		user := &people.User{Username: "anna", PasswordHash: []byte("hash"), Groups: []string{"editors"}}
		if err := w.store.Users().Create(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		w.issuer(withKeys(`{"name":"x","issuer":"https://ci.example","claims":{"ref":"refs/heads/main"},"jwks":KEYS}`))
		token := w.mustExchange(changed(changed(w.githubJob(), "iss", "https://ci.example"), "sub", user.ID))
		_, found, err := w.provider.IntrospectToken(t.Context(), token, fosite.AccessToken, provider.NewSession())
		if err != nil {
			t.Fatal(err)
		}
		if groups := found.GetSession().(*provider.Session).GetGroups(); len(groups) != 0 {
			t.Errorf("the workload is in the groups %v", groups)
		}
	})
}
