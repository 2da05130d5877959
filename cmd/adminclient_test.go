package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/config"

	"github.com/google/go-cmp/cmp"
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

// fakeAPI is an admin API that answers as it is told, and a program that talks to it.
func fakeAPI(t *testing.T, handler http.HandlerFunc) (api *adminAPI, a *app, stdout *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	stdout = new(bytes.Buffer)
	a = &app{Console: console.Console{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: io.Discard}}
	return &adminAPI{origin: server.URL, key: "the-admin-key", keySource: "a file", http: newHTTPClient()}, a, stdout
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
			api, _, _ := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := api.call(t.Context(), apiCall{method: http.MethodGet, path: "/clients"})
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
	api, _, _ := fakeAPI(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := api.call(t.Context(), apiCall{method: http.MethodPost, path: "/clients", body: map[string]any{}})
	if err == nil || !strings.Contains(err.Error(), "look whether the change was made") {
		t.Errorf("after a POST: %v", err)
	}
	_, err = api.call(t.Context(), apiCall{method: http.MethodGet, path: "/clients"})
	if err == nil || strings.Contains(err.Error(), "look whether") {
		t.Errorf("after a GET: %v", err)
	}
}

func TestIDsStayOneSegmentOfThePath(t *testing.T) {
	var path string
	api, _, _ := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		answerJSON(w, 200, "{}")
	})
	for id, want := range map[string]string{"a": "/admin/v1/clients/a", "a/../b?c#d": "/admin/v1/clients/a%2F..%2Fb%3Fc%23d", "ä": "/admin/v1/clients/%C3%A4"} {
		escaped, err := segment(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.call(t.Context(), apiCall{method: http.MethodGet, path: "/clients/" + escaped}); err != nil {
			t.Fatal(err)
		}
		if path != want {
			t.Errorf("id %q: path %s, want %s", id, path, want)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		if _, err := segment(id); err == nil {
			t.Errorf("segment(%q) is accepted", id)
		}
	}
}

// adminSettings lets a command find the fake API the way it finds the real one.
func adminSettings(t *testing.T, a *app, api *adminAPI) *adminFlags {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin.key")
	if err := os.WriteFile(file, []byte("the-admin-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Environ = nil
	return &adminFlags{url: api.origin, keyFile: file}
}

func TestAnUpdateThatIsLateChangesNothingAndSaysSo(t *testing.T) {
	var methods []string
	api, a, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method+" "+r.Header.Get("If-Match"))
		if r.Header.Get("Authorization") != "Bearer the-admin-key" {
			t.Error("the admin key is not sent")
		}
		if r.Method == http.MethodGet {
			w.Header().Set("ETag", `"7"`)
			answerJSON(w, 200, `{"client_id":"ci"}`)
			return
		}
		answerJSON(w, 412, `{"title":"The client has changed"}`)
	})
	err := a.updateClient(t.Context(), adminSettings(t, a, api), "ci", map[string]any{"owner": "me"})
	if err == nil || !strings.Contains(err.Error(), "somebody else changed client ci at the same moment; nothing was changed") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"GET ", `PATCH "7"`}, methods); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout: %s", stdout)
	}
}

