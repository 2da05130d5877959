package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const wantMetadata = `resource_metadata="https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp"`

// verifierFunc is a Verifier that knows its resource.
type verifierFunc func(token string) (*Token, error)

func (f verifierFunc) Verify(_ context.Context, token string) (*Token, error) { return f(token) }
func (f verifierFunc) Resource() string                                       { return here }

// known accepts the tokens "good" and "other", and cannot tell about "outage".
var known = verifierFunc(func(token string) (*Token, error) {
	switch token {
	case "good", "go.o-d_t~o+k/en==":
		return &Token{ClientID: "c1", Scope: []string{"mcp:search"}}, nil
	case "outage":
		return nil, errors.New("connection refused")
	case "nothing":
		return nil, nil
	}
	return nil, fmt.Errorf("wrapped: %w", ErrInactive)
})

func TestDecision(t *testing.T) {
	const plain = `Bearer ` + wantMetadata + `, scope="mcp:search"`
	invalid := plain + `, error="invalid_token", error_description="The access token is unknown, expired, revoked, or for another resource"`
	malformed := plain + `, error="invalid_request", error_description="the Authorization header is not of the form: Bearer <access token>"`
	for _, tc := range []struct {
		name          string
		authorization []string
		status        int // 0: may pass
		challenge     string
	}{
		{"good token", []string{"Bearer good"}, 0, ""},
		{"scheme in lower case", []string{"bearer good"}, 0, ""},
		{"scheme in upper case", []string{"BEARER good"}, 0, ""},
		{"more spaces", []string{"  Bearer   good  "}, 0, ""},
		{"a tab", []string{"Bearer\tgood"}, 400, malformed},
		{"a space and a tab", []string{"Bearer \tgood"}, 400, malformed},
		{"every character that a token may have", []string{"Bearer go.o-d_t~o+k/en=="}, 0, ""},

		{"no header", nil, 401, plain},
		{"empty header", []string{""}, 401, plain},
		{"scheme without token", []string{"Bearer"}, 401, plain},
		{"scheme and spaces", []string{"Bearer   "}, 401, plain},
		{"another scheme", []string{"Basic Z29vZDpnb29k"}, 401, plain},
		{"scheme that only starts with Bearer", []string{"Bearerx good"}, 401, plain},
		{"token without scheme", []string{"good"}, 401, plain},

		{"inactive token", []string{"Bearer stale"}, 401, invalid},
		{"token of 10 kB", []string{"Bearer " + strings.Repeat("x", 10<<10)}, 401, invalid},
		{"10 kB of what no token has", []string{"Bearer " + strings.Repeat(`"`, 10<<10)}, 401, invalid},

		{"two tokens in one header", []string{"Bearer good good"}, 400, malformed},
		{"two headers joined by a proxy", []string{"Bearer good, Bearer good"}, 400, malformed},
		{"quoted token", []string{`Bearer "good"`}, 400, malformed},
		{"control character", []string{"Bearer go\x00od"}, 400, malformed},
		{"letters beyond ASCII", []string{"Bearer gööd"}, 400, malformed},
		{"equals sign inside", []string{"Bearer go=od"}, 400, malformed},
		{"equals signs only", []string{"Bearer =="}, 400, malformed},
		{"two headers", []string{"Bearer good", "Bearer good"}, 400,
			plain + `, error="invalid_request", error_description="the request has more than one Authorization header"`},

		{"verifier cannot tell", []string{"Bearer outage"}, 503, ""},
		{"verifier says nothing", []string{"Bearer nothing"}, 503, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Bearer{Verifier: known, Scopes: []string{"mcp:search"}}.gate()
			if err != nil {
				t.Fatal(err)
			}
			token, refused := g.decide(t.Context(), tc.authorization)
			if tc.status == 0 {
				if refused != nil || token == nil || token.ClientID != "c1" {
					t.Fatalf("got token %+v, refusal %+v", token, refused)
				}
				return
			}
			if refused == nil || token != nil {
				t.Fatalf("let through with %+v", token)
			}
			if refused.status != tc.status || refused.challenge != tc.challenge {
				t.Errorf("got  %d %s\nwant %d %s", refused.status, refused.challenge, tc.status, tc.challenge)
			}
			if refused.message == "" {
				t.Error("no message for the person who reads the answer")
			}
		})
	}
}

func TestAllScopesAreNeededAndNamed(t *testing.T) {
	for _, tc := range []struct {
		scopes    []string
		challenge string
	}{
		{nil, ""},
		{[]string{"mcp:search"}, ""},
		{[]string{"mcp:search", "mcp:write"}, `scope="mcp:search mcp:write", error="insufficient_scope", error_description="The access token lacks the scope mcp:write"`},
		{[]string{"mcp"}, `scope="mcp", error="insufficient_scope", error_description="The access token lacks the scope mcp"`},
		{[]string{"MCP:SEARCH"}, `scope="MCP:SEARCH", error="insufficient_scope", error_description="The access token lacks the scope MCP:SEARCH"`},
	} {
		t.Run(strings.Join(tc.scopes, " "), func(t *testing.T) {
			g, err := Bearer{Verifier: known, Scopes: tc.scopes}.gate()
			if err != nil {
				t.Fatal(err)
			}
			_, refused := g.decide(t.Context(), []string{"Bearer good"})
			switch {
			case tc.challenge == "" && refused != nil:
				t.Errorf("refused with %+v", refused)
			case tc.challenge != "" && (refused == nil || refused.status != 403 || refused.challenge != "Bearer "+wantMetadata+", "+tc.challenge):
				t.Errorf("got %+v", refused)
			}
		})
	}
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func answerOf(handler http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

var never = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	panic("the protected handler was reached: " + r.Method)
})

