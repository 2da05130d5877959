package provider

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
)

func tokenFor(client fosite.Client, scope, audience []string) *fosite.AccessRequest {
	r := fosite.NewAccessRequest(NewSession())
	r.Client, r.GrantedScope, r.GrantedAudience = client, scope, audience
	return r
}

type disabledClient struct{ *fosite.DefaultClient }

func (disabledClient) IsDisabled() bool { return true }

func TestMCPSearchHook(t *testing.T) {
	hook := MCPSearchHook(Scopes{
		"mcp:search": {Tools: []string{"search", "get_page"}},
		"mcp:admin":  {Tools: []string{"get_page", "reindex"}},
		"profile":    {},
	})
	ci := &fosite.DefaultClient{ID: "ci"}
	audience := []string{"https://docs.example.com/mcp"}
	for name, c := range map[string]struct {
		token *fosite.AccessRequest
		want  any
		err   error
	}{
		"tools of the scope":            {tokenFor(ci, []string{"mcp:search"}, audience), MCPClaim{audience[0], []string{"search", "get_page"}}, nil},
		"tools of several scopes, once": {tokenFor(ci, []string{"mcp:search", "mcp:admin"}, audience), MCPClaim{audience[0], []string{"search", "get_page", "reindex"}}, nil},
		"no tools: left alone":          {tokenFor(ci, []string{"profile"}, nil), nil, nil},
		"unknown scope: left alone":     {tokenFor(ci, []string{"mcp:searching"}, nil), nil, nil},
		"no audience: refused":          {tokenFor(ci, []string{"mcp:search"}, nil), nil, fosite.ErrInactiveToken},
		"client disabled: refused":      {tokenFor(disabledClient{ci}, []string{"mcp:search"}, audience), nil, fosite.ErrInactiveToken},
	} {
		t.Run(name, func(t *testing.T) {
			if err := hook(t.Context(), c.token); !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			got := c.token.GetSession().(*Session).GetExtraClaims()["mcp"]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("mcp (-want +got):\n%s", diff)
			}
		})
	}
}

// sessionOf lends a session other claims.
type sessionOf struct {
	fosite.DefaultSession
	claims func() map[string]any
}

func (s *sessionOf) GetExtraClaims() map[string]any { return s.claims() }

// Resource servers look for the member: a session that cannot hold it must not go unnoticed.
func TestASessionThatKeepsNoClaimsIsAnError(t *testing.T) {
	for name, claims := range map[string]func() map[string]any{
		"nil":                  func() map[string]any { return nil },
		"a copy each time":     func() map[string]any { return map[string]any{} },
		"a copy with the name": func() map[string]any { return map[string]any{"mcp": "of old"} },
	} {
		r := fosite.NewAccessRequest(&sessionOf{claims: claims})
		if err := AddClaim(r, "mcp", 1); !errors.Is(err, fosite.ErrMisconfiguration) {
			t.Errorf("%s: %v; want a misconfiguration", name, err)
		}
	}
	signed := fosite.NewAccessRequest(&oauth2.JWTSession{})
	if err := AddClaim(signed, "mcp", 1); err != nil {
		t.Errorf("fosite's session for JWTs: %v", err)
	}
	if got := signed.Session.(fosite.ExtraClaimsSession).GetExtraClaims()["mcp"]; got != 1 {
		t.Errorf("fosite's session for JWTs has %v; want 1", got)
	}
	plain := fosite.NewAccessRequest(struct{ fosite.Session }{NewSession()})
	if err := AddClaim(plain, "mcp", 1); err != nil {
		t.Errorf("a session without claims: %v", err)
	}
}

// Returning nil would replace what the core validator has said about the token's use by nothing.
func TestHooksAbstainAfterwards(t *testing.T) {
	called := 0
	handler := HookFactory(func(context.Context, fosite.AccessRequester) error { called++; return nil })(nil, nil, nil).(fosite.TokenIntrospector)
	_, err := handler.IntrospectToken(t.Context(), "", fosite.AccessToken, tokenFor(&fosite.DefaultClient{ID: "ci"}, nil, nil), nil)
	if !errors.Is(err, fosite.ErrUnknownRequest) || called != 1 {
		t.Errorf("error %v after %d calls", err, called)
	}
	_, err = handler.IntrospectToken(t.Context(), "", fosite.AccessToken, fosite.NewAccessRequest(NewSession()), nil)
	if !errors.Is(err, fosite.ErrUnknownRequest) || called != 1 {
		t.Errorf("before the core validator: error %v after %d calls", err, called)
	}
}

// fosite drops a second handler of one type.
func TestBothHookFactoriesFitIntoOneComposition(t *testing.T) {
	var handlers fosite.TokenIntrospectionHandlers
	handlers.Append(MCPSearchFactory(DefaultScopes())(nil, nil, nil).(fosite.TokenIntrospector))
	handlers.Append(HookFactory()(nil, nil, nil).(fosite.TokenIntrospector))
	if len(handlers) != 2 {
		t.Errorf("%d handlers, want 2", len(handlers))
	}
}
