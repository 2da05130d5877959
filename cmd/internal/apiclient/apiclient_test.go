package apiclient

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
)

func TestSecretsTravelOverTLSOrLoopbackOnly(t *testing.T) {
	for _, tt := range []struct {
		origin, want string // want empty: refused
	}{
		{"http://127.0.0.1:8081", "http://127.0.0.1:8081"},
		{"http://127.0.0.1:8081/", "http://127.0.0.1:8081"},
		{"http://localhost:8081", "http://localhost:8081"},
		{"http://[::1]:8081", "http://[::1]:8081"},
		{"https://admin.example.com", "https://admin.example.com"},
		{"http://admin.example.com", ""},
		{"http://10.0.0.1:8081", ""},
		{"http://localhost.example.com", ""},
		{"http://127.0.0.1.example.com", ""},
		{"http://127.0.0.1@example.com", ""},
		{"https://user:password@example.com", ""},
		{"https://example.com/path", ""},
		{"https://example.com?q", ""},
		{"ftp://127.0.0.1", ""},
		{"127.0.0.1:8081", ""},
		{"https://", ""},
		{"", ""},
	} {
		got, err := secureOrigin(tt.origin)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("secureOrigin(%q) = %q, %v; want %q", tt.origin, got, err, tt.want)
		}
	}
}

func TestTheAdminAPIIsWhereTheSettingsSay(t *testing.T) {
	for _, tt := range []struct {
		listen string
		tls    bool
		want   string
	}{
		{"127.0.0.1:8081", false, "http://127.0.0.1:8081"},
		{"127.0.0.1:8081", true, "http://127.0.0.1:8081"},
		{"0.0.0.0:8081", false, "http://127.0.0.1:8081"},
		{"0.0.0.0:8081", true, "https://127.0.0.1:8081"},
		{":8081", false, "http://127.0.0.1:8081"},
		{"[::]:8081", false, "http://[::1]:8081"},
		{"admin.internal:8081", true, "https://admin.internal:8081"},
		{"127.0.0.1:0", false, ""},
	} {
		cfg := config.Default()
		cfg.Admin.Listen = tt.listen
		if tt.tls {
			cfg.TLS = config.TLS{CertFile: "cert.pem", KeyFile: "key.pem"}
		}
		if got, err := adminOrigin(cfg); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("admin.listen %s: %q, %v; want %q", tt.listen, got, err, tt.want)
		}
	}
}

// fakeAPI is an admin API that answers as it is told.
func fakeAPI(t *testing.T, handler http.HandlerFunc) *Admin {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Admin{origin: server.URL, key: "the-admin-key", keySource: "a file", http: newHTTPClient()}
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", map[bool]string{true: "application/problem+json", false: "application/json"}[status >= 400])
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestErrorsOfTheAPIAreToldToPeople(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{
			"every mistake with its pointer", "application/problem+json",
			`{"title":"The request is not valid","detail":"Nothing was changed.","errors":[{"pointer":"/scope","detail":"is unknown"},{"pointer":"/owner","detail":"is too long"}]}`,
			400, "--scope: is unknown\n  --owner: is too long",
		},
		{"an outage with the request id", "application/problem+json", `{"title":"Service unavailable","request_id":"r1"}`, 503, "Service unavailable\n  (request id r1; the server's log says more)"},
		{"no control sequences", "application/problem+json", `{"title":"a\u001b[31mb"}`, 400, `a\u001b[31mb`},
		{"a refused key names where it came from", "application/problem+json", `{"title":"An admin key is needed"}`, 401, "the admin API refuses the key from a file: An admin key is needed"},
		{"something else answers", "text/html", `<html>`, 502, "is --admin-url right?"},
		{"a redirect is not followed", "text/html", ``, 307, "is --admin-url right?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			api := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := api.Do(t.Context(), Get("clients"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			if calls != 1 {
				t.Errorf("%d requests, want 1", calls)
			}
		})
	}
}

func TestAChangeWhoseAnswerGetsLostIsCalledUncertain(t *testing.T) {
	api := fakeAPI(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := api.Do(t.Context(), Post(map[string]any{}, "clients"))
	if err == nil || !strings.Contains(err.Error(), "look whether the change was made") {
		t.Errorf("after a POST: %v", err)
	}
	_, err = api.Do(t.Context(), Get("clients"))
	if err == nil || strings.Contains(err.Error(), "look whether") {
		t.Errorf("after a GET: %v", err)
	}
}

func TestIDsStayOneSegmentOfThePath(t *testing.T) {
	var path string
	api := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		answerJSON(w, 200, "{}")
	})
	for id, want := range map[string]string{"a": "/admin/v1/clients/a", "a/../b?c#d": "/admin/v1/clients/a%2F..%2Fb%3Fc%23d", "ä": "/admin/v1/clients/%C3%A4"} {
		if _, err := api.Do(t.Context(), Get("clients", id)); err != nil {
			t.Fatal(err)
		}
		if path != want {
			t.Errorf("id %q: path %s, want %s", id, path, want)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		if _, err := api.Do(t.Context(), Get("clients", id)); err == nil {
			t.Errorf("the id %q is accepted", id)
		}
	}
}

func TestAnAnswerThatIsTooLongIsRefused(t *testing.T) {
	api := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		for range apiBodyLimit/(1<<20) + 1 {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
	})
	if _, err := api.Do(t.Context(), Get("clients")); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error %v", err)
	}
}

func TestTheTokenEndpointGetsEncodedCredentialsAndItsErrorsAreTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "a%3Ab" || secret != "s%26+%C3%A4" { // RFC 6749 §2.3.1
			t.Errorf("credentials %q, %q", id, secret)
		}
		answerJSON(w, 401, `{"error":"invalid_client","error_description":"Check the client id"}`)
	}))
	defer server.Close()
	endpoint := &Endpoint{URL: server.URL, clientID: "a:b", secret: "s& ä", http: newHTTPClient()}
	_, err := endpoint.Post(t.Context(), nil)
	if err == nil || err.Error() != "invalid_client: Check the client id" {
		t.Errorf("error %v", err)
	}
}

func TestBadUsageIsToldApartFromFailure(t *testing.T) {
	err := CheckID("..")
	if !terminal.IsBadUsage(err) {
		t.Errorf("%v is not a usage error", err)
	}
}
