package login_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers/login"

	"github.com/go-jose/go-jose/v4"
)

// upstream is an OpenID Connect provider that tests control.
type upstream struct {
	*httptest.Server
	t         *testing.T
	key       *rsa.PrivateKey
	claims    map[string]any // changes of the next ID token; nil removes a claim
	signWith  *rsa.PrivateKey
	algorithm jose.SignatureAlgorithm
	status    int // of every answer; 0: what is right
	now       func() time.Time
	challenge string
	nonce     string
}

// upstreamKey is made once: it takes its time.
var upstreamKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, key: upstreamKey(), claims: map[string]any{}, algorithm: jose.RS256, now: time.Now}
	routes := http.NewServeMux()
	routes.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		u.answer(w, map[string]any{
			"issuer": u.URL, "authorization_endpoint": u.URL + "/authorize", "token_endpoint": u.URL + "/token", "jwks_uri": u.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	routes.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		u.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &u.key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	routes.HandleFunc("/token", u.token)
	u.Server = httptest.NewServer(routes)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if u.status != 0 {
		w.WriteHeader(u.status)
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (u *upstream) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret) // RFC 6749 §2.3.1
	verifier := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if id != "us" || secret != "our secret" || r.FormValue("code") != "good" || base64.RawURLEncoding.EncodeToString(verifier[:]) != u.challenge ||
		r.FormValue("redirect_uri") != origin+base+"/login/callback" {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{
		"iss": u.URL, "sub": "248289761001", "aud": "us", "nonce": u.nonce, "iat": u.now().Unix(), "exp": u.now().Add(time.Hour).Unix(),
		"preferred_username": "jane", "groups": []string{"staff", "docs"},
	}
	for name, value := range u.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	body := map[string]any{"access_token": "at", "token_type": "Bearer"}
	if _, without := u.claims["without"]; !without {
		body["id_token"] = u.sign(claims)
	}
	u.answer(w, body)
}

func (u *upstream) sign(claims map[string]any) string {
	var key any = u.key
	switch {
	case u.signWith != nil:
		key = u.signWith
	case u.algorithm == jose.HS256:
		key = []byte("our secret and then some more of it")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: u.algorithm, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		u.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		u.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		u.t.Fatal(err)
	}
	return text
}

func (u *upstream) option(o *login.Options) {
	o.OIDC = &login.OIDC{Issuer: u.URL, ClientID: "us", ClientSecret: "our secret", Name: "Example"}
}

// goTo clicks the provider's button and returns where the provider was asked.
func (b *browser) goTo(u *upstream) url.Values {
	b.site.t.Helper()
	for a := range elements(b.page, "a") {
		if strings.HasPrefix(attribute(a, "href"), base+"/login/oidc?") {
			b.once(http.MethodGet, attribute(a, "href"), nil, nil)
			location, err := url.Parse(b.answer.Header.Get("Location"))
			if err != nil || !strings.HasPrefix(location.String(), u.URL+"/authorize?") {
				b.site.t.Fatalf("status %d, sent to %q", b.answer.StatusCode, location)
			}
			query := location.Query()
			u.challenge, u.nonce = query.Get("code_challenge"), query.Get("nonce")
			return query
		}
	}
	b.site.t.Fatalf("there is no button for the provider:\n%s", b.body)
	return nil
}

func (b *browser) comeBack(edits ...string) *browser {
	query := url.Values{"code": {"good"}}
	for i := 0; i < len(edits); i += 2 {
		query.Set(edits[i], edits[i+1])
	}
	return b.get(base + "/login/callback?" + query.Encode())
}

func TestLoginThroughTheProvider(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request()).wantPage(200, "Log in")
	query := b.goTo(u)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "us", "scope": "openid profile", "code_challenge_method": "S256", "redirect_uri": origin + base + "/login/callback", "prompt": "",
	} {
		if got := query.Get(name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	b.comeBack("state", query.Get("state"), "iss", u.URL).wantPage(200, "Allow The app?")
	b.submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	if d := s.decided; d.Subject != "oidc|"+u.URL+"|248289761001" || d.Username != "jane" || !slices.Equal(d.Groups, []string{"staff", "docs"}) {
		t.Errorf("decided %+v", d)
	}
	b.comeBack("state", query.Get("state")).wantPage(400, "That did not work") // once
}

func TestAnswersThatProveNothingAreRefused(t *testing.T) {
	strange, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*upstream) {
		return func(u *upstream) { u.claims[name] = value }
	}
	tests := []struct {
		name   string
		change func(u *upstream)
		answer []string
	}{
		{"nonce of another login", claim("nonce", "another"), nil},
		{"no nonce", claim("nonce", nil), nil},
		{"another issuer", claim("iss", "https://evil.example"), nil},
		{"another audience", claim("aud", "them"), nil},
		{"several audiences and no azp", claim("aud", []string{"us", "them"}), nil},
		{"another authorized party", claim("azp", "them"), nil},
		{"expired", claim("exp", 1), nil},
		{"no subject", claim("sub", nil), nil},
		{"a subject that cannot be shown", claim("sub", "a\u202eb"), nil},
		{"another key", func(u *upstream) { u.signWith = strange }, nil},
		{"another algorithm", func(u *upstream) { u.algorithm = jose.HS256 }, nil},
		{"no ID token", claim("without", true), nil},
		{"a code that is not good", nil, []string{"code", "bad"}},
		{"a code of another challenge", func(u *upstream) { u.challenge = "another" }, nil},
		{"iss of another provider", nil, []string{"iss", "https://evil.example"}},
		{"a refusal", nil, []string{"error", "access_denied"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := newUpstream(t)
			s := newSite(t, u.option)
			u.now = func() time.Time { return s.clock }
			b := s.browser().get(request())
			state := b.goTo(u).Get("state")
			if test.change != nil {
				test.change(u)
			}
			b.comeBack(append(test.answer, "state", state)...).wantPage(403, "Log in")
			if b.session() != "" {
				t.Error("somebody was logged in")
			}
		})
	}
}

func TestAStateBelongsToOneBrowserAndOneLogin(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	attacker := s.browser().get(request())
	stolen := attacker.goTo(u).Get("state")
	const heading = "That did not work"
	victim := s.browser().get(request())
	victim.comeBack("state", stolen).wantPage(400, heading)
	victim.get(request()).goTo(u)
	for _, state := range []string{stolen, "", "x", stolen[:8], stolen[:8] + strings.Repeat("A", 18), strings.Repeat("/", 26)} {
		victim.comeBack("state", state).wantPage(400, heading)
	}
	if victim.session() != "" {
		t.Error("somebody was logged in")
	}
	late := attacker.get(request())
	state := late.goTo(u).Get("state")
	s.clock = s.clock.Add(10 * time.Minute)
	late.comeBack("state", state).wantPage(400, heading)
}

func TestTwoLoginsAtOnce(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request())
	first := b.goTo(u).Get("state")
	challenge, nonce := u.challenge, u.nonce
	b.get(request("prompt", "consent")).goTo(u)
	u.challenge, u.nonce = challenge, nonce
	b.comeBack("state", first).wantPage(200, "Allow The app?")
}

