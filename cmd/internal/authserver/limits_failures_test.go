package authserver

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/config"
	"fosite-mcp/handlers/login"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
)

func TestFailedAuthenticationsOfAnAddressAreLimited(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=3", "RATE_LIMITS_CLIENT_FAILURES_PER_MINUTE=0")
	id, secret := s.register(t, `{"client_name":"ci"}`)
	const from = "192.0.2.1"
	s.token(t, from, id, secret).want(t, http.StatusOK, "")
	for i, wrong := range []call{
		{http.MethodPost, base + "token", from, []string{"grant_type", "client_credentials", "client_id", id, "client_secret", "wrong"}, nil},
		{http.MethodPost, base + "introspect", from, []string{"token", "x"}, []string{"Authorization", "Basic " + "bm9ib2R5Ong="}},
		{http.MethodPost, base + "revoke", from, []string{"client_id", "nobody", "client_secret", "x", "token", "x"}, nil},
	} {
		r := s.do(t, wrong).want(t, http.StatusUnauthorized, "invalid_client")
		if want := fmt.Sprintf(`"address-failures";r=%d;`, 2-i); !strings.HasPrefix(r.Header.Get("RateLimit"), want) || r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("RateLimit %s, want %s", r.Header.Get("RateLimit"), want)
		}
	}
	for range 3 {
		s.token(t, from, id, "wrong").want(t, http.StatusTooManyRequests, "invalid_client").wantLimited(t, "address-failures")
		s.token(t, from, id, secret).want(t, http.StatusOK, "") // nobody is locked out
	}
	// Who sends no credentials has not guessed.
	s.do(t, call{http.MethodPost, base + "token", from, []string{"grant_type", "client_credentials", "client_id", "nobody"}, nil}).want(t, http.StatusUnauthorized, "invalid_client")
	s.do(t, call{http.MethodPost, base + "token", from, []string{"grant_type", "client_credentials"}, nil}).want(t, http.StatusUnauthorized, "invalid_client")
	s.token(t, "192.0.2.2", id, "wrong").want(t, http.StatusUnauthorized, "invalid_client")
	if got := s.limitedSoFar(t, "address-failures"); got != "3" {
		t.Errorf("the metric counts %s, want 3", got)
	}
}

// Whoever invents assertions has the rules of an issuer read each time.
func TestRefusedAssertionsOfAnAddressAreLimited(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=2")
	send := func(from string) reply {
		return s.do(t, call{http.MethodPost, base + "token", from, []string{"grant_type", client.JWTBearer, "assertion", "x"}, nil})
	}
	for i := range 2 {
		r := send("192.0.2.1").want(t, http.StatusBadRequest, "invalid_grant")
		if want := fmt.Sprintf(`"address-failures";r=%d;`, 1-i); !strings.HasPrefix(r.Header.Get("RateLimit"), want) {
			t.Errorf("RateLimit %s, want %s", r.Header.Get("RateLimit"), want)
		}
	}
	send("192.0.2.1").want(t, http.StatusTooManyRequests, "invalid_grant").wantLimited(t, "address-failures")
	send("192.0.2.2").want(t, http.StatusBadRequest, "invalid_grant")
}

func TestFailedAuthenticationsAsAClientAreLimited(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_CLIENT_FAILURES_PER_MINUTE=3")
	id, secret := s.register(t, `{"client_name":"ci"}`)
	var answers [2]string
	for i, name := range []string{id, "unknown"} { // no answer tells which of them exists
		for n := range 6 {
			r := s.token(t, fmt.Sprintf("192.0.2.%d", 10*i+n), name, "wrong")
			answers[i] += fmt.Sprint(r.StatusCode, r.json, r.Header.Get("RateLimit-Policy"), strings.Split(r.Header.Get("RateLimit"), ";t=")[0], "\n")
			if n < 3 {
				r.want(t, http.StatusUnauthorized, "invalid_client")
			} else {
				r.want(t, http.StatusTooManyRequests, "invalid_client").wantLimited(t, "client-failures")
			}
		}
	}
	if answers[0] != answers[1] {
		t.Errorf("a client that exists:\n%s\none that does not:\n%s", answers[0], answers[1])
	}
	s.token(t, "192.0.2.1", id, secret).want(t, http.StatusOK, "")
	if got := s.limitedSoFar(t, "client-failures"); got != "6" {
		t.Errorf("the metric counts %s, want 6", got)
	}
}

func TestMadeUpClientsPushNoRealOneOut(t *testing.T) {
	l := newLimits(config.Config{RateLimits: config.RateLimits{ClientFailuresPerMinute: 1}}, observe.New(nil, nil))
	store := map[string]bool{"real": true}
	authenticate := l.authenticate(func(_ context.Context, _ *http.Request, form url.Values) (fosite.Client, error) {
		id := form.Get("client_id")
		return nil, provider.NewRefusedClient(id, store[id], fosite.ErrInvalidClient)
	})
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	try := func(id string) int {
		_, err := authenticate(t.Context(), r, url.Values{"client_id": {id}, "client_secret": {"wrong"}})
		return fosite.ErrorToRFC6749Error(err).CodeField
	}
	try("real")
	for i := range 50_000 {
		try(fmt.Sprint("made-up-", i))
	}
	if status := try("real"); status != http.StatusTooManyRequests {
		t.Errorf("status %d, want 429", status)
	}
}

