package storagetest

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

var pushedCases = []testCase{
	{"what was never stored is ErrNotFound", func(t *testing.T, store Storage) {
		_, err := store.(fosite.PARStorage).GetPARSession(context.Background(), newRequestURI())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"a pushed request comes back whole until it is deleted", pushedComesBack},
	{"a pushed request that has expired is ErrNotFound", func(t *testing.T, store Storage) {
		// RFC 9126 §2.2; fosite does not look.
		ctx, requestURI, pushed := context.Background(), newRequestURI(), newPushedRequest()
		pushed.Session.SetExpiresAt(fosite.PushedAuthorizeRequestContext, time.Now().Add(-time.Second))
		must(t, store.(fosite.PARStorage).CreatePARSession(ctx, requestURI, pushed))
		_, err := store.(fosite.PARStorage).GetPARSession(ctx, requestURI)
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"a pushed request is used once", func(t *testing.T, store Storage) {
		// RFC 9126 §7.3; fosite reads it, then deletes it.
		ctx, requestURI, pars := context.Background(), newRequestURI(), store.(fosite.PARStorage)
		must(t, pars.CreatePARSession(ctx, requestURI, newPushedRequest()))
		must(t, pars.DeletePARSession(ctx, requestURI))
		if err := pars.DeletePARSession(ctx, requestURI); err == nil {
			t.Error("both of two that use it at the same time succeed")
		}
	}},
	{"credentials are not stored with it", func(t *testing.T, store Storage) {
		ctx, requestURI, pushed := context.Background(), newRequestURI(), newPushedRequest()
		pushed.Form.Set("client_secret", "hunter2")
		pushed.Form.Set("client_assertion", "eyJ…")
		must(t, store.(fosite.PARStorage).CreatePARSession(ctx, requestURI, pushed))
		got, err := store.(fosite.PARStorage).GetPARSession(ctx, requestURI)
		must(t, err)
		for _, name := range []string{"client_secret", "client_assertion"} {
			if got.GetRequestForm().Has(name) {
				t.Errorf("%s came back", name)
			}
		}
		if pushed.Form.Get("client_secret") != "hunter2" {
			t.Error("the request that was passed in has changed")
		}
	}},
}

func newRequestURI() string { return "urn:ietf:params:oauth:request_uri:" + newSignature() }

func newPushedRequest() *fosite.AuthorizeRequest {
	request := newRequest()
	request.Session.SetExpiresAt(fosite.PushedAuthorizeRequestContext, time.Now().UTC().Truncate(time.Second).Add(time.Minute))
	request.Form = url.Values{"response_type": {"code"}, "state": {"some-state"}, "code_challenge": {"E9Melhoa2Owv"}, "resource": {"https://mcp.example.com/mcp"}}
	redirectURI, _ := url.Parse("https://client.example.com/callback?keep=this") // a constant
	return &fosite.AuthorizeRequest{
		Request: *request, ResponseTypes: fosite.Arguments{"code", "id_token"}, RedirectURI: redirectURI, State: "some-state",
		ResponseMode: fosite.ResponseModeFormPost, DefaultResponseMode: fosite.ResponseModeFragment,
	}
}

func pushedComesBack(t *testing.T, store Storage) {
	ctx, requestURI, pushed, pars := context.Background(), newRequestURI(), newPushedRequest(), store.(fosite.PARStorage)
	must(t, pars.CreatePARSession(ctx, requestURI, pushed))
	got, err := pars.GetPARSession(ctx, requestURI)
	must(t, err)
	wantSameRequest(t, "get", got, &pushed.Request)
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"response types", got.GetResponseTypes(), pushed.ResponseTypes},
		{"redirect URI", got.GetRedirectURI().String(), pushed.RedirectURI.String()},
		{"state", got.GetState(), pushed.State},
		{"response mode", got.GetResponseMode(), pushed.ResponseMode},
		{"default response mode", got.GetDefaultResponseMode(), pushed.DefaultResponseMode},
		{"form", got.GetRequestForm(), pushed.Form},
		{"subject", got.GetSession().GetSubject(), "ada"},
	} {
		if diff := cmp.Diff(field.want, field.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field.name, diff)
		}
	}
	must(t, pars.DeletePARSession(ctx, requestURI))
	_, err = pars.GetPARSession(ctx, requestURI)
	wantError(t, "after delete", err, fosite.ErrNotFound)
}

var openIDCases = []testCase{
	{"what was never stored is ErrNoSessionFound", func(t *testing.T, store Storage) {
		// On any other error fosite refuses the whole token request, instead of leaving the id_token out.
		_, err := openIDStorage(store).GetOpenIDConnectSession(context.Background(), newCode(), newRequest())
		wantError(t, "get", err, openid.ErrNoSessionFound)
	}},
	{"a session is found by the whole code until it is deleted", func(t *testing.T, store Storage) {
		ctx, request, code := context.Background(), newRequest(), newCode()
		request.Session = &openid.DefaultSession{Subject: "ada", Claims: &jwt.IDTokenClaims{Nonce: "n-0S6_WzA2Mj"}}
		must(t, openIDStorage(store).CreateOpenIDConnectSession(ctx, code, request))
		asking := newRequest()
		asking.Session = &openid.DefaultSession{}
		got, err := openIDStorage(store).GetOpenIDConnectSession(ctx, code, asking)
		wantRequest(t, "get", got, err, request)
		if err == nil && got.GetSession().(openid.Session).IDTokenClaims().Nonce != "n-0S6_WzA2Mj" {
			t.Error("the nonce is lost")
		}
		must(t, openIDStorage(store).DeleteOpenIDConnectSession(ctx, code))
		_, err = openIDStorage(store).GetOpenIDConnectSession(ctx, code, asking)
		wantError(t, "after delete", err, openid.ErrNoSessionFound)
	}},
}

func openIDStorage(store Storage) openid.OpenIDConnectRequestStorage {
	return store.(openid.OpenIDConnectRequestStorage)
}

// newCode is a whole code, not only its signature.
func newCode() string { return "code_" + newSignature() + "." + newSignature() }
