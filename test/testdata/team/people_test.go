package team

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// visitor is who the team's own cookie names.
type visitor struct {
	ID, Name   string
	LoggedInAt time.Time
}

// staff is the team's own login, which knows who is there and what they have allowed.
type staff struct {
	who     func(r *http.Request) (*visitor, error)
	allowed func(ctx context.Context, person, clientID string, scopes, resources []string) (bool, error)
}

func (s *staff) Authorize(w http.ResponseWriter, r *http.Request, request handlers.AuthorizationRequest) (*handlers.Decision, error) {
	silent := slices.Contains(request.Prompt, "none")
	person, err := s.who(r)
	switch {
	case err != nil:
		return nil, err // an outage, and never a refusal
	case (person == nil || !request.AcceptsLogin(person.LoggedInAt, time.Now())) && silent:
		return &handlers.Decision{Err: fosite.ErrLoginRequired}, nil
	case person == nil || !request.AcceptsLogin(person.LoggedInAt, time.Now()):
		return nil, sendTo(w, r, "/login")
	}
	allowed, err := s.allowed(r.Context(), person.ID, request.Client.GetID(), request.Scopes, request.Resources)
	switch {
	case err != nil:
		return nil, err
	case !allowed && silent:
		return &handlers.Decision{Err: fosite.ErrConsentRequired}, nil
	case !allowed:
		return nil, sendTo(w, r, "/consent")
	}
	return &handlers.Decision{Subject: person.ID, Username: person.Name, AuthenticatedAt: person.LoggedInAt}, nil
}

// sendTo shows a page of the team's, which sends the browser back to this very URL.
func sendTo(w http.ResponseWriter, r *http.Request, page string) error {
	http.Redirect(w, r, page+"?back="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	return nil
}

// withPeople is the team's server for people, services that follow the feed, and proxies.
func withPeople(store *storage.Store, login handlers.Login, secret []byte, stopping <-chan struct{}) (*handlers.Server, error) {
	resources := provider.Resources{Known: []string{docs}, Default: docs}
	oauth, err := provider.New(store, provider.Options{
		SystemSecret: secret, Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/oauth2/token", Resources: resources,
	})
	if err != nil {
		return nil, err
	}
	return &handlers.Server{
		Provider: oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: "https://auth.example.com",
		Login:       login,
		ForwardAuth: &handlers.ForwardAuth{Resources: resources.Known, Default: resources.Default},
		Revocations: &handlers.Revocations{
			Read: func(ctx context.Context, cursor string, resources []string, limit int) (page handlers.RevocationPage, err error) {
				found, err := store.Revocations(ctx, cursor, resources, limit)
				if err != nil {
					return page, err
				}
				page = handlers.RevocationPage{Cursor: found.Cursor, More: found.More, Reset: found.Reset}
				for _, ended := range found.Revocations {
					page.Revocations = append(page.Revocations, handlers.RevocationEntry(ended))
				}
				return page, nil
			},
			Changed:  store.HasRevocations,
			Stopping: stopping, // is closed when the program ends
		},
	}, nil
}

// A person of the team's gets a token by the team's own pages, a proxy lets it through, and the feed tells of its end.
func TestTheirPeopleLogInTheirOwnWay(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		store := storage.New(db.DB, storage.WithSessions(&provider.Session{}))
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		allowed := false
		login := &staff{
			who: func(r *http.Request) (*visitor, error) {
				if _, err := r.Cookie("staff"); err != nil {
					return nil, nil
				}
				return &visitor{ID: "ada", Name: "Ada", LoggedInAt: time.Now()}, nil
			},
			allowed: func(context.Context, string, string, []string, []string) (bool, error) { return allowed, nil },
		}
		server, err := withPeople(store, login, []byte(strings.Repeat("s", 32)), nil)
		if err != nil {
			t.Fatal(err)
		}
		router := mux.NewRouter()
		if err := server.Mount(router); err != nil {
			t.Fatal(err)
		}
		const callback, challenge = "https://app.example.com/callback", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
		hash, err := provider.NewSecretHasher().Hash(t.Context(), []byte("sesame"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client.Client{
			{ID: "app", Name: "App", TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, RedirectURIs: []string{callback}, Scope: []string{"mcp:search"}, Audience: []string{docs}},
			{ID: "machine", Name: "Docs", TokenEndpointAuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"}, Introspects: []string{docs}, Secrets: []client.Secret{{Hash: hash}}},
		} {
			if err := store.Clients().Create(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		serve := func(r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			return w
		}
		authorize := func(cookie string, more url.Values) *url.URL {
			t.Helper()
			query := url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
			for name, values := range more {
				query[name] = values
			}
			r := httptest.NewRequest(http.MethodGet, "/authorize?"+query.Encode(), nil)
			if cookie != "" {
				r.AddCookie(&http.Cookie{Name: "staff", Value: cookie})
			}
			w := serve(r)
			location, err := url.Parse(w.Header().Get("Location"))
			if err != nil || w.Code != http.StatusSeeOther {
				t.Fatalf("%d %s, %v", w.Code, w.Body, err)
			}
			return location
		}
		none := url.Values{"prompt": {"none"}}
		for want, location := range map[string]string{
			"/login":           authorize("", nil).Path,
			"login_required":   authorize("", none).Query().Get("error"),
			"/consent":         authorize("ada", nil).Path,
			"consent_required": authorize("ada", none).Query().Get("error"),
		} {
			if location != want {
				t.Errorf("the browser is sent to %s, want %s", location, want)
			}
		}
		allowed = true
		code := authorize("ada", nil).Query().Get("code")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"app"}, "redirect_uri": {callback}, "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		var answer struct {
			Token string `json:"access_token"`
		}
		if w := serve(r); json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Token == "" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		r = httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.Header.Set("Authorization", "Bearer "+answer.Token)
		if w := serve(r); w.Code != http.StatusNoContent || w.Header().Get("X-Auth-Subject") != "ada" {
			t.Errorf("the proxy hears %d, %v", w.Code, w.Header())
		}
		feed := func(after string) (page struct {
			Cursor      string
			Revocations []struct{ Kind string }
		}) {
			r := request(nil)
			r.Method, r.URL.Path, r.URL.RawQuery = http.MethodGet, "/revocations", url.Values{"after": {after}}.Encode()
			if w := serve(r); w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &page) != nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return page
		}
		cursor := feed("now").Cursor
		form = url.Values{"token": {answer.Token}, "client_id": {"app"}}
		r = httptest.NewRequest(http.MethodPost, "/revoke", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if w := serve(r); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if told := feed(cursor).Revocations; len(told) != 1 || told[0].Kind != "token" {
			t.Errorf("the feed tells %v", told)
		}
	})
}
