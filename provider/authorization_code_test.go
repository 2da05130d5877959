package provider

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// A team may read authorization requests in its own way and grant what it likes. Nothing that the client is not registered
// for, or that the resources do not understand, gets into a code, and no code is without a challenge.
func TestACodeIsForNothingThatTheClientMayNotHave(t *testing.T) {
	for name, c := range map[string]struct {
		scope, audience []string
		challenge       string
		want            error
	}{
		"what it may have":                       {[]string{"docs:read"}, []string{docs}, strangersChallenge, nil},
		"scopes of two resources":                {[]string{"docs:read", "wiki:read"}, []string{docs, wiki}, strangersChallenge, nil},
		"a scope that it is not registered for":  {[]string{"docs:read", "docs:admin"}, []string{docs}, strangersChallenge, fosite.ErrInvalidScope},
		"a scope in capitals":                    {[]string{"DOCS:READ"}, []string{docs}, strangersChallenge, fosite.ErrInvalidScope},
		"a resource that it may not use":         {[]string{"docs:read"}, []string{docs, "https://other.example.com/mcp"}, strangersChallenge, ErrInvalidTarget},
		"a path below its resource":              {[]string{"docs:read"}, []string{docs + "/admin"}, strangersChallenge, ErrInvalidTarget},
		"a scope that the resource does not use": {[]string{"docs:read", "wiki:read"}, []string{docs}, strangersChallenge, fosite.ErrInvalidScope},
		"no challenge":                           {[]string{"docs:read"}, []string{docs}, "", fosite.ErrInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			store := storage.NewMemoryStore()
			oauth, err := New(store, Options{SystemSecret: []byte(strings.Repeat("s", 32)), Resources: Resources{
				Known: []string{docs, wiki}, Scopes: map[string][]string{docs: {"docs:read", "docs:admin"}, wiki: {"wiki:read"}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			request := fosite.NewAuthorizeRequest()
			request.Client = &fosite.DefaultClient{ID: "app", Scopes: []string{"docs:read", "wiki:read"}, Audience: []string{docs, wiki}}
			request.ResponseTypes = fosite.Arguments{"code"}
			request.Form = url.Values{}
			if c.challenge != "" {
				request.Form = url.Values{"code_challenge": {c.challenge}, "code_challenge_method": {"S256"}}
			}
			request.GrantedScope, request.GrantedAudience = c.scope, c.audience
			response, err := oauth.NewAuthorizeResponse(t.Context(), request, &Session{Subject: "u1"})
			if c.want == nil {
				if err != nil || response.GetCode() == "" {
					t.Fatalf("error %v, want a code", err)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if diff := cmp.Diff([]int{0, 0}, []int{len(store.AuthorizeCodes), len(store.PKCES)}); diff != "" {
				t.Errorf("codes and challenges that were stored (-want +got):\n%s", diff)
			}
		})
	}
}
