package storage

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

// newAuthorizeRequest is what fosite makes of a request to the authorization endpoint.
func newAuthorizeRequest(clientID string) *fosite.AuthorizeRequest {
	request := fosite.NewAuthorizeRequest()
	request.ID, request.Client = "authorization of "+clientID, &fosite.DefaultClient{ID: clientID}
	request.RequestedAt = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	request.ResponseTypes, request.State = fosite.Arguments{"code", "id_token"}, "state of the client"
	request.ResponseMode, request.DefaultResponseMode = fosite.ResponseModeFormPost, fosite.ResponseModeFragment
	request.RedirectURI = &url.URL{Scheme: "http", Host: "localhost:4711", Path: "/callback", RawQuery: "from=mcp"}
	request.RequestedScope, request.GrantedScope = fosite.Arguments{"mcp:search", "openid"}, fosite.Arguments{"openid"}
	request.RequestedAudience, request.GrantedAudience = fosite.Arguments{"https://example.com/mcp"}, fosite.Arguments{}
	request.Form = url.Values{
		"client_id": {clientID}, "resource": {"https://example.com/mcp", "https://example.com/other"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "prompt": {"login consent"}, "empty": {""},
	}
	request.Session = &openid.DefaultSession{
		Subject: "ada", Claims: &jwt.IDTokenClaims{Subject: "ada", Extra: map[string]any{"team": "blue"}}, Headers: &jwt.Headers{},
	}
	return request
}

func TestAuthorizeRequestComesBackOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		store := e.storeWithClients(t, WithClock(clock.now))
		saved := newAuthorizeRequest("person")
		if err := store.SaveAuthorizeRequest(ctx, "cookie", saved, clock.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.TakeAuthorizeRequest(ctx, "another cookie", nil); err != fosite.ErrNotFound {
			t.Errorf("with another key: error %v, want %v", err, fosite.ErrNotFound)
		}
		session := &openid.DefaultSession{}
		got, err := store.TakeAuthorizeRequest(ctx, "cookie", session)
		if err != nil {
			t.Fatal(err)
		}
		if got.GetSession() != fosite.Session(session) {
			t.Error("the session that was passed in was not filled")
		}
		if id := got.GetClient().GetID(); id != "person" {
			t.Errorf("client %q, want person", id)
		}
		want := *saved
		want.Client = got.GetClient()
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(want.Lang), cmp.Comparer(func(a, b fosite.Client) bool { return a == b })); diff != "" {
			t.Errorf("(-saved +taken):\n%s", diff)
		}
		if _, err := store.TakeAuthorizeRequest(ctx, "cookie", nil); err != fosite.ErrNotFound {
			t.Errorf("second time: error %v, want %v", err, fosite.ErrNotFound)
		}
	})
}

func TestKeptAuthorizeRequestEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		store := e.storeWithClients(t, WithClock(clock.now))
		for _, c := range []struct {
			key, client string
			end         func() error
		}{
			{"expired", "machine", func() error { clock.forward(time.Hour); return nil }},
			{"disabled", "person", func() error {
				_, err := store.db.Run(ctx, `UPDATE {clients} SET status = 'disabled', version = version + 1 WHERE id = 'person'`)
				return err
			}},
		} {
			if err := store.SaveAuthorizeRequest(ctx, c.key, newAuthorizeRequest(c.client), clock.now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := c.end(); err != nil {
				t.Fatal(err)
			}
			if _, err := store.TakeAuthorizeRequest(ctx, c.key, nil); err != fosite.ErrNotFound {
				t.Errorf("%s: error %v, want %v", c.key, err, fosite.ErrNotFound)
			}
		}
		clock.forward(2 * time.Hour)
		deleted, err := store.CleanUp(ctx, CleanUp{})
		if err != nil || deleted != 2 {
			t.Errorf("clean-up deleted %d (%v), want both", deleted, err)
		}
	})
}

func TestAuthorizeRequestIsKeptWithoutWhatOpensSomething(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := context.Background(), e.storeWithClients(t)
		request := newAuthorizeRequest("person")
		request.Form.Set("client_secret", "secret of the client")
		if err := store.SaveAuthorizeRequest(ctx, "cookie", request, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var found int
		err := store.db.QueryRow(ctx, `SELECT COUNT(*) FROM {authorize_sessions} WHERE form LIKE '%secret of%' OR form LIKE '%client_secret%' OR signature = ?`,
			[]byte("cookie")).Scan(&found)
		if err != nil || found != 0 {
			t.Errorf("%d rows hold the secret or the key (%v)", found, err)
		}
		if err := store.SaveAuthorizeRequest(ctx, "", request, time.Now().Add(time.Hour)); err == nil {
			t.Error("an empty key was taken")
		}
		if err := store.SaveAuthorizeRequest(ctx, "for ever", request, time.Time{}); err == nil {
			t.Error("a request without an end was taken")
		}
	})
}

func TestOneOfManyTakesAnAuthorizeRequest(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		for range 20 {
			if err := store.SaveAuthorizeRequest(soon(t), "cookie", newAuthorizeRequest("person"), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			var taken atomic.Int32
			var done sync.WaitGroup
			for range 8 {
				done.Go(func() {
					switch _, err := store.TakeAuthorizeRequest(soon(t), "cookie", nil); {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, fosite.ErrNotFound):
						t.Error(err)
					}
				})
			}
			done.Wait()
			if n := taken.Load(); n != 1 {
				t.Fatalf("%d have taken it, want one", n)
			}
		}
	})
}
