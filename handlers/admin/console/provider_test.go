package console_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers/admin/console"
	"fosite-mcp/handlers/login"
	"fosite-mcp/storage/audit"

	"github.com/go-jose/go-jose/v4"
)

const origin = "http://127.0.0.1:8081"

// upstream is an OpenID Connect provider at which somebody is logged in.
type upstream struct {
	*httptest.Server
	t      *testing.T
	nonce  string
	groups []string
	now    func() time.Time
}

// upstreamKey is made once: it takes its time.
var upstreamKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newUpstream(t *testing.T, groups ...string) *upstream {
	u := &upstream{t: t, groups: groups, now: time.Now}
	routes := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	routes.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": u.URL, "authorization_endpoint": u.URL + "/authorize", "token_endpoint": u.URL + "/token", "jwks_uri": u.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	routes.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &upstreamKey().PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	routes.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != "good" || r.FormValue("redirect_uri") != origin+console.CallbackPath {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": u.idToken()})
	})
	u.Server = httptest.NewServer(routes)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) idToken() string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: upstreamKey(), KeyID: "k"}}, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": u.URL, "sub": "4711", "aud": "us", "nonce": u.nonce, "iat": u.now().Unix(), "exp": u.now().Add(time.Hour).Unix(),
		"preferred_username": "jane", "groups": u.groups})
	if err != nil {
		u.t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		u.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		u.t.Fatal(err)
	}
	return text
}

// roles lets groups of the provider in.
func (u *upstream) roles(roles ...console.GroupRole) func(*console.Console) {
	return func(c *console.Console) {
		u.now = c.API.Now
		options := login.OIDC{Issuer: u.URL, ClientID: "us", ClientSecret: "our secret", Name: "Example"}
		c.Origin = origin
		c.Provider = &console.Provider{Login: login.NewProvider(options, origin+console.CallbackPath, []byte(strings.Repeat("k", 32)), nil, c.API.Now), Roles: roles}
	}
}

var (
	platform = console.GroupRole{Group: "platform", Role: audit.RoleAdmin}
	helpdesk = console.GroupRole{Group: "helpdesk", Role: audit.RolePeople}
)

// goTo follows the link to the provider, and returns what the provider is asked.
func (b *browser) goTo(u *upstream) url.Values {
	b.t.Helper()
	link := b.page.link("Log in with Example")
	address, err := url.Parse(b.get(link).want(b.t, http.StatusSeeOther).Header.Get("Location"))
	if err != nil || !strings.HasPrefix(address.String(), u.URL+"/authorize?") {
		b.t.Fatalf("sent to %v, error %v", address, err)
	}
	query := address.Query()
	u.nonce = query.Get("nonce")
	return query
}

func (b *browser) comeBack(query url.Values) *answer {
	b.t.Helper()
	return b.get(console.CallbackPath + "?" + url.Values{"code": {"good"}, "state": {query.Get("state")}}.Encode())
}

func TestAPersonOfAGroupLogsIn(t *testing.T) {
	u := newUpstream(t, "staff", "platform")
	w := newWorld(t, u.roles(helpdesk, platform))
	id := w.client(`{"client_name":"Indexer"}`)
	b := w.browser()
	b.get("/console/clients?q=index").want(t, http.StatusUnauthorized)
	query := b.goTo(u)
	if attempt := b.page.Cookies()[0]; attempt.SameSite != http.SameSiteLaxMode || !attempt.HttpOnly || attempt.MaxAge != 600 {
		t.Errorf("cookie %v", attempt)
	}
	if query.Get("redirect_uri") != origin+"/console/login/callback" || query.Get("code_challenge_method") != "S256" {
		t.Errorf("asked for %v", query)
	}
	page := b.comeBack(query).want(t, http.StatusOK, "You are logged in", `href="/console/clients?q=index"`)
	if to := page.Header.Get("Refresh"); to != "0;url=/console/clients?q=index" {
		t.Errorf("it leads to %q", to)
	}
	b.get("/console/clients?q=index").want(t, http.StatusOK, "Indexer", "<strong>jane</strong> <span>(admin)")
	b.get("/console/clients/" + id + "/disable")
	b.submit("/console/clients/"+id+"/disable").want(t, http.StatusSeeOther)
	for _, action := range []string{"admin.logged_in", "client.disabled"} {
		if events := w.events(action); len(events) != 1 || events[0].Actor != "oidc|"+u.URL+"|4711" || events[0].IP == "" {
			t.Errorf("%s on record: %+v", action, events)
		}
	}
	b.comeBack(query).want(t, http.StatusForbidden) // once
}

