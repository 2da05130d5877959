package storage

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

// teamSession is a session type of a host application.
type teamSession struct {
	*fosite.DefaultSession
	Team string
}

func (s *teamSession) Clone() fosite.Session {
	return &teamSession{s.DefaultSession.Clone().(*fosite.DefaultSession), s.Team}
}

// forgetfulSession does not store when its tokens end.
type forgetfulSession struct {
	Name    string
	expires map[fosite.TokenType]time.Time
}

func (s *forgetfulSession) SetExpiresAt(kind fosite.TokenType, at time.Time) {
	if s.expires == nil {
		s.expires = make(map[fosite.TokenType]time.Time)
	}
	s.expires[kind] = at
}
func (s *forgetfulSession) GetExpiresAt(kind fosite.TokenType) time.Time { return s.expires[kind] }
func (s *forgetfulSession) GetUsername() string                          { return s.Name }
func (s *forgetfulSession) GetSubject() string                           { return s.Name }
func (s *forgetfulSession) Clone() fosite.Session                        { return s }

type valueSession struct{ fosite.Session }

func (s valueSession) Clone() fosite.Session { return s }

func TestSessionThatWasPassedInEmptyIsFilled(t *testing.T) {
	types := defaultSessionTypes()
	name, data, err := types.pack(&openid.DefaultSession{Subject: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	into := &openid.DefaultSession{}
	got, err := types.unpack(name, data, into)
	if err != nil {
		t.Fatal(err)
	}
	if got != fosite.Session(into) || into.Subject != "ada" {
		t.Errorf("got %#v, want the session that was passed in, filled", got)
	}
}

func TestSessionIsStoredWithoutANameWhenItIsTheFirstType(t *testing.T) {
	types := defaultSessionTypes().with([]fosite.Session{&teamSession{}, &forgetfulSession{}})
	for _, c := range []struct {
		session fosite.Session
		name    string
	}{
		{&teamSession{DefaultSession: &fosite.DefaultSession{}}, ""},
		{&forgetfulSession{}, "*storage.forgetfulSession"},
		{&openid.DefaultSession{}, "*openid.DefaultSession"}, // fosite's own stay known
	} {
		name, _, err := types.pack(c.session)
		if err != nil {
			t.Fatal(err)
		}
		if string(name) != c.name {
			t.Errorf("%T is stored as %q, want %q", c.session, name, c.name)
		}
	}
}

func TestSessionOfUnknownTypeIsRefusedWithTheRemedy(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := context.Background(), e.storeWithClients(t)
		request := newTestRequest("machine")
		request.Session = &teamSession{DefaultSession: &fosite.DefaultSession{}}
		err := store.CreateAccessTokenSession(ctx, "signature", request)
		if err == nil || !strings.Contains(err.Error(), "*storage.teamSession") || !strings.Contains(err.Error(), "storage.WithSessions") {
			t.Errorf("error = %v, want one that names the type and storage.WithSessions", err)
		}
	})
	_, err := defaultSessionTypes().unpack("*gone.Session", "{}", nil)
	if err == nil || !strings.Contains(err.Error(), "*gone.Session") || !strings.Contains(err.Error(), "storage.WithSessions") {
		t.Errorf("error = %v, want one that names the type and storage.WithSessions", err)
	}
}

func TestSessionTypesThatCannotBeToldApartPanicAtOnce(t *testing.T) {
	type teamSession struct{ fosite.DefaultSession } // of the same name
	for what, prototypes := range map[string][]fosite.Session{
		"the same name": {&teamSession{}, newOuterTeamSession()},
		"no pointer":    {valueSession{}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			defaultSessionTypes().with(prototypes)
		}()
	}
}

func newOuterTeamSession() fosite.Session { return &teamSession{} }

func TestNoSessionStaysNone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := context.Background(), e.storeWithClients(t)
		for name, session := range map[string]fosite.Session{"nil": nil, "a nil pointer": (*fosite.DefaultSession)(nil)} {
			request := newTestRequest("machine")
			request.Session = session
			if err := store.CreateAccessTokenSession(ctx, "signature of "+name, request); err != nil {
				t.Fatal(err)
			}
			got, err := store.GetAccessTokenSession(ctx, "signature of "+name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.GetSession() != nil {
				t.Errorf("%s came back as %#v", name, got.GetSession())
			}
		}
	})
}

func TestExpiryComesBackThoughTheSessionForgetsIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := context.Background(), e.storeWithClients(t, WithSessions(&forgetfulSession{}))
		want := time.Date(2031, 4, 13, 2, 30, 15, 0, time.UTC)
		request := newTestRequest("machine")
		request.Session = &forgetfulSession{Name: "ada"}
		request.Session.SetExpiresAt(fosite.AccessToken, want)
		request.Session.SetExpiresAt(fosite.RefreshToken, want.Add(time.Hour))
		if err := store.CreateAccessTokenSession(ctx, "access", request); err != nil {
			t.Fatal(err)
		}
		if err := store.CreateRefreshTokenSession(ctx, "refresh", "access", request); err != nil {
			t.Fatal(err)
		}
		access, err := store.GetAccessTokenSession(ctx, "access", nil)
		if err != nil {
			t.Fatal(err)
		}
		refresh, err := store.GetRefreshTokenSession(ctx, "refresh", nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, access.GetSession().GetExpiresAt(fosite.AccessToken)); diff != "" {
			t.Errorf("access token (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want.Add(time.Hour), refresh.GetSession().GetExpiresAt(fosite.RefreshToken)); diff != "" {
			t.Errorf("refresh token (-want +got):\n%s", diff)
		}
	})
}

