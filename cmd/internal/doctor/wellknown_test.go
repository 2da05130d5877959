package doctor

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/config"
)

// fakes are answers of a proxy in place of a document's; nil answers as the server does.
var fakes = []struct {
	name          string
	answer        http.HandlerFunc
	change        func(document string) string
	status        Status
	found, remedy string
}{
	{name: "all is well", status: OK, found: "documents are the same"},
	{name: "a redirect", answer: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example.com/start?token=geheim", http.StatusFound)
	}, status: Problem, found: "redirects to https://login.example.com/start", remedy: "no redirect"},
	{name: "a path that is not passed on", answer: http.NotFound, status: Problem, found: "is not there (404)", remedy: "pass /.well-known/"},
	{name: "a wrong host", answer: status(http.StatusMisdirectedRequest), status: Problem, found: "refuses the Host", remedy: "allowed_hosts"},
	{name: "a proxy without its server", answer: status(http.StatusBadGateway), status: Problem, found: "answers 502", remedy: "the server runs"},
	{name: "a login in front", answer: status(http.StatusUnauthorized), status: Problem, found: "answers 401", remedy: "without a login"},
	{name: "a web page", change: func(string) string { return "<!DOCTYPE html><title>Welcome</title>" }, status: Problem, found: "is a web page", remedy: "to the server"},
	{name: "something else", change: func(string) string { return `null` }, status: Problem, found: "is no JSON object", remedy: "to the server"},
	{name: "another issuer", change: func(s string) string { return strings.Replace(s, `"issuer":"http`, `"issuer":"x-http`, 1) },
		status: Problem, found: `issuer is "x-http`, remedy: "which server"},
	{name: "another endpoint", change: func(s string) string { return strings.Replace(s, `/token"`, `/tokens"`, 1) },
		status: Problem, found: `token_endpoint is "http`, remedy: "which server"},
	{name: "other scopes", change: func(s string) string {
		return strings.Replace(s, `"scopes_supported":[`, `"scopes_supported":["old",`, 1)
	},
		status: Warning, found: "scopes_supported", remedy: "restart the server"},
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// served is a site, with a proxy in front that answers as in fake.
func served(t *testing.T, fake int, secure bool) (*site, *httptest.Server) {
	t.Helper()
	s := newSite(t)
	var cfg config.Config
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		documents, err := authserver.Documents(r.Context(), s.store, cfg)
		if err != nil {
			t.Error(err)
		}
		i := slices.IndexFunc(documents, func(d authserver.Document) bool { return d.URL == cfg.PublicURL+r.URL.Path })
		switch {
		case i < 0:
			http.NotFound(w, r)
		case fakes[fake].answer != nil:
			fakes[fake].answer(w, r)
		case fakes[fake].change != nil:
			_, _ = w.Write([]byte(fakes[fake].change(string(documents[i].Body))))
		default:
			_, _ = w.Write(documents[i].Body)
		}
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		proxy.StartTLS()
	} else {
		proxy.Start()
	}
	t.Cleanup(proxy.Close)
	s.set("PUBLIC_URL", proxy.URL)
	cfg = s.config()
	return s, proxy
}

// outside are the findings about the documents.
func (s *site) outside(client *http.Client) (findings []Finding) {
	s.t.Helper()
	for _, finding := range Examine(s.t.Context(), Options{Config: s.config(), HTTP: client, Now: func() time.Time { return s.now }}) {
		if finding.Check == "well_known" {
			findings = append(findings, finding)
		}
	}
	return findings
}

func TestDocumentsAreComparedFromOutside(t *testing.T) {
	for i, c := range fakes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := served(t, i, false)
			findings := s.outside(nil)
			if Worst(findings) != c.status || len(findings) == 0 {
				t.Fatalf("%+v, want %s", findings, c.status)
			}
			if !slices.ContainsFunc(findings, func(f Finding) bool {
				return strings.Contains(f.Found, c.found) && strings.Contains(f.Remedy, c.remedy)
			}) {
				t.Errorf("%+v, want %q with %q", findings, c.found, c.remedy)
			}
			for _, finding := range findings {
				if strings.Contains(finding.Found, "geheim") {
					t.Errorf("a query in %+v", finding)
				}
			}
		})
	}
}

// Each form in which clients look for the metadata is fetched, that of a resource, and the keys where tokens are JWTs.
func TestEveryFormOfTheDocumentsIsCompared(t *testing.T) {
	s := newSite(t)
	s.set("ISSUER", "https://docs.example.com/mcp")
	s.set("TOKENS_FORMAT", "jwt")
	documents, err := authserver.Documents(t.Context(), s.store, s.config())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, document := range documents {
		paths = append(paths, strings.TrimPrefix(document.URL, "https://docs.example.com"))
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration/mcp", "/mcp/.well-known/openid-configuration",
		"/.well-known/oauth-protected-resource/authed/mcp", "/authed/mcp/oauth/jwks.json"} {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is not among %v", path, paths)
		}
	}
}

func TestWhatIsWrongWithTLSIsNamed(t *testing.T) {
	one := func(s *site, client *http.Client, status Status, found, remedy string) {
		t.Helper()
		findings := s.outside(client)
		if len(findings) != 1 || findings[0].Status != status || !strings.Contains(findings[0].Found, found) || !strings.Contains(findings[0].Remedy, remedy) {
			t.Errorf("%+v, want one %s with %q and %q", findings, status, found, remedy)
		}
	}
	s, proxy := served(t, 0, true)
	one(s, proxy.Client(), OK, "documents are the same", "")
	one(s, nil, Problem, "certificate", "by an authority that clients trust")
	end := proxy.Certificate().NotAfter
	s.now = end.Add(-24 * time.Hour)
	one(s, proxy.Client(), Warning, "the certificate of 127.0.0.1", "renew")
	s.now = time.Now()
	named := proxy.Client()
	named.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: named.Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "other.test"}
	named.CloseIdleConnections()
	one(s, named, Problem, "the certificate is not for other.test", "for this name")

	plain, server := served(t, 0, false)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	plain.set("PUBLIC_URL", "https://"+at.Host)
	one(plain, nil, Problem, "lacks TLS", "tls.cert_file")
	server.Close()
	one(plain, nil, Problem, "nothing listens at https://"+at.Host, "--offline")
}

// Without a database the metadata are compared even so.
func TestDocumentsNeedNoDatabase(t *testing.T) {
	s, _ := served(t, 0, false)
	s.set("DATABASE_URL", "sqlite:"+s.folder)
	if findings := s.outside(nil); Worst(findings) != OK || len(findings) != 1 {
		t.Errorf("%+v", findings)
	}
}
