package admin_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

const (
	enterpriseRule   = `{"name":"Acme","profile":"id-jag","issuer":"https://acme.idp.example","scope":"mcp:search mcp:write","jwks":KEYS}`
	enterpriseClient = `{"client_id":"app","client_name":"app","grant_types":["urn:ietf:params:oauth:grant-type:jwt-bearer"],"scope":"mcp:search mcp:write","audience":["` + resource + `","` + otherResource + `"]}`
)

// identity are the claims of an identity assertion for the client app; pairs change them, nil leaves one out.
func (w *world) identity(pairs ...any) map[string]any {
	now := w.clock.Now()
	claims := map[string]any{
		"jti": rand.Text(), "iss": "https://acme.idp.example", "sub": "U019488227", "aud": "https://auth.example.com", "client_id": "app",
		"iat": now.Unix(), "exp": now.Unix() + 300, "resource": resource, "scope": "mcp:search", "auth_time": now.Unix() - 60, "email": "anna@acme.example",
	}
	for i := 0; i < len(pairs); i += 2 {
		if claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(claims, pairs[i].(string))
		}
	}
	return claims
}

// asApp exchanges an identity assertion as the client app.
func (w *world) asApp(secret string, claims map[string]any, more ...string) (string, error) {
	w.t.Helper()
	form := url.Values{"assertion": {assertion(w.t, "oauth-id-jag+jwt", claims)}, "client_id": {"app"}, "client_secret": {secret}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return w.exchange(form)
}

// introspected is what introspection says of an active token.
func (w *world) introspected(token string) fosite.AccessRequester {
	w.t.Helper()
	_, found, err := w.provider.IntrospectToken(w.t.Context(), token, fosite.AccessToken, provider.NewSession())
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func TestAClientActsForAPersonOfAnEnterprise(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		rule := w.issuer(withKeys(enterpriseRule))
		_, secret := w.client(enterpriseClient)
		token, err := w.asApp(secret, w.identity())
		if err != nil {
			t.Fatal(err, fosite.ErrorToRFC6749Error(err).DebugField)
		}
		found := w.introspected(token)
		session := found.GetSession().(*provider.Session)
		got := []any{found.GetClient().GetID(), session.GetSubject(), session.SubjectIssuer, []string(found.GetGrantedScopes()), []string(found.GetGrantedAudience())}
		if diff := cmp.Diff([]any{"app", "U019488227", "https://acme.idp.example", []string{"mcp:search"}, []string{resource}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		listed := w.get("/issuers/" + rule + "/tokens").items()
		if len(listed) != 1 || listed[0]["subject"] != "U019488227" {
			t.Errorf("tokens of the rule: %v", listed)
		}
		if of := w.get("/clients/app/tokens").items(); len(of) != 1 {
			t.Errorf("%d tokens of the client", len(of))
		}
		had := w.get("/access?client_id=app").items()
		if len(had) != 1 || had[0]["kind"] != "person" || had[0]["subject"] != "U019488227" || had[0]["by"] != "rule "+rule || had[0]["scope"] != "mcp:search" ||
			had[0]["last_token_at"] == nil || had[0]["status"] != "active" {
			t.Errorf("who had access by the client: %v", had)
		}
		if _, err := w.asApp("wrong", w.identity()); !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("a wrong secret: %v", err)
		}
		if _, err := w.exchange(url.Values{"assertion": {assertion(t, "oauth-id-jag+jwt", w.identity())}}); !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("without the client: %v", err)
		}
		w.client(`{"client_id":"other","client_name":"other","grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post"}`)
	})
}