func TestWhoIsInNoGroupStaysOut(t *testing.T) {
	u := newUpstream(t, "staff")
	w := newWorld(t, u.roles(platform))
	b := w.browser()
	b.get("/console/login")
	page := b.comeBack(b.goTo(u)).want(t, http.StatusForbidden, "in no group that may administer")
	for _, cookie := range page.Cookies() {
		if cookie.Name == "fosite_mcp_console" {
			t.Error("somebody is logged in")
		}
	}
	b.get("/console/").want(t, http.StatusUnauthorized)
	if events := w.events("admin.login_failed"); len(events) != 1 || !strings.Contains(string(events[0].Changes), "jane") {
		t.Errorf("on record: %+v", events)
	}
}

// The first role counts, and the roles of today: a group that is taken from the settings ends its people's sessions.
func TestTheRoleOfAGroupIsThatOfToday(t *testing.T) {
	u := newUpstream(t, "platform", "helpdesk")
	w := newWorld(t, u.roles(helpdesk, platform))
	b := w.browser()
	b.get("/console/login")
	b.comeBack(b.goTo(u)).want(t, http.StatusOK)
	b.get("/console/").want(t, http.StatusOK, "(people)")
	b.get("/console/new-client").want(t, http.StatusForbidden)
	w.pages.Provider.Roles = []console.GroupRole{platform}
	b.get("/console/").want(t, http.StatusOK, "(admin)")
	before := w.pages.Provider.Login
	w.pages.Provider.Login = login.NewProvider(login.OIDC{Issuer: "https://another.example"}, "", []byte(strings.Repeat("k", 32)), nil, nil)
	other := w.browser()
	other.cookies = b.cookies
	if page := other.get("/console/"); page.StatusCode != http.StatusUnauthorized {
		t.Errorf("a person of an earlier provider: status %d", page.StatusCode)
	}
	w.pages.Provider.Login = before
	b = w.browser()
	b.get("/console/login")
	b.comeBack(b.goTo(u)).want(t, http.StatusOK)
	w.pages.Provider.Roles = nil
	b.get("/console/").want(t, http.StatusUnauthorized)
	w.pages.Provider.Roles = []console.GroupRole{platform}
	b.get("/console/").want(t, http.StatusUnauthorized)
}

// Nobody hears from the provider that somebody has left a group.
func TestAPersonIsAskedForAgainAfterAnHour(t *testing.T) {
	u := newUpstream(t, "platform")
	w := newWorld(t, u.roles(platform))
	b := w.browser()
	b.get("/console/login")
	b.comeBack(b.goTo(u)).want(t, http.StatusOK)
	for range 2 {
		w.clock.advance(29 * time.Minute)
		b.get("/console/").want(t, http.StatusOK)
	}
	w.clock.advance(2 * time.Minute)
	b.get("/console/").want(t, http.StatusUnauthorized)
}

// slowBody is a form during which something happens.
type slowBody struct {
	io.ReadCloser
	meanwhile func()
}

func (b slowBody) Read(p []byte) (int, error) {
	b.meanwhile()
	return b.ReadCloser.Read(p)
}

