package storagetest

import (
	"context"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

// A kind is one of the places where requests are stored.
type kind struct {
	name   string
	token  fosite.TokenType
	create func(ctx context.Context, store Storage, signature string, request fosite.Requester) error
	get    func(ctx context.Context, store Storage, signature string, session fosite.Session) (fosite.Requester, error)
}

var kinds = []kind{
	{"an access token", fosite.AccessToken,
		func(ctx context.Context, s Storage, signature string, r fosite.Requester) error {
			return s.CreateAccessTokenSession(ctx, signature, r)
		},
		func(ctx context.Context, s Storage, signature string, session fosite.Session) (fosite.Requester, error) {
			return s.GetAccessTokenSession(ctx, signature, session)
		}},
	{"a refresh token", fosite.RefreshToken,
		func(ctx context.Context, s Storage, signature string, r fosite.Requester) error {
			return s.CreateRefreshTokenSession(ctx, signature, newSignature(), r)
		},
		func(ctx context.Context, s Storage, signature string, session fosite.Session) (fosite.Requester, error) {
			return s.GetRefreshTokenSession(ctx, signature, session)
		}},
	{"a code", fosite.AuthorizeCode,
		func(ctx context.Context, s Storage, signature string, r fosite.Requester) error {
			return s.CreateAuthorizeCodeSession(ctx, signature, r)
		},
		func(ctx context.Context, s Storage, signature string, session fosite.Session) (fosite.Requester, error) {
			return s.GetAuthorizeCodeSession(ctx, signature, session)
		}},
}

func roundTripCases() []testCase {
	var cases []testCase
	for _, k := range kinds {
		cases = append(cases,
			testCase{k.name + " keeps every field of its request", k.keepsFields},
			testCase{k.name + " keeps lists as they were", k.keepsLists},
			testCase{k.name + " keeps its times, in UTC", k.keepsTimes},
			testCase{k.name + " without an expiry stays without", k.keepsNoExpiry},
			testCase{k.name + " keeps the type of its session", k.keepsSessionType},
			testCase{k.name + " leaves a session that is in use alone", k.leavesLiveSession},
		)
	}
	return cases
}

// roundTrip stores request and reads it back into session.
func (k kind) roundTrip(t *testing.T, store Storage, request *fosite.Request, session fosite.Session) fosite.Requester {
	t.Helper()
	ctx, signature := context.Background(), newSignature()
	must(t, k.create(ctx, store, signature, request))
	got, err := k.get(ctx, store, signature, session)
	must(t, err)
	return got
}

func (k kind) keepsFields(t *testing.T, store Storage) {
	request := newRequest()
	request.RequestedScope = fosite.Arguments{"mcp:search", "offline"}
	request.GrantedScope = fosite.Arguments{"mcp:search"}
	request.RequestedAudience = fosite.Arguments{"https://mcp.example.com/mcp", "https://other.example.com"}
	request.GrantedAudience = fosite.Arguments{"https://mcp.example.com/mcp"}
	request.Form = url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {"https://client.example.com/callback?a=b&c=d"},
		"scope": {"mcp:search offline"}, "several": {"one", "two", ""}, "unicode": {"Grüße 🦊"}, "bytes": {"\x00\xff;&="},
	}
	got := k.roundTrip(t, store, request, emptySession())
	wantSameRequest(t, "get", got, request)
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"requested scope", got.GetRequestedScopes(), request.RequestedScope},
		{"granted scope", got.GetGrantedScopes(), request.GrantedScope},
		{"requested audience", got.GetRequestedAudience(), request.RequestedAudience},
		{"granted audience", got.GetGrantedAudience(), request.GrantedAudience},
		{"form", got.GetRequestForm(), request.Form},
		{"subject", got.GetSession().GetSubject(), "ada"},
		{"username", got.GetSession().GetUsername(), "ada@example.com"},
	} {
		if diff := cmp.Diff(field.want, field.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field.name, diff)
		}
	}
}

// keepsLists guards what a list is made of: were it split anew on the way, one granted scope could become two.
func (k kind) keepsLists(t *testing.T, store Storage) {
	for _, list := range []fosite.Arguments{
		{}, {"one"}, {"b", "a", "b"}, {"read\tadmin"}, {"read\nadmin", "x"}, {"read\u00a0admin"}, {"read\u2003admin\u0085"},
		{"has space"}, {""}, {"", ""}, {"["}, {"[\"x\"]", "y"}, {"https://[::1]:8080/mcp"}, {"Ünïcode", "\"quoted\"", "<&>"},
	} {
		request := newRequest()
		request.RequestedScope, request.GrantedScope = list, list
		request.RequestedAudience, request.GrantedAudience = fosite.Arguments{}, list
		got := k.roundTrip(t, store, request, emptySession())
		for name, back := range map[string]fosite.Arguments{
			"requested scope": got.GetRequestedScopes(), "granted scope": got.GetGrantedScopes(), "granted audience": got.GetGrantedAudience(),
		} {
			if len(back) != len(list) || len(list) > 0 && !reflect.DeepEqual(back, list) {
				t.Errorf("%s %q came back as %q", name, list, back)
			}
		}
		if len(got.GetRequestedAudience()) != 0 {
			t.Errorf("no requested audience came back as %q", got.GetRequestedAudience())
		}
	}
}