func TestASecretThatCannotBeKeptIsNotPrinted(t *testing.T) {
	api, a, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 201, `{"client_id":"ci","client_secret":"mcp_cs_secret"}`)
	})
	admin := adminSettings(t, a, api)
	file := filepath.Join(t.TempDir(), "secret")
	if err := a.createClient(t.Context(), admin, map[string]any{}, file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || string(content) != "mcp_cs_secret\n" {
		t.Errorf("file %q, %v", content, err)
	}
	output, err := console.CreateSecretFile(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	output.Discard()
	_, err = a.storeSecret(output, "ci", "mcp_cs_secret", []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "fosite-mcp client rotate ci") || strings.Contains(err.Error(), "mcp_cs_") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(stdout.String(), "mcp_cs_") {
		t.Errorf("stdout: %s", stdout)
	}
}

func TestAllPagesAreReadAndAServerThatGoesInCirclesIsNoticed(t *testing.T) {
	pages := map[string]string{"": `{"items":[1,2],"next_cursor":"a"}`, "a": `{"items":[3],"next_cursor":"b"}`, "b": `{"items":[]}`}
	api, a, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, pages[r.URL.Query().Get("cursor")])
	})
	a.JSON = true
	list := &listFlags{limit: 2, all: true}
	query, err := list.query()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.list(t.Context(), api, list, "/clients", query, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); got != `{"items":[1,2,3]}`+"\n" {
		t.Errorf("stdout %s", got)
	}
	pages["b"] = `{"items":[],"next_cursor":"b"}`
	query.Del("cursor")
	if err := a.list(t.Context(), api, list, "/clients", query, nil, nil); err == nil {
		t.Error("an endless list ends without an error")
	}
}

func TestFollowingTheAuditLogGoesOnAfterTheLastEvent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked []string
	api, a, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("after"))
		switch len(asked) {
		case 1:
			answerJSON(w, 200, `{"items":[{"id":7}]}`)
		case 2:
			answerJSON(w, 503, `{"title":"Service unavailable"}`)
		case 3:
			answerJSON(w, 200, `{"items":[{"id":8}]}`)
		default:
			cancel()
			answerJSON(w, 200, `{"items":[]}`)
		}
	})
	a.JSON = true
	f := &auditFlags{follow: true, list: listFlags{limit: defaultPage}, interval: time.Millisecond}
	query, err := f.query(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.audit(ctx, api, f, query); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "7", "7", "8"}, asked); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	if got := stdout.String(); got != "{\"id\":7}\n{\"id\":8}\n" {
		t.Errorf("stdout %s", got)
	}
}

func TestAnAnswerThatIsTooLongIsRefused(t *testing.T) {
	api, _, _ := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		for range apiBodyLimit/(1<<20) + 1 {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
	})
	if _, err := api.call(t.Context(), apiCall{method: http.MethodGet, path: "/clients"}); err == nil || !strings.Contains(err.Error(), "too long") {
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
	endpoint := &oauthEndpoint{url: server.URL, clientID: "a:b", secret: "s& ä", http: newHTTPClient()}
	_, err := endpoint.post(t.Context(), nil)
	if err == nil || err.Error() != "invalid_client: Check the client id" {
		t.Errorf("error %v", err)
	}
}

func TestIntrospectionAudienceIsTextOrList(t *testing.T) {
	for body, want := range map[string]string{`"a"`: "a", `["a","b"]`: "a b", `null`: "", `[]`: ""} {
		var aud any
		if err := json.Unmarshal([]byte(body), &aud); err != nil {
			t.Fatal(err)
		}
		if got := joined(aud); got != want {
			t.Errorf("aud %s: %q, want %q", body, got, want)
		}
	}
}

func TestIntrospectionShowsWhatIsKnownOfAPerson(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, `{"active":true,"sub":"user_1","groups":["docs","staff"],"auth_time":1795299540}`)
	}))
	defer server.Close()
	stdout := new(bytes.Buffer)
	a := &app{Console: console.Console{Stdout: stdout, Stderr: io.Discard}}
	endpoint := &oauthEndpoint{url: server.URL, clientID: "docs", secret: "s", http: newHTTPClient()}
	if err := a.introspect(t.Context(), endpoint, "token", true); err != nil {
		t.Fatal(err)
	}
	const want = "active     true\nsub        user_1\ngroups     docs staff\nauth_time  2026-11-21T22:19:00Z\n"
	if stdout.String() != want {
		t.Errorf("stdout\n%s\nwant\n%s", stdout, want)
	}
}

func TestBadUsageIsToldApartFromFailure(t *testing.T) {
	_, err := segment("..")
	if !console.IsBadUsage(err) {
		t.Errorf("%v is not a usage error", err)
	}
}
