package authserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/limit"
	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// proxied is a server that takes the caller's address from a header, so that tests can have many.
func proxied(t *testing.T, settings ...string) *runningServer {
	return runServer(t, append([]string{"BEHIND_PROXY=true", "CLIENT_IP_HEADER=X-Real-IP"}, settings...)...)
}

// call is a request from an address to a path of the public listener.
type call struct {
	method, path, from string
	form               []string // names and values
	header             []string
}

type reply struct {
	*http.Response
	body string
	json struct {
		Error, Description string
	}
}

func (s *runningServer) do(t *testing.T, c call) reply {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(c.form); i += 2 {
		form.Set(c.form[i], c.form[i+1])
	}
	request, err := http.NewRequestWithContext(t.Context(), c.method, s.loopback()+c.path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if c.form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.from != "" {
		request.Header.Set("X-Real-IP", c.from)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		request.Header.Set(c.header[i], c.header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var r reply
	r.Response, r.body = answerTo(t, client, request)
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal([]byte(r.body), &told)
	r.json.Error, r.json.Description = told.Error, told.Description
	return r
}

const base = "/authed/mcp/oauth/"

// token asks for a token with a secret.
func (s *runningServer) token(t *testing.T, from, id, secret string) reply {
	t.Helper()
	return s.do(t, call{http.MethodPost, base + "token", from, []string{"grant_type", "client_credentials", "client_id", id, "client_secret", secret}, nil})
}

func (s *runningServer) register(t *testing.T, body string) (id, secret string) {
	t.Helper()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if status := s.admin(t, http.MethodPost, "/clients", body, &client); status != http.StatusCreated {
		t.Fatalf("register: %d", status)
	}
	return client.ID, client.Secret
}

func (r reply) want(t *testing.T, status int, oauthError string) reply {
	t.Helper()
	if r.StatusCode != status || r.json.Error != oauthError {
		t.Errorf("%d %s, want %d %s", r.StatusCode, r.body, status, oauthError)
	}
	return r
}

// wantLimited wants 429, headers that name the limit, and one that tells when to come back.
func (r reply) wantLimited(t *testing.T, limit string) {
	t.Helper()
	if r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" || r.Header.Get("Retry-After") == "0" {
		t.Errorf("%d, Retry-After %q: %s", r.StatusCode, r.Header.Get("Retry-After"), r.body)
	}
	state := fmt.Sprintf(`"%s";r=0;t=%s`, limit, r.Header.Get("Retry-After"))
	if !strings.Contains(r.Header.Get("RateLimit"), state) || !strings.Contains(r.Header.Get("RateLimit-Policy"), `"`+limit+`";q=`) {
		t.Errorf("RateLimit %s, RateLimit-Policy %s; want %s", r.Header.Get("RateLimit"), r.Header.Get("RateLimit-Policy"), state)
	}
}

// limitedSoFar is the metric.
func (s *runningServer) limitedSoFar(t *testing.T, limit string) (count string) {
	t.Helper()
	_, metrics := ask(t, http.DefaultClient, http.MethodGet, s.AdminURL+"/metrics", "", nil)
	for line := range strings.Lines(metrics) {
		if after, ok := strings.CutPrefix(line, fmt.Sprintf("fosite_mcp_rate_limited_total{limit=%q} ", limit)); ok {
			return strings.TrimSpace(after)
		}
	}
	return "none"
}

func TestEveryRequestOfAnAddressCounts(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_ADDRESS_PER_HOUR=8")
	id, secret := s.register(t, `{"client_name":"ci"}`)
	const from, neighbour = "2001:db8::1", "2001:db8::2:3:4:5" // of one /64
	for i, c := range []call{
		{http.MethodPost, base + "token", from, []string{"grant_type", "client_credentials", "client_id", id, "client_secret", secret}, nil},
		{http.MethodPost, base + "introspect", neighbour, nil, nil},
		{http.MethodGet, base + "jwks.json", from, nil, nil},
		{http.MethodHead, "/.well-known/oauth-authorization-server", from, nil, nil},
		{http.MethodGet, base + "authorize", from, nil, nil},
		{http.MethodGet, base + "login", neighbour, nil, nil},
		{http.MethodGet, "/nothing", from, nil, nil},
		{http.MethodOptions, base + "token", from, nil, nil},
	} {
		r := s.do(t, c)
		if want := fmt.Sprintf(`"address";r=%d;`, 7-i); r.StatusCode == http.StatusTooManyRequests || !strings.HasPrefix(r.Header.Get("RateLimit"), want) {
			t.Errorf("%s %s: %d, RateLimit %s, want %s", c.method, c.path, r.StatusCode, r.Header.Get("RateLimit"), want)
		}
		if policy := r.Header.Get("RateLimit-Policy"); policy != `"address";q=8;w=3600` {
			t.Errorf("RateLimit-Policy %s", policy)
		}
	}
	refused := 0
	for _, path := range []string{base + "token", base + "revoke", base + "introspect", base + "jwks.json", "/.well-known/oauth-authorization-server", "/nothing"} {
		r := s.do(t, call{http.MethodPost, path, from, nil, []string{"Origin", "https://app.example"}})
		r.want(t, http.StatusTooManyRequests, "temporarily_unavailable").wantLimited(t, "address")
		if r.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Expose-Headers")), "ratelimit-policy") {
			t.Errorf("%s: a page cannot read the answer: %v", path, r.Header)
		}
		refused++
	}
	for _, page := range []string{"authorize", "login", "login/oidc", "login/callback", "consent", "logout", "grants", "grants/withdraw"} {
		r := s.do(t, call{http.MethodGet, base + page, from, nil, nil})
		r.wantLimited(t, "address")
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, "Wait "+r.Header.Get("Retry-After")+" seconds") ||
			!strings.Contains(r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v\n%s", page, r.Header, r.body)
		}
		refused++
	}
	if got := s.limitedSoFar(t, "address"); got != fmt.Sprint(refused) {
		t.Errorf("the metric counts %s, want %d", got, refused)
	}
	for _, c := range []call{
		{http.MethodGet, base + "verify", from, nil, nil}, // a proxy asks for everybody
		{http.MethodGet, "/livez", from, nil, nil}, {http.MethodGet, "/readyz", from, nil, nil},
		{http.MethodOptions, base + "token", from, nil, []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}},
	} {
		if r := s.do(t, c); r.StatusCode == http.StatusTooManyRequests || r.Header.Get("RateLimit") != "" {
			t.Errorf("%s %s: %d", c.method, c.path, r.StatusCode)
		}
	}
	s.token(t, "2001:db8:0:1::1", id, secret).want(t, http.StatusOK, "") // somebody else
	s.token(t, "", id, secret).want(t, http.StatusOK, "")
}

