package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/provider/client/strictjson"
)

var issuerRulesOf = Rules{Scopes: []string{"mcp:search"}, Resources: []string{"https://docs.example.com/mcp"}, DefaultResource: "https://docs.example.com/mcp"}

// problemsOf are the mistakes of an error: pointer to code.
func problemsOf(t *testing.T, err error) map[string]string {
	t.Helper()
	var m strictjson.Mistakes
	if err != nil && !errors.As(err, &m) {
		t.Fatal(err)
	}
	problems := map[string]string{}
	for _, mistake := range m {
		problems[mistake.Pointer] = mistake.Code
	}
	return problems
}

func newIssuer(t *testing.T, document string) (*Client, error) {
	t.Helper()
	body, err := strictjson.Decode([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return issuerRulesOf.NewIssuer(body)
}

func TestWhatARuleAboutAnIssuerMayNotSay(t *testing.T) {
	long := strings.Repeat("x", 501)
	for document, want := range map[string]map[string]string{
		`{}`: {"/issuer": "required", "/name": "required", "/subject": "required"},
		`{"name":"x","issuer":"https://ci.example"}`:                                                      {"/subject": "required"},
		`{"name":"x","issuer":"https://ci.example","claims":{}}`:                                          {"/subject": "required"},
		`{"name":"x","issuer":"https://ci.example","subject":"**"}`:                                       {"/subject": "too_broad"},
		`{"name":"x","issuer":"https://ci.example","subject":"*:*/*"}`:                                    {"/subject": "too_broad"},
		`{"name":"x","issuer":"https://ci.example","claims":{"a":"*"}}`:                                   {"/claims/a": "too_broad"},
		`{"name":"x","preset":"github-actions","subject":"repo:*/app:**"}`:                                {"/subject": "too_broad"},
		`{"name":"x","preset":"github-actions","subject":"repo:org*/app"}`:                                {"/subject": "too_broad"},
		`{"name":"x","preset":"github-actions","claims":{"ref":"main"}}`:                                  {"/subject": "too_broad"},
		`{"name":"x","preset":"github-actions","claims":{"repository":"o*/a"}}`:                           {"/subject": "too_broad"},
		`{"name":"x","preset":"gitlab","subject":"project_path:*/app:**"}`:                                {"/subject": "too_broad"},
		`{"name":"x","preset":"travis","subject":"a"}`:                                                    {"/preset": "invalid", "/issuer": "required"},
		`{"name":"x","preset":7,"issuer":"https://ci.example","subject":"a"}`:                             {"/preset": "wrong_type"},
		`{"name":"x","preset":"kubernetes","subject":"a"}`:                                                {"/issuer": "required"},
		`{"name":"x","preset":"spiffe","issuer":"https://s.example","subject":"spiffe://*/ci"}`:           {"/subject": "invalid"},
		`{"name":"x","preset":"spiffe","issuer":"https://s.example","subject":"spiffe://a*/ci"}`:          {"/subject": "invalid"},
		`{"name":"x","issuer":"http://ci.example","subject":"a"}`:                                         {"/issuer": "invalid"},
		`{"name":"x","issuer":"https://ci.example/?a","subject":"a"}`:                                     {"/issuer": "invalid"},
		`{"name":"x","issuer":"kubernetes/serviceaccount","subject":"a"}`:                                 {"/issuer": "invalid"},
		`{"name":"x","issuer":"` + long + `","subject":"a","jwks_uri":"https://ci.example/k"}`:            {"/issuer": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"` + long + `"}`:                             {"/subject": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","jwks_uri":"http://ci.example/k"}`:       {"/jwks_uri": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","jwks":{"keys":[]}}`:                     {"/jwks/keys": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","audience":["","a","a"]}`:                {"/audience/0": "invalid", "/audience/2": "duplicate"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","claims":{"iss":"x","exp":1,"sub":"y"}}`: {"/claims/iss": "invalid", "/claims/exp": "invalid", "/claims/sub": "invalid"},
		`{"name":"x","issuer":"https://ci.example","claims":{"a":[],"b":{"c":{}},"d":""}}`:                {"/claims/a": "wrong_type", "/claims/b/c": "invalid", "/claims/d": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","scope":"mcp:admin"}`:                    {"/scope": "unknown_scope"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","resource":["https://x.example"]}`:       {"/resource/0": "unknown_resource"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","profile":"person"}`:                     {"/profile": "invalid"},
		`{"name":"x","issuer":"https://ci.example","profile":"id-jag","reusable":true}`:                   {"/reusable": "conflict"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","id":"a b"}`:                             {"/id": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","subjects":"b","created_at":"x"}`:        {"/subjects": "unknown_member", "/created_at": "read_only"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","status":"deleted"}`:                     {"/status": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","access_token_lifespan":99999999}`:       {"/access_token_lifespan": "invalid"},
		`{"name":"x","issuer":"https://ci.example","subject":"a","expires_at":"2020-01-01T00:00:00Z"}`:    {"/expires_at": "invalid"},
	} {
		_, err := newIssuer(t, document)
		if diff := cmp.Diff(want, problemsOf(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", document, diff)
		}
	}
}

func TestWhatARuleAboutAnIssuerMaySay(t *testing.T) {
	for _, document := range []string{
		`{"name":"x","preset":"github-actions","subject":"repo:org/*:ref:refs/heads/main"}`,
		`{"name":"x","preset":"github-actions","claims":{"repository_owner_id":"65"}}`,
		`{"name":"x","preset":"github-actions","claims":{"repository":"org/*"}}`,
		`{"name":"x","preset":"github-actions","issuer":"https://token.actions.githubusercontent.com/org","subject":"repo:org/**"}`,
		`{"name":"x","preset":"gitlab","subject":"project_path:group/*:ref_type:branch:ref:main"}`,
		`{"name":"x","preset":"gitlab","claims":{"namespace_path":"group","ref_protected":"true"}}`,
		`{"name":"x","preset":"kubernetes","issuer":"https://k.example","subject":"system:serviceaccount:search:*"}`,
		`{"name":"x","preset":"spiffe","issuer":"https://s.example","subject":"spiffe://example.org/ci/**"}`,
		`{"name":"x","issuer":"kubernetes/serviceaccount","subject":"a","jwks_uri":"https://k.example/openid/v1/jwks"}`,
		`{"name":"x","issuer":"https://idp.example","profile":"id-jag"}`,
	} {
		if _, err := newIssuer(t, document); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestWhatARuleLeavesOutGetsItsDefault(t *testing.T) {
	rule, err := newIssuer(t, `{"name":"x","preset":"kubernetes","issuer":"https://k.example","subject":"a","reusable":null}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Trust{Profile: Workload, Issuer: "https://k.example", Subject: "a", Reusable: true}
	if diff := cmp.Diff(want, rule.Trust); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rule.Scope[0] != "mcp:search" || rule.Audience[0] != "https://docs.example.com/mcp" || rule.Status != Active || rule.UsesSecret() || rule.IsPublic() {
		t.Errorf("it is %+v", rule)
	}
	chosen, err := newIssuer(t, `{"name":"x","preset":"kubernetes","issuer":"https://k.example","subject":"a","reusable":false}`)
	if err != nil || chosen.Trust.Reusable {
		t.Errorf("the preset wins over what is said: %v", err)
	}
}

func TestAPatchOfARule(t *testing.T) {
	rule, err := newIssuer(t, `{"id":"r1","name":"x","preset":"github-actions","subject":"repo:org/app:**","claims":{"ref":"a","env":"b"}}`)
	if err != nil {
		t.Fatal(err)
	}
	for patch, same := range map[string]bool{`{"name":"y"}`: true, `{"scope":""}`: true, `{"access_token_lifespan":60}`: true, `{"claims":{"env":null}}`: false, `{"subject":"repo:org/app:x"}`: false, `{"audience":["a"]}`: false} {
		body, _ := strictjson.Decode([]byte(patch))
		changed, err := issuerRulesOf.Change(rule, body)
		if err != nil {
			t.Errorf("%s: %v", patch, err)
			continue
		}
		if got, err := TrustsTheSame(rule, changed); err != nil || got != same || changed.ID != "r1" {
			t.Errorf("%s: trusts the same: %v, %v", patch, got, err)
		}
	}
	rule.Trust.Profile = IDJAG // the tokens are the clients'
	for _, patch := range []string{`{"status":"disabled"}`, `{"expires_at":"2099-01-01T00:00:00Z"}`} {
		body, _ := strictjson.Decode([]byte(patch))
		changed, err := issuerRulesOf.Change(rule, body)
		if err != nil {
			t.Fatalf("%s: %v", patch, err)
		}
		if same, err := TrustsTheSame(rule, changed); err != nil || same {
			t.Errorf("%s: the tokens stay, %v", patch, err)
		}
	}
	rule.Trust.Profile = Workload
	for patch, want := range map[string]map[string]string{
		`{"id":"r2"}`: {"/id": "read_only"}, `{"subject":null,"claims":null}`: {"/subject": "required"}, `{"client_name":"y"}`: {"/client_name": "unknown_member"},
		`{"preset":"gitlab"}`: {"/preset": "unknown_member"},
	} {
		body, _ := strictjson.Decode([]byte(patch))
		_, err := issuerRulesOf.Change(rule, body)
		if diff := cmp.Diff(want, problemsOf(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", patch, diff)
		}
	}
}