func TestLoginsThatWereGivenUpDoNotPileUp(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	b := s.browser()
	for range 20 {
		b.get(request()).goTo(u)
		if len(b.cookies) > 6 {
			t.Fatalf("%d cookies", len(b.cookies))
		}
	}
	b.comeBack("state", b.get(request()).goTo(u).Get("state")).wantPage(200, "Allow The app?")
}

func TestTheProviderMayBeDown(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	u.status = http.StatusServiceUnavailable
	b := s.browser().get(request()).wantPage(200, "Log in")
	b.get(base+"/login/oidc?continue="+url.QueryEscape(request())).wantPage(503, "Log in")
	if !strings.Contains(b.body, "Example does not answer") || b.answer.Header.Get("Retry-After") == "" {
		t.Errorf("the page does not say so:\n%s", b.body)
	}
	u.status = 0
	s.clock = s.clock.Add(5 * time.Second)
	state := b.goTo(u).Get("state")
	u.status = http.StatusBadGateway
	b.comeBack("state", state).wantPage(503, "Log in")
	u.status = 0
	state = b.goTo(u).Get("state")
	b.comeBack("state", state).wantPage(200, "Allow The app?")
}

func TestWhatTheClientAsksOfTheLoginIsPassedOnToTheProvider(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	for _, c := range []struct{ prompt, maxAge, wantPrompt, wantMaxAge string }{
		{"", "", "", ""},
		{"login", "", "login", "0"},
		{"login", "600", "login", "0"},
		{"", "0", "", "0"},
		{"", "600", "", "600"},
		{"consent", "", "", ""},
		{"select_account", "", "select_account", ""},
		{"consent select_account login", "", "select_account login", "0"},
	} {
		query := s.browser().get(request("prompt", c.prompt, "max_age", c.maxAge)).goTo(u)
		if query.Get("prompt") != c.wantPrompt || query.Get("max_age") != c.wantMaxAge {
			t.Errorf("%+v: asked the provider for prompt=%q and max_age=%q", c, query.Get("prompt"), query.Get("max_age"))
		}
	}
}