// Whoever adds a page has to name it, or people get JSON.
func TestEveryPageIsKnownAsOne(t *testing.T) {
	documents := []string{"token", "revoke", "introspect", "verify", "revocations", "jwks.json"}
	for _, path := range listeners(t)["public"].paths(t) {
		endpoint, below := strings.CutPrefix(path, base)
		if !below || slices.Contains(documents, endpoint) {
			continue
		}
		if first, _, _ := strings.Cut(endpoint, "/"); !slices.Contains(browserPages, first) {
			t.Errorf("%s is neither known as a page nor as an endpoint for programs", path)
		}
	}
}

func TestRequestsOfAClientCount(t *testing.T) {
	s := proxied(t, "RATE_LIMITS_CLIENT_PER_HOUR=3")
	id, secret := s.register(t, `{"client_name":"ci"}`)
	other, otherSecret := s.register(t, `{"client_name":"other"}`)
	public, _ := s.register(t, `{"client_name":"app","redirect_uris":["https://app.example.com/cb"],"grant_types":["authorization_code"],"token_endpoint_auth_method":"none"}`)
	for range 5 { // who is not the client uses up nothing of its quota
		s.token(t, "192.0.2.1", id, "wrong").want(t, http.StatusUnauthorized, "invalid_client")
	}
	first := s.token(t, "192.0.2.1", id, secret).want(t, http.StatusOK, "")
	if got := first.Header.Get("RateLimit"); !strings.HasPrefix(got, `"client";r=2;`) || first.Header.Get("RateLimit-Policy") != `"client";q=3;w=3600` {
		t.Errorf("RateLimit %s, policy %s", got, first.Header.Get("RateLimit-Policy"))
	}
	credentials := []string{"client_id", id, "client_secret", secret, "token", "x"}
	s.do(t, call{http.MethodPost, base + "introspect", "192.0.2.2", credentials, nil}).want(t, http.StatusOK, "")
	s.do(t, call{http.MethodPost, base + "revoke", "192.0.2.3", credentials, nil}).want(t, http.StatusOK, "")
	for _, endpoint := range []string{"introspect", "revoke"} {
		s.do(t, call{http.MethodPost, base + endpoint, "192.0.2.4", credentials, nil}).
			want(t, http.StatusTooManyRequests, "temporarily_unavailable").wantLimited(t, "client")
	}
	s.token(t, "192.0.2.5", id, secret).want(t, http.StatusTooManyRequests, "temporarily_unavailable").wantLimited(t, "client")
	if got := s.limitedSoFar(t, "client"); got != "3" {
		t.Errorf("the metric counts %s, want 3", got)
	}
	s.token(t, "192.0.2.1", other, otherSecret).want(t, http.StatusOK, "")
	for range 5 { // anybody can name a public client
		s.do(t, call{http.MethodPost, base + "revoke", "192.0.2.6", []string{"client_id", public, "token", "x"}, nil}).want(t, http.StatusOK, "")
	}
	if strings.Contains(s.logged(), "level=ERROR") {
		t.Errorf("a limit is no failure of the server:\n%s", s.logged())
	}
}

// One workload of a rule does not use up what the others may have.
func TestExchangesOfOneWorkloadAreLimited(t *testing.T) {
	l := &limits{client: limit.New[string]("client", 1, time.Hour, nil)}
	header := http.Header{}
	ctx := reqinfo.With(t.Context(), reqinfo.Info{Answer: header})
	for _, subject := range []string{"a", "b"} {
		if err := l.workload(ctx, "rule", subject); err != nil {
			t.Errorf("the first of %s: %v", subject, err)
		}
	}
	err := l.workload(ctx, "rule", "a")
	if err == nil || fosite.ErrorToRFC6749Error(err).CodeField != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("the second of a: %v, Retry-After %q", err, header.Get("Retry-After"))
	}
	if err := l.workload(t.Context(), "rule", "c"); err != nil {
		t.Errorf("without a header to write to: %v", err)
	}
}
