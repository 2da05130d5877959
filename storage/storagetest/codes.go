package storagetest

import (
	"context"
	"testing"

	"github.com/ory/fosite"
)

var authorizeCodeCases = []testCase{
	{"what was never stored is ErrNotFound", func(t *testing.T, store Storage) {
		_, err := store.GetAuthorizeCodeSession(context.Background(), newSignature(), emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"what was stored comes back", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, signature, request))
		got, err := store.GetAuthorizeCodeSession(ctx, signature, emptySession())
		wantRequest(t, "get", got, err, request)
	}},
	{"a used one is ErrInvalidatedAuthorizeCode, with its request", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, signature, request))
		must(t, store.InvalidateAuthorizeCodeSession(ctx, signature))
		// fosite revokes what the code has led to through this request.
		for _, session := range []fosite.Session{emptySession(), nil} {
			got, err := store.GetAuthorizeCodeSession(ctx, signature, session)
			wantError(t, "get", err, fosite.ErrInvalidatedAuthorizeCode)
			wantSameRequest(t, "get", got, request)
		}
	}},
	{"it is used once", func(t *testing.T, store Storage) {
		ctx, signature := context.Background(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, signature, newRequest()))
		must(t, store.InvalidateAuthorizeCodeSession(ctx, signature))
		err := store.InvalidateAuthorizeCodeSession(ctx, signature)
		wantError(t, "second use", err, fosite.ErrInvalidatedAuthorizeCode, fosite.ErrNotFound)
	}},
	{"using up what does not exist fails", func(t *testing.T, store Storage) {
		err := store.InvalidateAuthorizeCodeSession(context.Background(), newSignature())
		wantError(t, "use", err, fosite.ErrInvalidatedAuthorizeCode, fosite.ErrNotFound)
	}},
	{"an empty signature matches nothing", func(t *testing.T, store Storage) {
		ctx := context.Background()
		_ = store.CreateAuthorizeCodeSession(ctx, "", newRequest()) // may be refused or ignored
		_, err := store.GetAuthorizeCodeSession(ctx, "", emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
		err = store.InvalidateAuthorizeCodeSession(ctx, "")
		wantError(t, "use", err, fosite.ErrInvalidatedAuthorizeCode, fosite.ErrNotFound)
	}},
}

var pkceCases = []testCase{
	{"what was never stored is ErrNotFound", func(t *testing.T, store Storage) {
		_, err := store.GetPKCERequestSession(context.Background(), newSignature(), emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"the challenge comes back", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		request.Form.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		request.Form.Set("code_challenge_method", "S256")
		must(t, store.CreatePKCERequestSession(ctx, signature, request))
		for _, session := range []fosite.Session{emptySession(), nil} {
			got, err := store.GetPKCERequestSession(ctx, signature, session)
			wantRequest(t, "get", got, err, request)
			if err == nil && got.GetRequestForm().Get("code_challenge") != request.Form.Get("code_challenge") {
				t.Errorf("the challenge came back as %q", got.GetRequestForm().Get("code_challenge"))
			}
		}
	}},
	{"it outlives the code that was used", func(t *testing.T, store Storage) {
		// Were it gone, fosite would redeem the code without a verifier.
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, signature, request))
		must(t, store.CreatePKCERequestSession(ctx, signature, request))
		must(t, store.InvalidateAuthorizeCodeSession(ctx, signature))
		must(t, store.RevokeRefreshToken(ctx, request.ID))
		must(t, store.RevokeAccessToken(ctx, request.ID))
		got, err := store.GetPKCERequestSession(ctx, signature, emptySession())
		wantRequest(t, "get", got, err, request)
	}},
	{"deleting it leaves the code", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, signature, request))
		must(t, store.CreatePKCERequestSession(ctx, signature, request))
		must(t, store.DeletePKCERequestSession(ctx, signature))
		got, err := store.GetAuthorizeCodeSession(ctx, signature, emptySession())
		wantRequest(t, "the code", got, err, request)
	}},
	{"an empty signature matches nothing", func(t *testing.T, store Storage) {
		ctx := context.Background()
		_ = store.CreatePKCERequestSession(ctx, "", newRequest()) // may be refused or ignored
		_, err := store.GetPKCERequestSession(ctx, "", emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
}