func TestFailuresAreLimitedByDefaultAndRequestsAreNot(t *testing.T) {
	s := runServer(t)
	id, secret := s.register(t, `{"client_name":"ci"}`)
	limited := false
	for range 200 {
		limited = limited || s.token(t, "", id, "wrong").StatusCode == http.StatusTooManyRequests
		r := s.token(t, "", id, secret).want(t, http.StatusOK, "")
		if r.Header.Get("RateLimit") != "" || r.Header.Get("RateLimit-Policy") != "" {
			t.Fatal("an answer speaks of limits where there are none")
		}
	}
	if !limited {
		t.Error("200 wrong secrets and no 429")
	}
}

func TestLimitsCanBeSwitchedOff(t *testing.T) {
	s := runServer(t, "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=0", "RATE_LIMITS_CLIENT_FAILURES_PER_MINUTE=0")
	for range 100 {
		if r := s.token(t, "", "ci", "wrong").want(t, http.StatusUnauthorized, "invalid_client"); r.Header.Get("RateLimit") != "" {
			t.Fatal(r.Header)
		}
	}
}

func TestWrongAdminKeysAreLimitedAndRightOnesAreNot(t *testing.T) {
	s := runServer(t, "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=3")
	ask := func(key string) (*http.Response, string) {
		return ask(t, http.DefaultClient, http.MethodGet, s.AdminURL+"/admin/v1/clients", "", http.Header{"Authorization": {"Bearer " + key}})
	}
	for i := range 6 {
		response, body := ask("wrong")
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
			reply{Response: response, body: body}.wantLimited(t, "address-failures")
			if response.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"too-many-failures"`) && !strings.Contains(body, ":too-many-failures") {
				t.Errorf("%v %s", response.Header, body)
			}
		}
		if response.StatusCode != want {
			t.Errorf("attempt %d: %d, want %d", i, response.StatusCode, want)
		}
		if response, body := ask(s.adminKey); response.StatusCode != http.StatusOK {
			t.Fatalf("the right key after %d wrong ones: %d %s", i+1, response.StatusCode, body)
		}
	}
	if got := s.limitedSoFar(t, "admin-failures"); got != "3" {
		t.Errorf("the metric counts %s, want 3", got)
	}
}

// addUser makes an account in the database of the running server.
func (s *runningServer) addUser(t *testing.T, username, password string) {
	t.Helper()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(s.data, "fosite-mcp.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	hash, err := login.HashPassword(t.Context(), provider.NewSecretHasher(), password)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.New(db).Users().Create(t.Context(), &people.User{Username: username, PasswordHash: hash}); err != nil {
		t.Fatal(err)
	}
}

func TestWrongPasswordsOfAnAddressAreLimitedAndRightOnesAreNot(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=3")
	s.addUser(t, "alice", "correct horse battery")
	browser, form := s.visitor(t)
	for i := range 6 {
		form.Set("username", fmt.Sprint("user", i))
		form.Set("password", "wrong password 1")
		response, page := send(t, browser, s.oauth("login"), form, "X-Real-IP", "192.0.2.1")
		if i < 3 && response.StatusCode != http.StatusForbidden {
			t.Errorf("attempt %d: %d", i, response.StatusCode)
		}
		if i >= 3 {
			reply{Response: response, body: page}.wantLimited(t, "address-failures")
		}
		if !strings.Contains(page, "User name or password is wrong.") {
			t.Errorf("attempt %d: the page does not say what is wrong", i)
		}
	}
	s.token(t, "192.0.2.1", "ci", "wrong").want(t, http.StatusTooManyRequests, "invalid_client") // they count together
	form.Set("username", "alice")
	form.Set("password", "correct horse battery")
	if response, page := send(t, browser, s.oauth("login"), form, "X-Real-IP", "192.0.2.1"); response.StatusCode != http.StatusSeeOther {
		t.Errorf("the right password: %d\n%s", response.StatusCode, page)
	}
}

func BenchmarkRequestsWithDefaultLimits(b *testing.B) {
	for name, set := range map[string]config.RateLimits{"off": {}, "default": config.Default().RateLimits, "all": {ClientPerHour: 1 << 30, AddressPerHour: 1 << 30, ClientFailuresPerMinute: 10, AddressFailuresPerMinute: 10}} {
		b.Run(name, func(b *testing.B) {
			l := newLimits(config.Config{RateLimits: set}, observe.New(nil, nil))
			client := &fosite.DefaultClient{ID: "ci"}
			authenticate := l.authenticate(func(context.Context, *http.Request, url.Values) (fosite.Client, error) { return client, nil })
			handler := l.middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = authenticate(r.Context(), r, nil) }))
			r := httptest.NewRequest(http.MethodPost, "/token", nil)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
