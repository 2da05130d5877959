package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// The configurations of docs/proxies, each in the real program.
func TestProxiesWithForwardAuth(t *testing.T) {
	for _, proxy := range debianProxies {
		t.Run(proxy.name, func(t *testing.T) {
			program := debianProgram(t, proxy.program, proxy.packages...)
			upstream := startOpenMCP(t)
			front := freeAddress(t)
			resource := "http://" + front + "/authed/mcp"
			s := startServer(t, binaries, "FOSITE_MCP_PUBLIC_URL=http://"+front,
				`FOSITE_MCP_SCOPES={"mcp:search":{"description":"Search","tools":["search"]},"mcp:other":{"description":"Other"}}`,
				`FOSITE_MCP_RESOURCES={"`+resource+`":{"name":"Documentation","scopes":["mcp:search","mcp:other"]}}`)
			log := proxy.start(t, program, front, s.public, upstream.address)
			waitFor(t, "http://"+front+"/.well-known/oauth-authorization-server", log)
			checkVerifyIsInside(t, front)
			checkProtected(t, s, resource, upstream)
			if proxy.name == "haproxy" {
				checkClearAnswersOnly(t, proxy, program)
			} else {
				checkDeployed(t, proxy, program)
			}
		})
	}
}

// checkVerifyIsInside goes through the ways in which somebody may write the path of verify.
func checkVerifyIsInside(t *testing.T, front string) {
	t.Helper()
	for _, path := range []string{"verify", "verify?resource=x", "%76erify", "/verify", "./verify", "x/../verify", "verify/", "VERIFY", "verify;x"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+front, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Opaque = "//" + front + "/authed/mcp/oauth/" + path // as it is
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s from outside: %d", path, response.StatusCode)
		}
	}
}

// The program itself is such a proxy, on another machine even.
func TestProxyCommand(t *testing.T) {
	t.Parallel()
	upstream, front := startOpenMCP(t), freeAddress(t)
	resource := "http://" + front + "/authed/mcp"
	s := startServer(t, binaries, `FOSITE_MCP_SCOPES={"mcp:search":{"description":"Search","tools":["search"]},"mcp:other":{"description":"Other"}}`,
		`FOSITE_MCP_RESOURCES={"`+resource+`":{"name":"Documentation","scopes":["mcp:search","mcp:other"]}}`)
	id, secret := s.register(map[string]any{"client_name": "proxy", "introspects": []string{resource}})
	command := exec.Command(s.binary, "proxy", "--upstream", "http://"+upstream.address+"/", "--listen", front, "--issuer", "http://"+s.public, "--client-id", id)
	log := new(lockedBuffer)
	command.Env, command.Stderr = append(os.Environ(), "MCP_PROXY_CLIENT_SECRET="+secret), log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		if err := command.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
		if strings.Contains(log.String(), secret) {
			t.Error("the log shows the secret")
		}
	})
	waitFor(t, "http://"+front+"/.well-known/oauth-protected-resource/authed/mcp", log)
	checkProtected(t, s, resource, upstream)
}

// openMCP is an MCP server that knows nothing of OAuth, and remembers what reached it.
type openMCP struct {
	address string
	seen    chan http.Header // of the last request
}

func startOpenMCP(t *testing.T) *openMCP {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "open", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "count"}, func(ctx context.Context, call *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		for i := range 3 {
			err := call.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: call.Params.GetProgressToken(), Progress: float64(i)})
			if err != nil {
				return nil, nil, err
			}
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "three"}}}, nil, nil
	})
	upstream := &openMCP{seen: make(chan http.Header, 1)}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-upstream.seen:
		default:
		}
		upstream.seen <- r.Header.Clone()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	upstream.address = listener.Listener.Addr().String()
	return upstream
}

// reached is what has reached the MCP server since the last call; nil: nothing.
func (m *openMCP) reached() http.Header {
	select {
	case h := <-m.seen:
		return h
	default:
		return nil
	}
}

// callersTrace is the trace of which the requests through a proxy are a part.
const callersTrace = "0af7651916cd43dd8448eb211c80319c"