func (k kind) keepsTimes(t *testing.T, store Storage) {
	elsewhere := time.FixedZone("elsewhere", 5*3600+1800)
	request := newRequest()
	request.RequestedAt = time.Date(2031, 3, 30, 2, 30, 15, 0, elsewhere)
	expiresAt := time.Date(2031, 4, 13, 2, 30, 15, 0, time.UTC)
	request.Session.SetExpiresAt(k.token, expiresAt)
	for _, session := range []fosite.Session{emptySession(), nil} {
		got := k.roundTrip(t, store, request, session)
		for _, at := range []struct {
			name      string
			got, want time.Time
		}{
			{"requested at", got.GetRequestedAt(), request.RequestedAt},
			{"expires at", got.GetSession().GetExpiresAt(k.token), expiresAt},
		} {
			if !at.got.Equal(at.want) {
				t.Errorf("%s = %v, want %v", at.name, at.got, at.want)
			}
			if _, offset := at.got.Zone(); offset != 0 {
				t.Errorf("%s = %v, which is not UTC", at.name, at.got)
			}
		}
	}
}

// keepsNoExpiry is about a lifespan of -1, which leaves the zero time: never, and not long ago.
func (k kind) keepsNoExpiry(t *testing.T, store Storage) {
	request := newRequest()
	request.Session = &fosite.DefaultSession{Subject: "ada"}
	got := k.roundTrip(t, store, request, emptySession())
	if at := got.GetSession().GetExpiresAt(k.token); !at.IsZero() {
		t.Errorf("expires at %v, want never", at)
	}
}

func (k kind) keepsSessionType(t *testing.T, store Storage) {
	expires := map[fosite.TokenType]time.Time{k.token: time.Date(2031, 4, 13, 2, 30, 15, 0, time.UTC)}
	for _, session := range []fosite.Session{
		&fosite.DefaultSession{Subject: "ada", ExpiresAt: expires, Extra: map[string]any{"tenant": "north"}},
		&openid.DefaultSession{
			Subject: "ada", ExpiresAt: expires, Headers: &jwt.Headers{Extra: map[string]any{"kid": "1"}},
			Claims: &jwt.IDTokenClaims{Subject: "ada", Nonce: "n-0S6", Extra: map[string]any{"tenant": "north"}},
		},
		&oauth2.JWTSession{
			Subject: "ada", ExpiresAt: expires, JWTHeader: &jwt.Headers{Extra: map[string]any{"kid": "1"}},
			JWTClaims: &jwt.JWTClaims{Subject: "ada", Issuer: "https://as.example.com"},
		},
		&Session{DefaultSession: &fosite.DefaultSession{Subject: "ada", ExpiresAt: expires}, Team: "north"},
	} {
		request := newRequest()
		request.Session = session.Clone()
		// fosite passes nil when it revokes, and often another type than the one it stored.
		for _, into := range []fosite.Session{nil, &fosite.DefaultSession{}, &openid.DefaultSession{}, &oauth2.JWTSession{}, &Session{}} {
			got := k.roundTrip(t, store, request, into).GetSession()
			if diff := cmp.Diff(session, got); diff != "" {
				t.Errorf("a %T read into a %T (-want +got):\n%s", session, into, diff)
			}
		}
	}
}

// leavesLiveSession is about fosite reading a code twice, the second time into the session that it has prepared for
// the tokens meanwhile.
func (k kind) leavesLiveSession(t *testing.T, store Storage) {
	live := &fosite.DefaultSession{Subject: "grace", Extra: map[string]any{"tenant": "south"}}
	live.SetExpiresAt(k.token, time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
	want := live.Clone()
	got := k.roundTrip(t, store, newRequest(), live).GetSession()
	if diff := cmp.Diff(want, fosite.Session(live)); diff != "" {
		t.Errorf("the session that was passed in has changed (-before +after):\n%s", diff)
	}
	if got.GetSubject() != "ada" {
		t.Errorf("subject = %q, want that of the stored session", got.GetSubject())
	}
	if extra := got.(*fosite.DefaultSession).Extra; len(extra) != 0 {
		t.Errorf("extra = %v, want nothing of the session that was passed in", extra)
	}
}
