package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

func TestDecisions(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	for name, c := range map[string]struct {
		decision *handlers.Decision
		err      error
		code     string
	}{
		"denied":                      {&handlers.Decision{Denied: true}, nil, "access_denied"},
		"denied, with a subject":      {&handlers.Decision{Denied: true, Subject: "u1"}, nil, "access_denied"},
		"no scope allowed":            {&handlers.Decision{Subject: "u1", Scopes: []string{}}, nil, "access_denied"},
		"nobody logged in":            {&handlers.Decision{Err: fosite.ErrLoginRequired}, nil, "login_required"},
		"nothing allowed before":      {&handlers.Decision{Err: fosite.ErrConsentRequired}, nil, "consent_required"},
		"something to ask":            {&handlers.Decision{Err: fosite.ErrInteractionRequired}, nil, "interaction_required"},
		"an error and a subject":      {&handlers.Decision{Subject: "u1", Err: fosite.ErrLoginRequired}, nil, "login_required"},
		"allowed by nobody":           {&handlers.Decision{}, nil, "server_error"},
		"more than was asked for":     {&handlers.Decision{Subject: "u1", Scopes: []string{"mcp:search", "root"}}, nil, "server_error"},
		"an outage":                   {nil, errors.New("password=hunter2 rejected"), "temporarily_unavailable"},
		"an outage, with a decision":  {&handlers.Decision{Subject: "u1"}, errors.New("disk full"), "temporarily_unavailable"},
		"a secret in a debug message": {&handlers.Decision{Err: fosite.ErrLoginRequired.WithDebug("hunter2")}, nil, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			f.decide = func(http.ResponseWriter) (*handlers.Decision, error) { return c.decision, c.err }
			a := f.authorize()
			values := a.sentBack(t, callback)
			if values.Get("error") != c.code || values.Get("iss") != issuer || values.Get("state") != "s-1234567" || values.Has("code") {
				t.Errorf("got %v, want %s with iss and state", values, c.code)
			}
			if strings.Contains(a.header.Get("Location"), "hunter2") {
				t.Error("a secret in a URL")
			}
			if n := f.rows("authorize_sessions"); n != 0 {
				t.Errorf("%d rows were stored", n)
			}
		})
	}
}

// OpenID Connect Core §3.1.2.1.
func TestMaxAgeNeedsATimeOfLogin(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	for _, c := range []struct {
		maxAge string
		want   time.Duration
		asked  bool
	}{{"", 0, false}, {"0", 0, true}, {"3600", time.Hour, true}, {"4294967295", 4294967295 * time.Second, true}} {
		f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
			return &handlers.Decision{Subject: "u1", AuthenticatedAt: time.Now()}, nil
		}
		if values := f.authorize("max_age", c.maxAge).sentBack(t, callback); values.Get("code") == "" {
			t.Errorf("max_age=%s: got %v", c.maxAge, values)
		}
		if got := f.asked.MaxAge; (got != nil) != c.asked || got != nil && *got != c.want {
			t.Errorf("max_age=%s: Login was asked for %v", c.maxAge, got)
		}
		f.decide = func(http.ResponseWriter) (*handlers.Decision, error) { return &handlers.Decision{Subject: "u1"}, nil }
		if values := f.authorize("max_age", c.maxAge).sentBack(t, callback); (values.Get("error") == "login_required") != c.asked {
			t.Errorf("max_age=%s and a login at an unknown time: got %v", c.maxAge, values)
		}
	}
	if a := f.visit(authorizeQuery().Encode() + "&max_age=1&max_age=2"); a.sentBack(t, callback).Get("error") != "invalid_request" {
		t.Errorf("max_age twice: %s", a.header.Get("Location"))
	}
}

// The page before this endpoint may take a person for freshly logged in by mistake.
func TestAFreshLoginIsCheckedBehindTheLoginPage(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	now := time.Now()
	for name, c := range map[string]struct {
		parameters string
		at         time.Time
		want       string
	}{
		"nothing asked, no time":                    {"", time.Time{}, ""},
		"an account chosen, no time":                {"prompt=select_account", time.Time{}, ""},
		"prompt=login, no time":                     {"prompt=login", time.Time{}, "login_required"},
		"prompt=login, yesterday":                   {"prompt=login", now.Add(-24 * time.Hour), "login_required"},
		"prompt=login, before the consent page":     {"prompt=login", now.Add(-20 * time.Minute), ""},
		"prompt=login behind an empty one":          {"prompt=&prompt=login", time.Time{}, "login_required"},
		"prompt=login and a long max_age":           {"prompt=login&max_age=86400", now.Add(-20 * time.Hour), "login_required"},
		"prompt=login with another":                 {"prompt=consent+login", now.Add(-24 * time.Hour), "login_required"},
		"max_age, yesterday":                        {"max_age=600", now.Add(-24 * time.Hour), "login_required"},
		"max_age=0, yesterday":                      {"max_age=0", now.Add(-24 * time.Hour), "login_required"},
		"max_age=0, before the consent page":        {"max_age=0", now.Add(-20 * time.Minute), ""},
		"max_age of a day, this morning":            {"max_age=86400", now.Add(-20 * time.Hour), ""},
		"max_age behind an empty one, no time":      {"max_age=&max_age=0", time.Time{}, "login_required"},
		"max_age behind an empty one, an old login": {"max_age=&max_age=0", now.Add(-24 * time.Hour), "login_required"},
	} {
		f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
			return &handlers.Decision{Subject: "u1", AuthenticatedAt: c.at}, nil
		}
		values := f.visit(authorizeQuery().Encode()+"&"+c.parameters).sentBack(t, callback)
		if values.Get("error") != c.want || values.Has("code") != (c.want == "") {
			t.Errorf("%s: sent back with %v, want the error %q", name, values, c.want)
		}
	}
}