// checkProtected goes through what can happen to a token, at an MCP server behind a proxy.
func checkProtected(t *testing.T, s *server, resource string, upstream *openMCP) {
	t.Helper()
	id, secret := s.register(map[string]any{"client_name": "agent"})
	good := s.token(id, secret)

	ask := func(token string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "X-Auth-Subject": {"admin"}, "X_Auth_Subject": {"admin"}, "X-Auth_Subject": {"admin"}, "X_Auth-Subject": {"admin"}, "X.Auth.Subject": {"admin"}, "X-Auth.Subject": {"admin"}, "X~auth|subject": {"admin"}, "Connection": {"X-Auth-Subject, X-Auth-Scope, Upgrade"}, "Upgrade": {"h2c"}, "X-Auth-Scope": {"all"}, "X-Auth-Subject-Issuer": {"https://evil.example.com"}, "X-Auth-Groups": {"staff"}, "X-Auth-Request-User": {"admin"}}
		request.Header.Set("Traceparent", "00-"+callersTrace+"-b7ad6b7169203331-01")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return response
	}
	s.badTokens(t, id, secret).check(t, ask, func() bool { return upstream.reached() != nil })
	ask(good)
	seen := upstream.reached()
	if fmt.Sprint(seen.Values("X-Auth-Subject"), seen.Values("X-Auth-Client-Id"), seen.Values("X-Auth-Scope")) != fmt.Sprintf("[%s] [%s] [mcp:search]", id, id) || len(seen.Values("X-Auth-Token-Id")) != 1 {
		t.Errorf("a good token: the MCP server sees %v", seen)
	}
	for name := range seen {
		if strings.ContainsAny(name, "_.~") || name == "Upgrade" || name == "X-Auth-Groups" || name == "X-Auth-Request-User" {
			t.Errorf("the MCP server sees %s", name)
		}
	}
	if seen.Get("Authorization") != "" {
		t.Error("the MCP server sees the token")
	}
	if !strings.Contains(seen.Get("Traceparent"), callersTrace) {
		t.Errorf("the MCP server is told of the trace %q", seen.Get("Traceparent"))
	}
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(s.stderr.String(), "trace_id="+callersTrace); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the authorization server is not told of the trace")
		}
	}

	if seen.Values("X-Auth-Subject-Issuer") != nil {
		t.Errorf("this server has named the subject: the MCP server sees %v", seen)
	}
	ask(s.workloadToken(t, id))
	if seen := upstream.reached(); seen.Get("X-Auth-Subject") != id || seen.Get("X-Auth-Subject-Issuer") != "https://ci.example.com" || len(seen.Values("X-Auth-Subject-Issuer")) != 1 {
		t.Errorf("the platform's subject of the same name: the MCP server sees %v", seen)
	}

	preflight, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, resource, nil)
	if err != nil {
		t.Fatal(err)
	}
	preflight.Header.Set("X-Auth-Subject", "admin")
	preflight.Header.Set("X-Auth-Groups", "staff")
	preflight.Header["X.Auth.Subject"] = []string{"admin"}
	if response, err := http.DefaultClient.Do(preflight); err != nil {
		t.Error(err)
	} else {
		response.Body.Close()
	}
	if seen := upstream.reached(); seen.Get("X-Auth-Subject") != "" || seen.Get("X-Auth-Groups") != "" || seen["X.auth.subject"] != nil {
		t.Errorf("a browser's preflight: the MCP server sees %v", seen)
	}

	searchThrough(t, s, resource, id, secret)

	_ = s.stop()
	upstream.reached()
	response := ask(good)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || response.Header.Get("WWW-Authenticate") != "" || upstream.reached() != nil {
		t.Errorf("without the authorization server: %d %v", response.StatusCode, response.Header)
	}
}

// badTokens are tokens for the default resource that do not let anybody in.
type badTokens struct{ short, revoked, other string }

// badTokens makes them. One of them is for mcp:other, which the server has to know.
func (s *server) badTokens(t *testing.T, id, secret string) badTokens {
	t.Helper()
	otherID, otherSecret := s.register(map[string]any{"client_name": "other", "scope": "mcp:other"})
	shortID, shortSecret := s.register(map[string]any{"client_name": "short", "access_token_lifespan": 1})
	bad := badTokens{s.token(shortID, shortSecret), s.token(id, secret), s.token(otherID, otherSecret)}
	s.run(bad.revoked, "token", "revoke", "--token-file", "-")
	return bad
}

// check goes through what is refused. Ask makes a request with a token, reached tells whether one was let through since the last call.
func (b badTokens) check(t *testing.T, ask func(token string) *http.Response, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ask(b.short).StatusCode != http.StatusUnauthorized; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a token of one second does not expire")
		}
	}
	reached()
	for _, test := range []struct {
		name, token string
		status      int
		challenge   string
	}{
		{"no token", "", 401, `Bearer resource_metadata="`},
		{"expired", b.short, 401, `error="invalid_token"`},
		{"revoked", b.revoked, 401, `error="invalid_token"`},
		{"garbage", "garbage", 401, `error="invalid_token"`},
		{"wrong scope", b.other, 403, `scope="mcp:search", error="insufficient_scope"`},
	} {
		response := ask(test.token)
		if got := response.Header.Values("WWW-Authenticate"); response.StatusCode != test.status || len(got) != 1 || !strings.Contains(got[0], test.challenge) {
			t.Errorf("%s: %d %q, want %d and one …%s…", test.name, response.StatusCode, got, test.status, test.challenge)
		}
		if reached() {
			t.Errorf("%s: it reached the MCP server", test.name)
		}
	}
}

// workloadToken is a token of a job that a platform calls subject.
func (s *server) workloadToken(t *testing.T, subject string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	platform := &issuerSite{t: t, key: key}
	keys, err := json.Marshal(platform.keys())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("", "issuer", "create", "--id", "ci_rule", "--name", "CI", "--issuer", "https://ci.example.com", "--subject", subject, "--jwks-file", file)
	status, answer := s.exchangeHere(t, platform.signed("JWT", map[string]any{"sub": subject, "aud": s.setting("PUBLIC_URL", "http://"+s.public)}, "https://ci.example.com"))
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	return token
}

// searchThrough is the Go SDK's machine client, from the URL of the MCP server to a tool that reports its progress in a stream.
func searchThrough(t *testing.T, s *server, resource, id, secret string) {
	t.Helper()
	credentials, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{Credentials: &oauthex.ClientCredentials{
		ClientID: id, Issuer: s.setting("PUBLIC_URL", "http://"+s.public), ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret},
	}})
	if err != nil {
		t.Fatal(err)
	}
	progress := make(chan float64, 10)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { progress <- r.Params.Progress },
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: resource, OAuthHandler: credentials, MaxRetries: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	call := &mcp.CallToolParams{Name: "count", Arguments: map[string]any{}}
	call.SetProgressToken("p")
	if _, err := session.CallTool(ctx, call); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		select {
		case got := <-progress:
			if got != float64(i) {
				t.Errorf("progress %v, want %d", got, i)
			}
		case <-ctx.Done():
			t.Fatal("the stream does not arrive")
		}
	}
}