// Whatever ends the rule, or changes whom it trusts, ends the tokens at their next check; what does not leaves them alone.
func TestAnEnterprisesTokensEndWithItsRule(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		_, secret := w.client(enterpriseClient)
		for name, test := range map[string]struct {
			do   func(rule, tokenID string)
			ends bool
		}{
			"deleted":    {func(rule, _ string) { w.delete("/issuers/"+rule).want(t, http.StatusNoContent) }, true},
			"disabled":   {func(rule, _ string) { w.post("/issuers/"+rule+"/disable", "").want(t, http.StatusOK) }, true},
			"less scope": {func(rule, _ string) { w.patch("/issuers/"+rule, "*", `{"scope":"mcp:write"}`).want(t, http.StatusOK) }, true},
			"renamed":    {func(rule, _ string) { w.patch("/issuers/"+rule, "*", `{"name":"x"}`).want(t, http.StatusOK) }, false},
			"all": {func(rule, _ string) {
				w.post("/issuers/"+rule+"/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
			}, true},
			"subject": {func(rule, _ string) {
				w.post("/issuers/"+rule+"/tokens/revoke", `{"subject":"U019488227"}`).want(t, http.StatusNoContent)
			}, true},
			"another subject": {func(rule, _ string) {
				w.post("/issuers/"+rule+"/tokens/revoke", `{"subject":"U1"}`).want(t, http.StatusNoContent)
			}, false},
			"token": {func(rule, id string) {
				w.post("/issuers/"+rule+"/tokens/revoke", `{"token_id":"`+id+`"}`).want(t, http.StatusNoContent)
			}, true},
			"issued before": {func(rule, _ string) {
				w.clock.advance(time.Second)
				w.post("/issuers/"+rule+"/tokens/revoke", `{"issued_before":"`+w.clock.Now().Format(time.RFC3339Nano)+`"}`).want(t, http.StatusNoContent)
			}, true},
			"the client": {func(string, string) {
				w.post("/clients/app/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
			}, true},
		} {
			t.Run(name, func(t *testing.T) {
				issuer := "https://" + strings.ReplaceAll(name, " ", "-") + ".example"
				rule := w.issuer(withKeys(strings.Replace(enterpriseRule, "https://acme.idp.example", issuer, 1)))
				token, err := w.asApp(secret, w.identity("iss", issuer))
				if err != nil {
					t.Fatal(err, fosite.ErrorToRFC6749Error(err).DebugField)
				}
				test.do(rule, w.get("/issuers/" + rule + "/tokens").items()[0]["token_id"].(string))
				if w.active(token) == test.ends {
					t.Errorf("the token is active: %v", !test.ends)
				}
			})
		}
	})
}

