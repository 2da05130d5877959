package storage

import (
	"context"
	"testing"
	"time"

	"github.com/ory/fosite"
)

func TestStoredRequestsAreFositesOwn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx := context.Background()
		clients := newClientMap(&fosite.DefaultClient{ID: "machine"}, &fosite.DefaultClient{ID: "person"})
		for name, store := range map[string]*Store{"own clients": e.storeWithClients(t), "external clients": e.store(t, WithClients(clients))} {
			request := newTestRequest("person")
			store.issue(t, "signature", request)
			if err := store.CreatePKCERequestSession(ctx, "signature", request); err != nil {
				t.Fatal(err)
			}
			if err := store.CreateOpenIDConnectSession(ctx, "code", request); err != nil {
				t.Fatal(err)
			}
			authorization := newAuthorizeRequest("person")
			if err := store.CreatePARSession(ctx, "urn:request", authorization); err != nil {
				t.Fatal(err)
			}
			if err := store.SaveAuthorizeRequest(ctx, "cookie", authorization, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			for what, get := range map[string]func() (fosite.Requester, error){
				"access token":  func() (fosite.Requester, error) { return store.GetAccessTokenSession(ctx, "signature", nil) },
				"refresh token": func() (fosite.Requester, error) { return store.GetRefreshTokenSession(ctx, "signature", nil) },
				"code":          func() (fosite.Requester, error) { return store.GetAuthorizeCodeSession(ctx, "signature", nil) },
				"PKCE":          func() (fosite.Requester, error) { return store.GetPKCERequestSession(ctx, "signature", nil) },
				"OpenID":        func() (fosite.Requester, error) { return store.GetOpenIDConnectSession(ctx, "code", request) },
				"pushed":        func() (fosite.Requester, error) { return store.GetPARSession(ctx, "urn:request") },
				"kept":          func() (fosite.Requester, error) { return store.TakeAuthorizeRequest(ctx, "cookie", nil) },
				"used code": func() (fosite.Requester, error) {
					used := newTestRequest("person")
					used.ID = "used"
					store.issue(t, "used", used)
					if err := store.InvalidateAuthorizeCodeSession(ctx, "used"); err != nil {
						return nil, err
					}
					got, err := store.GetAuthorizeCodeSession(ctx, "used", nil)
					if err != fosite.ErrInvalidatedAuthorizeCode {
						t.Errorf("%s: a used code answers %v", name, err)
					}
					return got, nil
				},
				"revoked refresh token": func() (fosite.Requester, error) {
					other := newTestRequest("person")
					other.ID = "other"
					store.issue(t, "other", other)
					if err := store.RevokeRefreshToken(ctx, "other"); err != nil {
						return nil, err
					}
					got, err := store.GetRefreshTokenSession(ctx, "other", nil)
					if err != fosite.ErrInactiveToken {
						t.Errorf("%s: a revoked refresh token answers %v", name, err)
					}
					return got, nil
				},
			} {
				got, err := get()
				if err != nil {
					t.Fatalf("%s, %s: %v", name, what, err)
				}
				_, plain := got.(*fosite.Request)
				if what == "pushed" || what == "kept" {
					_, plain = got.(*fosite.AuthorizeRequest)
				}
				if !plain {
					t.Errorf("%s, %s: got a %T", name, what, got)
				}
				if store.external != nil && got.GetClient() != clients.clients["person"] {
					t.Errorf("%s, %s: the client is not the value that its manager gave", name, what)
				}
			}
		}
	})
}
