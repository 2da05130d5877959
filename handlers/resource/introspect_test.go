package resource

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	secret = "s3cret+/=&%"
	goodAT = "mcp_at_good.signature"
)

func introspector(t *testing.T, endpoint string) *Introspector {
	t.Helper()
	verifier, err := NewIntrospector(Config{
		Endpoint: endpoint, ClientID: "docs search", ClientSecret: secret, Resource: here,
		Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestIntrospectionRequestIsAsTheStandardsSay(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if got, want := string(body), "token="+goodAT+"&token_type_hint=access_token"; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
		if r.Method != http.MethodPost || r.URL.RawQuery != "" {
			t.Errorf("%s %s, want POST without a query", r.Method, r.URL)
		}
		if got := r.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
			t.Errorf("Content-Type %q", got)
		}
		// RFC 6749 §2.3.1: form-encoded before base64.
		if id, password, _ := r.BasicAuth(); id != "docs+search" || password != "s3cret%2B%2F%3D%26%25" {
			t.Errorf("Basic %q : %q", id, password)
		}
		if _, sent := r.Header["X-Idempotency-Key"]; sent {
			t.Error("the marker for net/http was sent")
		}
		io.WriteString(w, `{"active":true,"client_id":"c1","aud":"`+here+`"}`)
	})
	token, err := introspector(t, server.URL).Verify(t.Context(), goodAT)
	if err != nil || token.ClientID != "c1" {
		t.Errorf("got %+v, %v", token, err)
	}
}