func TestWhatAnIdentityAssertionGives(t *testing.T) {
	w := newWorld(t)
	w.issuer(withKeys(strings.Replace(enterpriseRule, `"profile"`, `"resource":["`+resource+`","`+otherResource+`"],"profile"`, 1)))
	_, secret := w.client(enterpriseClient)
	w.client(`{"client_id":"machine","client_name":"machine"}`)
	for name, test := range map[string]struct {
		claims           map[string]any
		form             []string
		err              error
		scopes, audience []string
	}{
		"as it says":                      {claims: w.identity(), scopes: []string{"mcp:search"}, audience: []string{resource}},
		"without resource":                {claims: w.identity("resource", nil), scopes: []string{"mcp:search"}, audience: []string{resource}},
		"without scope":                   {claims: w.identity("scope", nil), scopes: []string{"mcp:search", "mcp:write"}, audience: []string{resource}},
		"several resources":               {claims: w.identity("resource", []string{resource, otherResource}), scopes: []string{"mcp:search"}, audience: []string{resource, otherResource}},
		"one of them":                     {claims: w.identity("resource", []string{resource, otherResource}), form: []string{"resource", otherResource}, scopes: []string{"mcp:search"}, audience: []string{otherResource}},
		"less scope":                      {claims: w.identity("scope", "mcp:write mcp:search openid"), form: []string{"scope", "mcp:search"}, scopes: []string{"mcp:search"}, audience: []string{resource}},
		"more scope asked for":            {claims: w.identity(), form: []string{"scope", "mcp:search mcp:write"}, scopes: []string{"mcp:search"}, audience: []string{resource}},
		"another scope asked for":         {claims: w.identity(), form: []string{"scope", "mcp:write"}, err: fosite.ErrInvalidScope},
		"for the issuer with a slash":     {claims: w.identity("aud", "https://auth.example.com/"), scopes: []string{"mcp:search"}, audience: []string{resource}},
		"as a list of one":                {claims: w.identity("aud", []string{"https://auth.example.com"}), scopes: []string{"mcp:search"}, audience: []string{resource}},
		"for another server":              {claims: w.identity("aud", "https://other.example"), err: fosite.ErrInvalidGrant},
		"for the token URL":               {claims: w.identity("aud", "https://auth.example.com/token"), err: fosite.ErrInvalidGrant},
		"for others too":                  {claims: w.identity("aud", []string{"https://auth.example.com", "https://other.example"}), err: fosite.ErrInvalidGrant},
		"an unknown resource":             {claims: w.identity("resource", "https://other.example/mcp"), err: fosite.ErrInvalidGrant},
		"a resource that is a number":     {claims: w.identity("resource", 7), err: fosite.ErrInvalidGrant},
		"a resource beyond the assertion": {claims: w.identity(), form: []string{"resource", otherResource}, err: provider.ErrInvalidTarget},
		"an unknown scope":                {claims: w.identity("scope", "chat.read"), err: fosite.ErrInvalidGrant},
		"an empty scope":                  {claims: w.identity("scope", ""), err: fosite.ErrInvalidGrant},
		"another client's":                {claims: w.identity("client_id", "machine"), err: fosite.ErrInvalidGrant},
		"nobody's":                        {claims: w.identity("client_id", nil), err: fosite.ErrInvalidGrant},
		"of another enterprise":           {claims: w.identity("iss", "https://evil.example"), err: fosite.ErrInvalidGrant},
		"without jti":                     {claims: w.identity("jti", nil), err: fosite.ErrInvalidGrant},
		"without sub":                     {claims: w.identity("sub", nil), err: fosite.ErrInvalidGrant},
		"without exp":                     {claims: w.identity("exp", nil), err: fosite.ErrInvalidGrant},
		"until tomorrow":                  {claims: w.identity("exp", w.clock.Now().Add(24*time.Hour).Unix()), err: fosite.ErrInvalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := w.asApp(secret, test.claims, test.form...)
			if test.err != nil {
				if !errors.Is(err, test.err) {
					t.Errorf("%v, want %v", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err, fosite.ErrorToRFC6749Error(err).DebugField)
			}
			found := w.introspected(token)
			if diff := cmp.Diff([][]string{test.scopes, test.audience}, [][]string{found.GetGrantedScopes(), found.GetGrantedAudience()}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := w.asApp(secret, test.claims, test.form...); !errors.Is(err, fosite.ErrInvalidGrant) {
				t.Errorf("used again: %v", err)
			}
		})
	}
	for _, typ := range []string{"", "JWT", "at+jwt", "client-authentication+jwt"} {
		form := url.Values{"assertion": {assertion(t, typ, w.identity())}, "client_id": {"app"}, "client_secret": {secret}}
		if _, err := w.exchange(form); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Errorf("typ %q: %v", typ, err)
		}
	}
	if _, err := w.asApp(secret, w.identity()); err != nil {
		t.Error(err)
	}
	_, machine := w.client(`{"client_id":"m2","client_name":"m2"}`)
	if _, err := w.asApp(machine, w.identity("client_id", "m2"), "client_id", "m2"); !errors.Is(err, fosite.ErrUnauthorizedClient) {
		t.Errorf("a client without the grant: %v", err)
	}
}

// A rule is for one kind of assertion: a workload's is no identity, and the other way round.
func TestAProfileIsForOneKindOfAssertion(t *testing.T) {
	w := newWorld(t)
	_, secret := w.client(enterpriseClient)
	w.issuer(withKeys(strings.Replace(enterpriseRule, `"id-jag"`, `"workload","subject":"U*"`, 1)))
	if _, err := w.asApp(secret, w.identity()); !errors.Is(err, fosite.ErrInvalidGrant) {
		t.Errorf("an identity by a rule about workloads: %v", err)
	}
	w.issuer(withKeys(`{"name":"x","profile":"id-jag","issuer":"https://token.actions.githubusercontent.com","jwks":KEYS}`))
	if _, err := w.exchange(url.Values{"assertion": {assertion(t, "JWT", w.githubJob())}}); !errors.Is(err, fosite.ErrInvalidGrant) {
		t.Errorf("a workload by a rule about identities: %v", err)
	}
}