func TestSessionThatIsBrokenInTheDatabaseIsAnErrorNotAnAbsence(t *testing.T) {
	_, err := defaultSessionTypes().unpack("", `{"expires_at": "no`, nil)
	if err == nil || !strings.Contains(err.Error(), "decode a *fosite.DefaultSession") {
		t.Errorf("error = %v", err)
	}
}

// ownMethodsSession answers by itself what it inherits from a pointer that may be nil.
type ownMethodsSession struct {
	*openid.DefaultSession
	Name string
}

func (s *ownMethodsSession) GetSubject() string    { return s.Name }
func (s *ownMethodsSession) Clone() fosite.Session { return s }

func TestSessionsOfAnyShapeComeBack(t *testing.T) {
	at := time.Date(2031, 4, 13, 2, 30, 15, 0, time.UTC)
	expires := map[fosite.TokenType]time.Time{fosite.AccessToken: at, fosite.RefreshToken: at, fosite.AuthorizeCode: at}
	onEachEngine(t, func(t *testing.T, e testEngine) {
		sessions := map[string]struct{ stored, empty fosite.Session }{
			"OpenID Connect": {
				&openid.DefaultSession{
					Claims:  &jwt.IDTokenClaims{Issuer: "https://example.com", Subject: "ada", AuthTime: at, Extra: map[string]any{"team": "blue"}},
					Headers: &jwt.Headers{Extra: map[string]any{"kid": "1"}}, ExpiresAt: expires, Username: "ada", Subject: "ada",
				},
				&openid.DefaultSession{Claims: &jwt.IDTokenClaims{}, Headers: &jwt.Headers{Extra: map[string]any{}}},
			},
			"JWT": {
				&oauth2.JWTSession{
					JWTClaims: &jwt.JWTClaims{Subject: "ada", Issuer: "https://example.com", Extra: map[string]any{"team": "blue"}},
					JWTHeader: &jwt.Headers{Extra: map[string]any{"kid": "1"}}, ExpiresAt: expires, Username: "ada", Subject: "ada",
				},
				&oauth2.JWTSession{},
			},
			"an embedded pointer": {
				&teamSession{&fosite.DefaultSession{ExpiresAt: expires, Subject: "ada", Extra: map[string]any{"team": "blue"}}, "blue"},
				&teamSession{DefaultSession: &fosite.DefaultSession{}},
			},
			"an embedded nil": {&ownMethodsSession{Name: "ada"}, &ownMethodsSession{}},
		}
		ctx, store := context.Background(), e.storeWithClients(t, WithSessions(&teamSession{}, &ownMethodsSession{}))
		for name, c := range sessions {
			request := newTestRequest("machine")
			request.ID, request.Session = "request of "+name, c.stored
			store.issue(t, name, request)
			code, err := store.GetAuthorizeCodeSession(ctx, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			access, err := store.GetAccessTokenSession(ctx, name, c.empty)
			if err != nil {
				t.Fatal(err)
			}
			refresh, err := store.GetRefreshTokenSession(ctx, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if access.GetSession() != c.empty {
				t.Errorf("%s: the session that was passed in empty was not filled", name)
			}
			for _, got := range []fosite.Requester{code, access, refresh} {
				if diff := cmp.Diff(c.stored, got.GetSession()); diff != "" {
					t.Errorf("%s (-stored +read):\n%s", name, diff)
				}
			}
		}
	})
}

func TestSessionThatHoldsSomethingIsNotTouched(t *testing.T) {
	prepared := &teamSession{DefaultSession: &fosite.DefaultSession{}}
	prepared.SetExpiresAt(fosite.AccessToken, time.Date(2031, 4, 13, 2, 30, 15, 0, time.UTC))
	got, err := defaultSessionTypes().with([]fosite.Session{&teamSession{}}).unpack("", `{"Subject":"ada","Team":"blue"}`, prepared)
	if err != nil {
		t.Fatal(err)
	}
	if got == fosite.Session(prepared) || prepared.Team != "" || got.(*teamSession).Team != "blue" {
		t.Errorf("prepared %+v, got %+v, want a session of its own", prepared, got)
	}
}

type hiddenSession struct{ fosite.DefaultSession }

func TestSessionThatCouldNotBeReadBackPanicsAtOnce(t *testing.T) {
	type hidden struct{ *hiddenSession }
	defer func() {
		if message, _ := recover().(string); !strings.Contains(message, "storage.hiddenSession") || !strings.Contains(message, "export it") {
			t.Errorf("panic %q, want one that names the embedded type and the remedy", message)
		}
	}()
	defaultSessionTypes().with([]fosite.Session{&hidden{}})
}

func TestPanicOfAHostsSessionIsNotHidden(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	expiry(&panickingSession{}, fosite.AccessToken)
}

type panickingSession struct{ fosite.DefaultSession }

func (*panickingSession) GetExpiresAt(fosite.TokenType) time.Time { panic("a mistake of the host's") }

func TestSessionThatIsNoPointerIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		request := newTestRequest("machine")
		request.Session = valueSession{&fosite.DefaultSession{}}
		if err := store.CreateAccessTokenSession(soon(t), "signature", request); err == nil || !strings.Contains(err.Error(), "pointer") {
			t.Errorf("error %v, want one that asks for a pointer", err)
		}
	})
}
