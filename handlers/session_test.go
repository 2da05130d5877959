package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// What the host's login and its clients know goes with the tokens, through refreshes too, and replaces no standard member.
func TestAHostsFieldsTravelIntoTokens(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
		return &handlers.Decision{Subject: "u1", AuthenticatedAt: loggedInAt, Extra: map[string]any{"tenant": "acme", "sub": "root", "Active": false}}, nil
	}
	f.fill = func(_ context.Context, request fosite.Requester) error {
		request.GetSession().(*provider.Session).SetExtraClaims(map[string]any{"plan_of": request.GetClient().GetID(), "may": request.GetGrantedScopes()})
		return nil
	}
	person := f.login()
	login := f.inspect(person.access)
	for name, answer := range map[string]answer{"login": login, "refresh": f.inspect(f.tokens(refresh(person.refresh)).access)} {
		if answer.json["tenant"] != "acme" || answer.json["plan_of"] != "app" || answer.json["sub"] != "u1" || answer.json["active"] != true || answer.json["Active"] != nil {
			t.Errorf("%s: %s", name, answer.text)
		}
	}
	secret := f.client("ci")
	if answer := f.inspect(f.token("ci", secret)); answer.json["plan_of"] != "ci" || answer.json["tenant"] != nil {
		t.Errorf("a machine's: %s", answer.text)
	}
}

func TestAFailureToFillASessionIssuesNothing(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	secret := f.client("ci")
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"an outage":  {errors.New("tenants: connection refused"), http.StatusServiceUnavailable, "temporarily_unavailable"},
		"a decision": {fosite.ErrAccessDenied.WithHint("The tenant has not paid."), http.StatusForbidden, "access_denied"},
	} {
		f.fill = func(context.Context, fosite.Requester) error { return c.err }
		if a := f.do(post("/token", "grant_type", "client_credentials").basic("ci", secret)); a.status != c.status || a.json["error"] != c.code {
			t.Errorf("%s, a machine: %d %s", name, a.status, a.text)
		}
		if back := f.authorize().sentBack(t, callback); back.Get("error") != c.code {
			t.Errorf("%s, a person: %v", name, back)
		}
	}
	if n := f.rows("access_tokens") + f.rows("authorize_sessions"); n != 0 {
		t.Errorf("%d rows were stored", n)
	}
}

// forgetful can say whose it is, and keeps nothing else.
type forgetful struct{ *provider.Session }

func (forgetful) SetExtraClaims() {}

func TestExtraOfADecisionIsNeverLost(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
		return &handlers.Decision{Subject: "u1", Extra: map[string]any{"tenant": "acme"}}, nil
	}
	router := mux.NewRouter()
	err := (&handlers.Server{Provider: f.oauth, NewSession: func() fosite.Session { return forgetful{provider.NewSession()} }, Login: f}).
		Mount(router.PathPrefix(basePath).Subrouter())
	if err != nil {
		t.Fatal(err)
	}
	f.router = router
	if back := f.authorize().sentBack(t, callback); back.Get("error") != "server_error" {
		t.Errorf("got %v, want server_error", back)
	}
}