// The login was looked at, then the account ended: access_denied, not an outage, and nothing is stored.
func TestAnAccountThatEndsMeanwhileIsDenied(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
		user := &people.User{Username: "alice", PasswordHash: []byte("x")}
		if err := errors.Join(f.store.Users().Create(t.Context(), user), f.store.Users().Delete(t.Context(), "alice")); err != nil {
			return nil, err
		}
		return &handlers.Decision{Subject: user.ID}, nil
	}
	if values := f.authorize().sentBack(t, callback); values.Get("error") != "access_denied" || values.Has("code") {
		t.Errorf("got %v, want access_denied", values)
	}
	if n := f.rows("authorize_sessions"); n != 0 {
		t.Errorf("%d rows were stored", n)
	}
}

// rows counts the rows of a table.
func (f *fixture) rows(table string) (n int64) {
	f.t.Helper()
	if err := f.db.Table(table).Count(&n).Error; err != nil {
		f.t.Fatal(err)
	}
	return n
}

func TestNothingIsStoredBeforeTheDecision(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.decide = func(w http.ResponseWriter) (*handlers.Decision, error) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "the login page")
		return nil, nil
	}
	for range 3 {
		if a := f.authorize(); a.status != http.StatusTeapot || a.text != "the login page" {
			t.Errorf("got %d %s, want what Login answered", a.status, a.text)
		}
	}
	if n := f.rows("authorize_sessions") + f.rows("grants"); n != 0 {
		t.Errorf("%d rows were stored", n)
	}
}

// A session that cannot say whose it is would make a machine's token of a person's.
func TestASessionWithoutAPersonIsRefused(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	router := mux.NewRouter()
	err := (&handlers.Server{Provider: f.oauth, NewSession: func() fosite.Session { return &fosite.DefaultSession{} }, Login: f}).
		Mount(router.PathPrefix(basePath).Subrouter())
	if err == nil || !strings.Contains(err.Error(), "SetPerson") {
		t.Errorf("Mount: %v, want an error that names SetPerson", err)
	}
	f.router = router
	if a := f.authorize(); a.status != http.StatusNotFound {
		t.Errorf("got %d, want nothing there", a.status)
	}
}

// brokenAuthorize is a store of which one write of an authorization fails.
type brokenAuthorize struct {
	*storage.Store
	clients, code, pkce bool
}

func (s *brokenAuthorize) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.clients {
		return nil, errDisk
	}
	return s.Store.GetClient(ctx, id)
}

func (s *brokenAuthorize) CreateAuthorizeCodeSession(ctx context.Context, code string, r fosite.Requester) error {
	if s.code {
		return errDisk
	}
	return s.Store.CreateAuthorizeCodeSession(ctx, code, r)
}

func (s *brokenAuthorize) CreatePKCERequestSession(ctx context.Context, code string, r fosite.Requester) error {
	if s.pkce {
		return errDisk
	}
	return s.Store.CreatePKCERequestSession(ctx, code, r)
}

func TestAnOutageAtTheAuthorizationEndpoint(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	t.Run("before the client is known: a page with 503", func(t *testing.T) {
		f.serve(&brokenAuthorize{Store: f.store, clients: true})
		a := f.authorize()
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" {
			t.Errorf("got %d %v", a.status, a.header)
		}
	})
	for name, store := range map[string]*brokenAuthorize{
		"the code cannot be stored":      {Store: f.store, code: true},
		"the challenge cannot be stored": {Store: f.store, pkce: true},
	} {
		t.Run(name, func(t *testing.T) {
			f.serve(store)
			values := f.authorize().sentBack(t, callback)
			if values.Get("error") != "temporarily_unavailable" || values.Get("iss") != issuer {
				t.Errorf("got %v, want temporarily_unavailable", values)
			}
			if n := f.rows("authorize_sessions") + f.rows("grants"); n != 0 {
				t.Errorf("%d orphan rows were left", n)
			}
		})
	}
}
