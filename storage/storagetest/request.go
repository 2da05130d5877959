package storagetest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
)

const (
	clientID      = "storagetest-client"
	otherClientID = "storagetest-other"
	keyIssuer     = "https://issuer.example.com"
	keySubject    = "service@example.com"
)

// Session is a session type that no store can know from fosite.
type Session struct {
	*fosite.DefaultSession
	Team string
}

// Clone implements [fosite.Session].
func (s *Session) Clone() fosite.Session {
	return &Session{DefaultSession: s.DefaultSession.Clone().(*fosite.DefaultSession), Team: s.Team}
}

var trustedKeys = sync.OnceValue(func() []TrustedKey {
	keys := make([]TrustedKey, 0, 2)
	for _, id := range []string{"first", "second"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, TrustedKey{
			Issuer: keyIssuer, Subject: keySubject, Scopes: []string{"mcp:search", id},
			Key: jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "RS256", Use: "sig"},
		})
	}
	return keys
})

func standardSetup() Setup {
	return Setup{
		Clients:  []*fosite.DefaultClient{newClient(clientID), newClient(otherClientID)},
		Sessions: []fosite.Session{&fosite.DefaultSession{}, &openid.DefaultSession{}, &oauth2.JWTSession{}, &Session{}},
		Keys:     trustedKeys(),
	}
}

func newClient(id string) *fosite.DefaultClient {
	return &fosite.DefaultClient{
		ID: id, Public: true, RedirectURIs: []string{"https://client.example.com/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		Scopes: []string{"mcp:search", "offline"}, Audience: []string{"https://mcp.example.com/mcp"},
	}
}

// newRequest is a request of the standard client with an id of its own, live for an hour.
func newRequest() *fosite.Request {
	now := time.Now().UTC().Truncate(time.Second)
	session := &fosite.DefaultSession{Subject: "ada", Username: "ada@example.com"}
	for _, kind := range []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken, fosite.AuthorizeCode} {
		session.SetExpiresAt(kind, now.Add(time.Hour))
	}
	return &fosite.Request{
		ID: "request-" + rand.Text(), RequestedAt: now, Client: newClient(clientID), Session: session,
		RequestedScope: fosite.Arguments{"mcp:search"}, GrantedScope: fosite.Arguments{"mcp:search"},
		Form: url.Values{},
	}
}

// newSignature is as long as fosite's HMAC signatures are.
func newSignature() string { return (rand.Text() + rand.Text())[:43] }

func emptySession() fosite.Session { return &fosite.DefaultSession{} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err is one of wanted.
func wantError(t *testing.T, what string, err error, wanted ...error) {
	t.Helper()
	for _, want := range wanted {
		if errors.Is(err, want) {
			return
		}
	}
	t.Errorf("%s: got error %v, want one of %v", what, err, wanted)
}

// wantRequest checks that got is the request that was stored.
func wantRequest(t *testing.T, what string, got fosite.Requester, err error, want *fosite.Request) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	wantSameRequest(t, what, got, want)
}

// wantSameRequest is for requests that come together with an error.
func wantSameRequest(t *testing.T, what string, got fosite.Requester, want *fosite.Request) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no request came back", what)
		return
	}
	if diff := cmp.Diff(want.ID, got.GetID()); diff != "" {
		t.Errorf("%s: request id (-want +got):\n%s", what, diff)
	}
	if client := got.GetClient(); client == nil || client.GetID() != want.Client.GetID() {
		t.Errorf("%s: client = %v, want %s", what, client, want.Client.GetID())
	}
}

// activeAccess and activeRefresh tell whether a token counts, and fail the test on an error that is no answer.
func activeAccess(t *testing.T, store Storage, signature string) bool {
	t.Helper()
	_, err := store.GetAccessTokenSession(context.Background(), signature, emptySession())
	return isActive(t, "access token", err)
}

func activeRefresh(t *testing.T, store Storage, signature string) bool {
	t.Helper()
	_, err := store.GetRefreshTokenSession(context.Background(), signature, emptySession())
	return isActive(t, "refresh token", err)
}

func isActive(t *testing.T, what string, err error) bool {
	t.Helper()
	if err != nil {
		wantError(t, what, err, fosite.ErrNotFound, fosite.ErrInactiveToken)
	}
	return err == nil
}

func wantActive(t *testing.T, what string, got, want bool) {
	t.Helper()
	if got != want {
		t.Errorf("%s: active = %v, want %v", what, got, want)
	}
}