func TestRefusalsOnTheWire(t *testing.T) {
	handler := Bearer{Verifier: known, Scopes: []string{"mcp:search"}, Logger: slog.New(slog.DiscardHandler)}.Wrap(never)
	for _, tc := range []struct {
		name       string
		request    *http.Request
		status     int
		challenged bool
		retryAfter string
	}{
		{"POST without a token", request("POST", "/authed/mcp"), 401, true, ""},
		{"GET without a token", request("GET", "/authed/mcp"), 401, true, ""},
		{"DELETE without a token", request("DELETE", "/authed/mcp"), 401, true, ""},
		{"OPTIONS without a token", request("OPTIONS", "/authed/mcp"), 401, true, ""},
		{"preflight that met no CORS", request("OPTIONS", "/authed/mcp", "Origin", "https://x.example", "Access-Control-Request-Method", "POST"), 401, true, ""},
		{"token in the query", request("GET", "/authed/mcp?access_token=good"), 401, true, ""},
		{"stale token", request("POST", "/authed/mcp", "Authorization", "Bearer stale"), 401, true, ""},
		{"two headers", request("POST", "/authed/mcp", "Authorization", "Bearer good", "Authorization", "Bearer good"), 400, true, ""},
		{"outage", request("POST", "/authed/mcp", "Authorization", "Bearer outage"), 503, false, "5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := answerOf(handler, tc.request)
			if resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.status)
			}
			lines := resp.Header.Values("WWW-Authenticate")
			if tc.challenged && (len(lines) != 1 || !strings.HasPrefix(lines[0], "Bearer "+wantMetadata+`, scope="mcp:search"`)) {
				t.Errorf("WWW-Authenticate %q, want one line that leads to the metadata", lines)
			}
			if !tc.challenged && len(lines) > 0 {
				t.Errorf("WWW-Authenticate %q, want none: the token may be good", lines)
			}
			if got := resp.Header.Get("Retry-After"); got != tc.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tc.retryAfter)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
		})
	}
}

func TestTokenInTheBodyIsNotRead(t *testing.T) {
	r := httptest.NewRequest("POST", "/authed/mcp", strings.NewReader("access_token=good"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp := answerOf(RequireBearer(known)(never), r); resp.StatusCode != 401 {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
}

func TestHandlerFindsTheToken(t *testing.T) {
	handler := RequireBearer(known, "mcp:search")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, TokenFromContext(r.Context()).ClientID)
	}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, request("POST", "/authed/mcp", "Authorization", "Bearer good"))
	if w.Code != 200 || w.Body.String() != "c1" {
		t.Errorf("%d %q, want 200 c1", w.Code, w.Body)
	}
}

func TestOutageIsLoggedAndNoTokenEver(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler := Bearer{Verifier: known, Logger: logger}.Wrap(never)

	answerOf(handler, request("POST", "/authed/mcp?access_token=sesame", "Authorization", "Bearer outage"))
	if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "connection refused") {
		t.Errorf("log %q, want the reason as an error", got)
	}
	answerOf(handler, request("POST", "/authed/mcp", "Authorization", "Bearer sesame"))
	if got := log.String(); !strings.Contains(got, "level=DEBUG") || strings.Contains(got, "sesame") {
		t.Errorf("log %q, want the refusal at debug level, without the token", got)
	}

	log.Reset()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	answerOf(handler, request("POST", "/authed/mcp", "Authorization", "Bearer outage").WithContext(gone))
	if log.Len() > 0 {
		t.Errorf("a caller who left was logged as an outage: %s", &log)
	}
}

// onlyVerify hides every method of a verifier but the one it must have.
type onlyVerify struct{ Verifier }

func TestMistakesOfTheProgramPanicAtStart(t *testing.T) {
	for _, tc := range []struct {
		name  string
		guard Bearer
		want  string // "" if all is well
	}{
		{"verifier that knows its resource", Bearer{Verifier: known}, ""},
		{"other verifier with a resource", Bearer{Verifier: onlyVerify{known}, Resource: here}, ""},
		{"no verifier", Bearer{Resource: here}, "Verifier"},
		{"no resource", Bearer{Verifier: onlyVerify{known}}, "Bearer.Resource"},
		{"two scopes in one", Bearer{Verifier: known, Scopes: []string{"mcp:search mcp:write"}}, "argument of its own"},
		{"scope that would break the header", Bearer{Verifier: known, Scopes: []string{`a"b`}}, "not a scope"},
		{"empty scope", Bearer{Verifier: known, Scopes: []string{""}}, "not a scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				got := fmt.Sprint(recover())
				if tc.want == "" && got != "<nil>" || !strings.Contains(got, tc.want) {
					t.Errorf("panic %q, want %q", got, tc.want)
				}
			}()
			tc.guard.Wrap(never)
		})
	}
}
