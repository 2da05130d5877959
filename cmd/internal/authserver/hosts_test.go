package authserver

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ask sends a request under a host name.
func ask(t *testing.T, client *http.Client, method, address, host string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for name, values := range header {
		request.Header[name] = values
	}
	return answerTo(t, client, request)
}

var answeredHosts = []string{
	"127.0.0.1", "127.0.0.1:9999", "192.0.2.1:80", "[::1]:8081", "[2001:db8::1]", "localhost", "localhost:8080", "LocalHost.", "docs.example.com",
	"docs.example.com:443", "DOCS.Example.com", "docs.example.com.", "docs.example.com.:443", "server", "server:8080",
}

var refusedHosts = []string{
	"evil.example", "evil.example:8080", "evil.example.", "docs.example.com.evil.example", "xdocs.example.com", "example.com", "docs.example.com..",
	"localhost.evil.example", "127.0.0.1.evil.example", "sub.localhost", "2130706433", "127.1", "0x7f.0.0.1", "docs.example.com:x", "[evil.example]:80", "server.lan",
}

func TestOnlyKnownHostsAreAnswered(t *testing.T) {
	s := runServer(t, "PUBLIC_URL=https://docs.example.com", "ISSUER=https://login.example.com", "BEHIND_PROXY=true", `ALLOWED_HOSTS=["server"]`,
		`RESOURCES={"https://wiki.example.com/mcp":{"scopes":["mcp:search"]}}`)
	public := s.loopback()
	paths := map[string][]string{
		public: {"/authed/mcp/oauth/jwks.json", "/authed/mcp/oauth/authorize", "/authed/mcp/oauth/login", "/authed/mcp/oauth/token",
			"/.well-known/oauth-authorization-server", "/nothing", "//livez", "/livez/x"},
		s.AdminURL: {"/metrics", "/admin/v1/openapi.json", "/admin/v1/clients", "/nothing"},
	}
	for listener, list := range paths {
		for _, path := range list {
			for _, host := range answeredHosts {
				if response, text := ask(t, http.DefaultClient, http.MethodGet, listener+path, host, nil); response.StatusCode == http.StatusMisdirectedRequest {
					t.Errorf("%s at %s: %d %s", path, host, response.StatusCode, text)
				}
			}
			for _, host := range refusedHosts {
				response, text := ask(t, http.DefaultClient, http.MethodGet, listener+path, host, nil)
				if response.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(text, "allowed_hosts") || !strings.Contains(text, host) {
					t.Errorf("%s at %s: %d %s", path, host, response.StatusCode, text)
				}
			}
		}
		for _, probe := range []string{"/livez", "/readyz"} {
			for _, host := range append(answeredHosts, refusedHosts...) {
				if response, text := ask(t, http.DefaultClient, http.MethodGet, listener+probe, host, nil); response.StatusCode != http.StatusOK {
					t.Errorf("%s at %s: %d %s", probe, host, response.StatusCode, text)
				}
			}
		}
	}
	// The public listener answers for the issuer and for resources, whose metadata belongs to their hosts.
	for _, host := range []string{"login.example.com", "wiki.example.com"} {
		if response, text := ask(t, http.DefaultClient, http.MethodGet, public+"/.well-known/oauth-authorization-server", host, nil); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", host, response.StatusCode, text)
		}
		if response, _ := ask(t, http.DefaultClient, http.MethodGet, s.AdminURL+"/metrics", host, nil); response.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("metrics at %s: %d", host, response.StatusCode)
		}
	}
	if !strings.Contains(s.logged(), "allowed_hosts") || strings.Count(s.logged(), "allowed_hosts") > 2 {
		t.Errorf("the log should say it once for each listener:\n%s", s.logged())
	}
}

// loopback is the public listener's address, whatever public_url says.
func (s *runningServer) loopback() string { return "http://" + s.Public }

func TestTheRequestTargetNamesTheHost(t *testing.T) {
	s := runServer(t)
	for request, want := range map[string]int{
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":                                   http.StatusOK,
		"GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":                   http.StatusOK,
		"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":                http.StatusMisdirectedRequest,
		"GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n":             http.StatusMisdirectedRequest,
		"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n\r\n": http.StatusMisdirectedRequest,
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n":             http.StatusBadRequest,
		"GET /metrics HTTP/1.1\r\n\r\n":                                                      http.StatusBadRequest,
		"GET /metrics HTTP/1.1\r\nHost:\r\n\r\n":                                             http.StatusMisdirectedRequest,
		"GET /metrics HTTP/1.0\r\n\r\n":                                                      http.StatusMisdirectedRequest,
		"GET /readyz HTTP/1.0\r\n\r\n":                                                       http.StatusOK,
	} {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.AdminURL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(connection, request)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if response.StatusCode != want {
			t.Errorf("%q: %d, want %d", request, response.StatusCode, want)
		}
		connection.Close()
	}
}

// certificate writes a certificate for docs.example.com and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"docs.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: certDER}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTheAuthorityOfHTTP2NamesTheHost(t *testing.T) {
	certFile, keyFile := certificate(t)
	s := runServer(t, "TLS_CERT_FILE="+certFile, "TLS_KEY_FILE="+keyFile, "PUBLIC_URL=https://docs.example.com")
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for host, want := range map[string]int{"docs.example.com": http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
		response, _ := ask(t, client, http.MethodGet, "https://"+s.Public+"/authed/mcp/oauth/jwks.json", host, nil)
		if response.StatusCode != want || response.ProtoMajor != 2 {
			t.Errorf("%s: %d over %s, want %d", host, response.StatusCode, response.Proto, want)
		}
	}
}

// A page whose name leads to this server is of the same origin as what it gets there. Where a proxy in front says who
// sits at the browser, the page could consent in that person's name.
func TestARebindingPageCannotConsentByHeaderLogin(t *testing.T) {
	s := runServer(t, "BEHIND_PROXY=true", `LOGIN_METHODS=["header"]`, "LOGIN_HEADER_NAME=X-Forwarded-User", `LOGIN_HEADER_PROXIES=["127.0.0.0/8"]`)
	var client struct {
		ID string `json:"client_id"`
	}
	s.admin(t, http.MethodPost, "/clients", `{"client_name":"app","redirect_uris":["https://app.example.com/cb"],"grant_types":["authorization_code"],"token_endpoint_auth_method":"none"}`, &client)
	query := url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {"https://app.example.com/cb"}, "state": {"0123456789"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	proxied := http.Header{"X-Forwarded-User": {"alice"}}
	for host, want := range map[string]bool{"localhost": true, "evil.example": false} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		response, page := ask(t, browser, http.MethodGet, s.oauth("authorize")+"?"+query.Encode(), host, proxied)
		shown := response.StatusCode == http.StatusOK && strings.Contains(page, "csrf")
		if shown != want || !want && response.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d %s", host, response.StatusCode, page)
		}
		sent := proxied.Clone()
		sent.Set("Origin", fmt.Sprintf("http://%s", host))
		if response, page := ask(t, browser, http.MethodPost, s.oauth("consent"), host, sent); (response.StatusCode != http.StatusMisdirectedRequest) != want {
			t.Errorf("consent at %s: %d %s", host, response.StatusCode, page)
		}
	}
}