func TestOnlyAClearNoIsErrInactive(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code); io.WriteString(w, body) }
	}
	for _, tc := range []struct {
		name     string
		handler  http.HandlerFunc
		inactive bool
	}{
		{"inactive", status(200, `{"active":false}`), true},
		{"another audience", status(200, `{"active":true,"aud":"https://other.example.com/"}`), true},
		{"our credentials are refused", status(401, `{"error":"invalid_client"}`), false},
		{"forbidden", status(403, ``), false},
		{"not found", status(404, `{"active":false}`), false},
		{"database down", status(503, `{"active":false}`), false},
		{"internal error", status(500, ``), false},
		{"no content", status(204, ``), false},
		{"garbage", status(200, `not json`), false},
		{"oversized", status(200, `{"active":true,"aud":"`+here+`","x":"`+strings.Repeat("x", maxAnswer)+`"}`), false},
		{"connection broken off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		{"answer broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"active":false}`)
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := serve(t, tc.handler)
			_, err := introspector(t, server.URL).Verify(t.Context(), goodAT)
			if err == nil || errors.Is(err, ErrInactive) != tc.inactive {
				t.Errorf("error %v, inactive must be %v", err, tc.inactive)
			}
			if err != nil && (strings.Contains(err.Error(), goodAT) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestServerThatIsGoneOrSilentIsNotErrInactive(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + listener.Addr().String()
	listener.Close()
	if _, err := introspector(t, gone).Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) {
		t.Errorf("gone: %v", err)
	}

	release := make(chan struct{})
	silent := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	verifier, err := NewIntrospector(Config{
		Endpoint: silent.URL, ClientID: "a", ClientSecret: "b", Resource: here,
		HTTPClient: &http.Client{Timeout: 20 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) {
		t.Errorf("silent: %v", err)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := introspector(t, silent.URL).Verify(cancelled, goodAT); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRedirectIsNotFollowedWhateverTheClient(t *testing.T) {
	var reached atomic.Bool
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reached.Store(true)
		io.WriteString(w, `{"active":true,"aud":"`+here+`"}`)
	})
	redirecting := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	for name, client := range map[string]*http.Client{"default": nil, "the caller's": {}} {
		verifier, err := NewIntrospector(Config{
			Endpoint: redirecting.URL, ClientID: "a", ClientSecret: "b", Resource: here, HTTPClient: client,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) {
			t.Errorf("%s client: %v", name, err)
		}
		if client != nil && client.CheckRedirect != nil {
			t.Error("the caller's client was changed")
		}
	}
	if reached.Load() {
		t.Error("the token was sent to where the redirect pointed")
	}
}

func TestEveryVerificationAsksAgain(t *testing.T) {
	var revoked atomic.Bool
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if revoked.Load() {
			io.WriteString(w, `{"active":false}`)
			return
		}
		io.WriteString(w, `{"active":true,"aud":"`+here+`"}`)
	})
	verifier := introspector(t, server.URL)
	if _, err := verifier.Verify(t.Context(), goodAT); err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	if _, err := verifier.Verify(t.Context(), goodAT); !errors.Is(err, ErrInactive) {
		t.Errorf("after the revocation: %v", err)
	}
}

func TestEmptyTokenIsInactiveWithoutAsking(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	if _, err := introspector(t, server.URL).Verify(t.Context(), ""); !errors.Is(err, ErrInactive) {
		t.Errorf("error %v, want ErrInactive", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable) // even when the answer is an error
		io.WriteString(w, `{"error":"temporarily_unavailable"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	verifier := introspector(t, server.URL)
	for range 5 {
		verifier.Verify(t.Context(), goodAT)
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("5 requests opened %d connections, want 1", got)
	}
}

// The server closes a kept connection just as the next question arrives on it,
// as it does when it restarts. That is not an outage.
func TestDeadKeptConnectionIsReplacedWithoutAnError(t *testing.T) {
	var requests atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if requests.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{"active":true,"aud":"`+here+`"}`)
	})
	verifier := introspector(t, server.URL)
	for range 2 {
		if _, err := verifier.Verify(t.Context(), goodAT); err != nil {
			t.Error(err)
		}
	}
	if got := requests.Load(); got != 3 {
		t.Errorf("the server saw %d requests, want 3", got)
	}
}

func TestEveryConfigurationMistakeIsReported(t *testing.T) {
	good := Config{Endpoint: "https://auth.example.com/introspect", ClientID: "id", ClientSecret: "hunter2", Resource: here}
	for _, tc := range []struct {
		name string
		edit func(*Config)
		want []string
	}{
		{"as it should be", func(*Config) {}, nil},
		{"http on loopback", func(c *Config) { c.Endpoint = "http://127.0.0.1:8080/introspect" }, nil},
		{"http on localhost", func(c *Config) { c.Endpoint = "http://localhost:8080/introspect" }, nil},
		{"http on IPv6 loopback", func(c *Config) { c.Endpoint = "http://[::1]:8080/introspect" }, nil},
		{"http elsewhere", func(c *Config) { c.Endpoint = "http://auth.example.com/introspect" }, []string{"https"}},
		{"http on a name that looks like loopback", func(c *Config) { c.Endpoint = "http://127.0.0.1.example.com/introspect" }, []string{"https"}},
		{"http elsewhere, on purpose", func(c *Config) { c.Endpoint = "http://auth.internal/introspect"; c.InsecureAllowHTTP = true }, nil},
		{"password in the endpoint", func(c *Config) { c.Endpoint = "https://id:hunter2@auth.example.com/" }, []string{"password"}},
		{"nothing at all", func(c *Config) { *c = Config{} }, []string{"introspection endpoint", "resource", "client secret"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := good
			tc.edit(&config)
			_, err := NewIntrospector(config)
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not speak of %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// Whoever sets a service up with a wrong resource sees only that all tokens are refused: the log says why, once.
func TestATokenForAnotherResourceIsToldOfOnce(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"active":true,"aud":"https://other.example.com/mcp"}`)
	})
	var log strings.Builder
	verifier, err := NewIntrospector(Config{
		Endpoint: server.URL, ClientID: "docs", ClientSecret: secret, Resource: here, Now: func() time.Time { return noon },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := verifier.Verify(t.Context(), goodAT); !errors.Is(err, ErrInactive) {
			t.Error(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "resource="+here) || strings.Contains(log.String(), goodAT) {
		t.Errorf("told %d times:\n%s", n, &log)
	}
}