// The kill switch for people ends an administrator, too.
func TestWhoIsKeptOutIsNoAdministrator(t *testing.T) {
	u := newUpstream(t, "platform")
	w := newWorld(t, u.roles(platform))
	id := w.client(`{"client_name":"Indexer"}`)
	b := w.browser()
	b.get("/console/login")
	b.comeBack(b.goTo(u)).want(t, http.StatusOK)
	b.get("/console/clients/"+id+"/disable").want(t, http.StatusOK)
	keepOut := func() {
		if _, err := w.store.Users().KeepOut(t.Context(), "oidc|"+u.URL+"|4711"); err != nil {
			t.Error(err)
		}
	}
	late := post("/console/clients/"+id+"/disable", b.form("/console/clients/"+id+"/disable"))
	late.Body = slowBody{late.Body, sync.OnceFunc(keepOut)} // a form that was begun before
	b.send(late).want(t, http.StatusUnauthorized, "Nothing was changed")
	if events := w.events("client.disabled"); len(events) > 0 {
		t.Errorf("on record: %+v", events)
	}
	b.get("/console/").want(t, http.StatusUnauthorized)
	b.get("/console/login")
	b.comeBack(b.goTo(u)).want(t, http.StatusForbidden, "An administrator keeps you out")
}

// Many proxies send a Host of their own. The page is at the address that the provider knows, and so are its cookies. A neighbouring host
// name could plant one without https, and have an administrator work in somebody else's name.
func TestALoginAtAnHTTPSAddressIsForHTTPSAlone(t *testing.T) {
	u := newUpstream(t, "platform")
	w := newWorld(t, u.roles(platform), func(c *console.Console) {
		options := login.OIDC{Issuer: u.URL, ClientID: "us", ClientSecret: "our secret", Name: "Example"}
		c.Origin = "https://admin.example.com"
		c.Provider.Login = login.NewProvider(options, origin+console.CallbackPath, []byte(strings.Repeat("k", 32)), nil, c.API.Now)
	})
	b := w.browser()
	b.get("/console/login")
	query := b.goTo(u)
	cookies := b.page.Cookies()
	b.comeBack(query).want(t, http.StatusOK)
	for _, cookie := range append(cookies, b.page.Cookies()...) {
		if cookie.MaxAge >= 0 && (!strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure) {
			t.Errorf("cookie %v", cookie)
		}
	}
	planted := w.browser()
	planted.cookies["fosite_mcp_console"] = b.cookies["__Host-fosite_mcp_console"]
	planted.get("https://admin.example.com/console/").want(t, http.StatusUnauthorized)
}

func TestAnswersOfOthersLogNobodyIn(t *testing.T) {
	u := newUpstream(t, "platform")
	w := newWorld(t, u.roles(platform))
	begun := func() (*browser, url.Values) {
		b := w.browser()
		b.get("/console/login")
		return b, b.goTo(u)
	}
	stranger, _ := begun()
	b, query := begun()
	for name, refused := range map[string]func() *answer{
		"with the state of another browser": func() *answer { return stranger.comeBack(query) },
		"in a browser that has begun none":  func() *answer { return w.browser().comeBack(query) },
		"of another issuer": func() *answer {
			b, query := begun()
			return b.get(console.CallbackPath + "?" + url.Values{"code": {"good"}, "state": {query.Get("state")}, "iss": {"https://evil.example"}}.Encode())
		},
		"with an error": func() *answer {
			b, query := begun()
			return b.get(console.CallbackPath + "?" + url.Values{"error": {"access_denied"}, "state": {query.Get("state")}}.Encode())
		},
		"too late": func() *answer {
			b, query := begun()
			w.clock.advance(10 * time.Minute)
			return b.comeBack(query)
		},
	} {
		if page := refused(); page.StatusCode != http.StatusForbidden || len(w.events("admin.logged_in")) > 0 {
			t.Errorf("an answer %s: status %d", name, page.StatusCode)
		}
	}
	u.Close()
	b.comeBack(query).want(t, http.StatusForbidden) // began too long ago
	b.get("/console/login")
	down := newWorld(t, u.roles(platform)).browser()
	down.get("/console/login")
	if page := down.get("/console/login/provider").want(t, http.StatusServiceUnavailable, "does not answer"); page.Header.Get("Retry-After") == "" {
		t.Errorf("%v", page.Header)
	}
	without := newWorld(t).browser()
	without.get("/console/login/provider").want(t, http.StatusNotFound)
	without.get("/console/login/callback?code=good&state=x").want(t, http.StatusNotFound)
}