// OpenID Connect Core §3.1.2.1 and §2: the ID token has to say when.
func TestAFreshLoginAtTheProviderIsProven(t *testing.T) {
	for _, c := range []struct {
		name   string
		demand []string
		claim  func(now int64) any
		said   string // in the page; empty: accepted
	}{
		{"prompt=login, now", []string{"prompt", "login"}, func(now int64) any { return now }, ""},
		{"prompt=login, by a clock that is behind", []string{"prompt", "login"}, func(now int64) any { return now - 30 }, ""},
		{"prompt=login, by a clock that is ahead", []string{"prompt", "login"}, func(now int64) any { return now + 30 }, ""},
		{"prompt=login, with a fraction", []string{"prompt", "login"}, func(now int64) any { return float64(now) - 0.5 }, ""},
		{"max_age, as old as allowed", []string{"max_age", "600"}, func(now int64) any { return now - 600 }, ""},
		{"max_age=0, now", []string{"max_age", "0"}, func(now int64) any { return now }, ""},

		{"prompt=login, nothing", []string{"prompt", "login"}, func(int64) any { return nil }, "must put auth_time into its ID tokens"},
		{"max_age, nothing", []string{"max_age", "600"}, func(int64) any { return nil }, "must put auth_time into its ID tokens"},
		{"a long max_age, nothing", []string{"max_age", "4294967295"}, func(int64) any { return nil }, "must put auth_time into its ID tokens"},
		{"prompt=login, zero", []string{"prompt", "login"}, func(int64) any { return 0 }, "must put auth_time"},
		{"prompt=login, negative", []string{"prompt", "login"}, func(int64) any { return -1 }, "must put auth_time"},
		{"prompt=login, in the future", []string{"prompt", "login"}, func(now int64) any { return now + 3600 }, "must put auth_time"},
		{"prompt=login, in milliseconds", []string{"prompt", "login"}, func(now int64) any { return now * 1000 }, "must put auth_time"},
		{"prompt=login, out of all bounds", []string{"prompt", "login"}, func(int64) any { return 1e300 }, "must put auth_time"},
		{"prompt=login, text", []string{"prompt", "login"}, func(int64) any { return "now" }, "must put auth_time"},
		{"prompt=login, true", []string{"prompt", "login"}, func(int64) any { return true }, "must put auth_time"},
		{"prompt=login, an hour ago", []string{"prompt", "login"}, func(now int64) any { return now - 3600 }, "with an older one"},
		{"prompt=login, two minutes ago", []string{"prompt", "login"}, func(now int64) any { return now - 120 }, "with an older one"},
		{"max_age, too old", []string{"max_age", "600"}, func(now int64) any { return now - 700 }, "with an older one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUpstream(t)
			s := newSite(t, u.option)
			u.now = func() time.Time { return s.clock }
			u.claims["auth_time"] = c.claim(s.clock.Unix())
			b := s.browser().get(request(c.demand...))
			b.comeBack("state", b.goTo(u).Get("state"))
			if c.said == "" {
				b.wantPage(200, "Allow The app?").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
				if at := s.decided.AuthenticatedAt; at.IsZero() || at.After(s.clock) {
					t.Errorf("authenticated at %v", at)
				}
				return
			}
			b.wantPage(403, "Log in")
			if b.session() != "" || !strings.Contains(b.body, c.said) || !strings.Contains(s.log.String(), "remedy") {
				t.Errorf("somebody was logged in, or page and log do not say what to do:\n%s\n%s", b.body, s.log.String())
			}
			b.get(request(c.demand...)).wantPage(200, "Log in")
		})
	}
}

// A login that nobody wants to be fresh needs no auth_time, and gets none made up.
func TestTheTimeOfALoginIsWhatTheProviderSays(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	for _, c := range []struct {
		claim any
		want  time.Time
	}{
		{nil, time.Time{}}, {"now", time.Time{}}, {s.clock.Add(time.Hour).Unix(), time.Time{}},
		{s.clock.Add(-time.Hour).Unix(), s.clock.Add(-time.Hour)}, {s.clock.Add(time.Minute).Unix(), s.clock},
	} {
		u.claims["auth_time"] = c.claim
		b := s.browser().get(request("prompt", "consent"))
		b.comeBack("state", b.goTo(u).Get("state")).submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
		if got := s.decided.AuthenticatedAt; !got.Equal(c.want) {
			t.Errorf("auth_time %v: authenticated at %v, want %v", c.claim, got, c.want)
		}
	}
}