// The rule is looked at once more when the token is stored: it may have ended since the assertion was checked.
func TestARuleThatEndsMeanwhileGivesNothing(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(enterpriseClient)
		for name, end := range map[string]func(rule string){
			"deleted":  func(rule string) { w.delete("/issuers/"+rule).want(t, http.StatusNoContent) },
			"disabled": func(rule string) { w.post("/issuers/"+rule+"/disable", "").want(t, http.StatusOK) },
			"changed":  func(rule string) { w.patch("/issuers/"+rule, "*", `{"subject":"V*"}`).want(t, http.StatusOK) },
			"revoked": func(rule string) {
				w.post("/issuers/"+rule+"/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
			},
		} {
			rule := w.issuer(withKeys(enterpriseRule))
			found, err := w.store.Issuers().Find(t.Context(), rule)
			if err != nil {
				t.Fatal(err)
			}
			asking, err := w.store.GetClient(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			request := fosite.NewAccessRequest(provider.NewSession())
			request.Client = asking
			request.GetSession().(*provider.Session).SetAsserted("https://acme.idp.example", "U1")
			request.GetSession().(*provider.Session).SetRule(rule, found.Version, found.Epoch)
			end(rule)
			if err := w.store.CreateAccessTokenSession(t.Context(), "signature-"+name, request); !errors.Is(err, fosite.ErrInvalidGrant) {
				t.Errorf("%s: %v, want invalid_grant", name, err)
			}
			if _, err := w.store.GetAccessTokenSession(t.Context(), "signature-"+name, provider.NewSession()); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: the token is there: %v", name, err)
			}
		}
	})
}

// Who wants every token on record learns whose assertion it was given for.
func TestAnExchangeIsOnRecordWithItsSubject(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		rule := w.issuer(withKeys(githubRule))
		rules, err := w.store.RulesOfIssuer(t.Context(), "https://token.actions.githubusercontent.com")
		if err != nil || len(rules) != 1 {
			t.Fatal(rules, err)
		}
		request := fosite.NewAccessRequest(provider.NewSession())
		request.Client = rules[0].Fosite()
		request.GetSession().(*provider.Session).SetAsserted("https://token.actions.githubusercontent.com", "repo:octo-org/octo-repo:ref:refs/heads/main")
		if err := (storage.AuditedTokens{Store: w.store}).CreateAccessTokenSession(t.Context(), "signature", request); err != nil {
			t.Fatal(err)
		}
		events := w.get("/audit?action=token.issued&client_id=" + rule).items()
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		changes := events[0]["changes"].(map[string]any)
		for name, want := range map[string]string{"subject": "repo:octo-org/octo-repo:ref:refs/heads/main", "issuer": "https://token.actions.githubusercontent.com"} {
			if got := changes[name].(map[string]any)["after"]; got != want {
				t.Errorf("%s is %v, want %s", name, got, want)
			}
		}
	})
}

// Whatever ends a rule ends the tokens of clients at their next check: they are the clients', so nothing else would.
func TestAPatchThatEndsARuleEndsItsTokens(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		_, secret := w.client(enterpriseClient)
		for _, patch := range []string{`{"status":"disabled"}`, `{"expires_at":"` + w.clock.Now().Add(time.Minute).Format(time.RFC3339) + `"}`} {
			rule := w.issuer(withKeys(enterpriseRule))
			token, err := w.asApp(secret, w.identity())
			if err != nil {
				t.Fatal(err)
			}
			w.patch("/issuers/"+rule, "*", patch).want(t, http.StatusOK)
			if w.active(token) {
				t.Errorf("%s: the token is alive", patch)
			}
			w.delete("/issuers/"+rule).want(t, http.StatusNoContent)
		}
	})
}

// A person whom another issuer has named is not the local account of the same name.
func TestTheSubjectOfAnotherIssuerIsNoLocalPerson(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		rule := w.issuer(withKeys(enterpriseRule))
		_, secret := w.client(enterpriseClient)
		token, err := w.asApp(secret, w.identity("sub", "alice"))
		if err != nil {
			t.Fatal(err)
		}
		if list, err := w.store.Consents().List(t.Context(), people.ConsentFilter{Subject: "alice"}); err != nil || len(list) != 0 {
			t.Errorf("what alice has consented to: %+v, %v", list, err)
		}
		if n, err := w.store.RevokeSubject(t.Context(), "alice", ""); err != nil || n != 0 || !w.active(token) {
			t.Errorf("alice has ended %d, %v", n, err)
		}
		if err := w.store.RevokeSubjectOf(t.Context(), rule, "alice"); err != nil || w.active(token) {
			t.Errorf("the rule's own way: %v", err)
		}
	})
}
