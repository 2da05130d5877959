package provider

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"testing"
	"time"

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

// lendingSession lends a session other claims.
type lendingSession struct {
	fosite.DefaultSession
	claims func() map[string]any
}

func (s *lendingSession) GetExtraClaims() map[string]any { return s.claims() }

// Resource servers look for the member, whatever the session makes of it.
func TestAClaimIsAddedToEverySession(t *testing.T) {
	kept := map[string]any{"tenant": "acme"}
	for name, session := range map[string]fosite.Session{
		"keeps its claims":       NewSession(),
		"fosite's":               &fosite.DefaultSession{},
		"for JWTs":               &oauth2.JWTSession{},
		"has no claims":          &lendingSession{claims: func() map[string]any { return nil }},
		"makes claims each time": &lendingSession{claims: func() map[string]any { return maps.Clone(kept) }},
		"has the name already":   &lendingSession{claims: func() map[string]any { return map[string]any{"mcp": "of old", "tenant": "acme"} }},
		"knows no claims":        struct{ fosite.Session }{&fosite.DefaultSession{Subject: "ann"}},
	} {
		token := fosite.NewAccessRequest(session)
		AddClaim(token, "mcp", 1)
		AddClaim(token, "more", 2)
		claims := token.GetSession().(fosite.ExtraClaimsSession).GetExtraClaims()
		if claims["mcp"] != 1 || claims["more"] != 2 {
			t.Errorf("a session that %s has %v", name, claims)
		}
		if lending, ok := session.(*lendingSession); ok && lending.claims() != nil && claims["tenant"] != "acme" {
			t.Errorf("a session that %s has lost its own claim: %v", name, claims)
		}
		if reflect.TypeOf(SessionOf(token)) != reflect.TypeOf(session) || token.GetSession().GetSubject() != session.GetSubject() {
			t.Errorf("a session that %s: %T", name, SessionOf(token))
		}
		if clone := token.GetSession().Clone().(fosite.ExtraClaimsSession).GetExtraClaims(); clone["mcp"] != 1 {
			t.Errorf("the clone of a session that %s has %v", name, clone)
		}
	}
}

// Returning nil would replace what the core validator has said about the token's use by nothing.
// agedSession is a host's, whose groups are too old, and which keeps no claims.
type agedSession struct {
	fosite.DefaultSession
	groups []string
}

func (s *agedSession) Clone() fosite.Session             { return s }
func (s *agedSession) GroupsEnd(time.Duration) time.Time { return time.Unix(1, 0) }
func (s *agedSession) DropGroups()                       { s.groups = nil }

func TestGroupsAreLeftOutWhoeverCarriesTheSession(t *testing.T) {
	session := &agedSession{groups: []string{"staff"}}
	token := tokenFor(&fosite.DefaultClient{ID: "ci"}, nil, nil)
	token.SetSession(session)
	AddClaim(token, "team", "docs") // as a hook of a host's does that calls this one
	if err := GroupsHook(time.Hour, nil)(t.Context(), token); err != nil || session.groups != nil {
		t.Errorf("groups %q, error %v", session.groups, err)
	}
}

func TestHooksAbstainAfterwards(t *testing.T) {
	called := 0
	handler := HookFactory(func(context.Context, fosite.AccessRequester) error { called++; return nil })(validating(&fosite.Config{}), nil, nil).(fosite.TokenIntrospector)
	_, err := handler.IntrospectToken(t.Context(), "", fosite.AccessToken, tokenFor(&fosite.DefaultClient{ID: "ci"}, nil, nil), nil)
	if !errors.Is(err, fosite.ErrUnknownRequest) || called != 1 {
		t.Errorf("error %v after %d calls", err, called)
	}
	// Nothing else knows the token, or a validator lets a JWT pass that has neither client nor scope.
	_, err = handler.IntrospectToken(t.Context(), "", fosite.AccessToken, fosite.NewAccessRequest(NewSession()), nil)
	if !errors.Is(err, fosite.ErrInactiveToken) || called != 1 {
		t.Errorf("a token without client and scope: error %v after %d calls", err, called)
	}
}

// fosite drops a second handler of one type.
func TestBothHookFactoriesFitIntoOneComposition(t *testing.T) {
	var handlers fosite.TokenIntrospectionHandlers
	handlers.Append(MCPSearchFactory(DefaultScopes())(&fosite.Config{}, nil, nil).(fosite.TokenIntrospector))
	handlers.Append(HookFactory()(&fosite.Config{}, nil, nil).(fosite.TokenIntrospector))
	if len(handlers) != 2 {
		t.Errorf("%d handlers, want 2", len(handlers))
	}
}

// validating is a configuration with a validator, as hooks want it.
func validating(config *fosite.Config) *fosite.Config {
	config.TokenIntrospectionHandlers.Append(&oauth2.CoreValidator{})
	return config
}