// A browser may be logged in for longer than the groups count that the provider has named.
func TestGroupsOfTheProviderAreLookedUpAgain(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option, func(o *login.Options) { o.GroupsMaxAge = 30 * time.Minute })
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request())
	b.comeBack("state", b.goTo(u).Get("state")).submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	first := s.clock
	if !s.decided.GroupsAt.Equal(first) || len(s.decided.Groups) == 0 {
		t.Fatalf("decided %+v, want groups as of %v", s.decided, first)
	}
	s.clock = first.Add(29 * time.Minute)
	b.get(request()).wantClient(callback, "code", "the-code")
	if !s.decided.GroupsAt.Equal(first) {
		t.Errorf("the groups count as of %v, want %v", s.decided.GroupsAt, first)
	}
	s.clock = first.Add(30 * time.Minute)
	b.get(request("prompt", "none")).wantClient(callback, "error", "login_required")
	u.claims["groups"] = []string{"new"}
	b.get(request()).wantPage(200, "Log in")
	b.comeBack("state", b.goTo(u).Get("state")).wantClient(callback, "code", "the-code")
	if !s.decided.GroupsAt.Equal(s.clock) || len(s.decided.Groups) != 1 || s.decided.Groups[0] != "new" {
		t.Errorf("decided %+v, want the new group as of now", s.decided)
	}
	t.Run("not for somebody without any", func(t *testing.T) {
		u.claims["groups"] = nil
		b := s.browser().get(request())
		b.comeBack("state", b.goTo(u).Get("state")).wantClient(callback, "code", "the-code")
		s.clock = s.clock.Add(45 * time.Minute)
		b.get(request()).wantClient(callback, "code", "the-code")
	})
}

// However short groups count, a login gets through: it was for this very request.
func TestGroupsThatEndAtOnceStillLetALoginThrough(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option, func(o *login.Options) { o.GroupsMaxAge = time.Nanosecond })
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request())
	b.comeBack("state", b.goTo(u).Get("state")).wantPage(200, "Allow The app?")
	s.clock = s.clock.Add(time.Minute)
	b.submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
}

func TestNamesAndGroupsOfTheProvider(t *testing.T) {
	tests := []struct {
		name     string
		claims   map[string]any
		username string
		groups   []string
	}{
		{"a verified address", map[string]any{"preferred_username": nil, "email": "jane@example.com", "email_verified": true, "name": "Jane"}, "jane@example.com", []string{"staff", "docs"}},
		{"an address that anybody may claim", map[string]any{"preferred_username": nil, "email": "boss@example.com", "name": "Jane"}, "Jane", []string{"staff", "docs"}},
		{"nothing", map[string]any{"preferred_username": nil, "groups": nil}, "248289761001", nil},
		{"one group", map[string]any{"groups": "staff"}, "jane", []string{"staff"}},
		{"odd groups", map[string]any{"groups": []any{"staff", 7, "", strings.Repeat("x", 200), "staff", map[string]any{}}}, "jane", []string{"staff"}},
		{"a name with tricks", map[string]any{"preferred_username": "ja\u202ene\u0000"}, "jane", []string{"staff", "docs"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := newUpstream(t)
			s := newSite(t, u.option)
			u.now = func() time.Time { return s.clock }
			u.claims = test.claims
			b := s.browser().get(request())
			b.comeBack("state", b.goTo(u).Get("state")).submit("/consent", "answer", "allow")
			if s.decided == nil || s.decided.Username != test.username || !slices.Equal(s.decided.Groups, test.groups) {
				t.Errorf("decided %+v", s.decided)
			}
		})
	}
}

func TestASessionOfAProviderThatWasReplacedEnds(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request())
	b.comeBack("state", b.goTo(u).Get("state")).wantPage(200, "Allow The app?")
	replaced, err := login.New(func() login.Options { o := s.login.Options; newUpstream(t).option(&o); return o }())
	if err != nil {
		t.Fatal(err)
	}
	s.login = replaced
	b.get(request()).wantPage(200, "Log in")
}

func TestARequestThatIsTooLongForACookieSaysSo(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	long := request("state", strings.Repeat("x", 4000))
	s.browser().get(base+"/login/oidc?continue="+url.QueryEscape(long)).wantPage(414, "That did not work")
}

func TestWithoutAProviderThereIsNoWayToOne(t *testing.T) {
	s := newSite(t)
	s.browser().get(base+"/login/oidc").wantPage(404, "Nothing to see here")
	s.browser().get(base+"/login/callback?state="+strings.Repeat("A", 26)).wantPage(400, "That did not work")
}
