package test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// documentHost is an https site of a closed network that has one client metadata document.
type documentHost struct {
	*httptest.Server
	url string // of the document

	mu       sync.Mutex
	document map[string]any
}

func startDocumentHost(t *testing.T) *documentHost {
	t.Helper()
	h := &documentHost{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.document)
	}))
	t.Cleanup(h.Close)
	h.url = h.URL + "/oauth/client.json"
	h.document = map[string]any{"client_id": h.url, "client_name": "Documented app", "redirect_uris": []string{"http://127.0.0.1/callback", "http://localhost/callback"}}
	return h
}

func (h *documentHost) says(name string, value any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.document[name] = value
}

// trust are the settings of a server in the same closed network.
func (h *documentHost) trust(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"SSL_CERT_FILE=" + file, "FOSITE_MCP_REGISTRATION_INSECURE_ALLOW_PRIVATE_ADDRESSES=true"}
}

// Clients that nobody has registered, and that register nowhere: a document on their own site says who they are.
func TestClientsWithMetadataDocuments(t *testing.T) {
	h := startDocumentHost(t)
	s := startSite(t, h.trust(t)...)
	if !strings.Contains(s.stderr.String(), "registration.insecure_allow_private_addresses is on") {
		t.Errorf("the start does not name the dangerous setting:\n%s", s.stderr.String())
	}
	t.Run("TypeScript SDK", func(t *testing.T) {
		needClients(t)
		s.runNode(t, "document.test.mjs", "DOCUMENT_URL="+h.url)
	})
	var token string
	t.Run("Go SDK", func(t *testing.T) {
		session, source, _ := connectAsPerson(t, s, &auth.AuthorizationCodeHandlerConfig{ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: h.url}})
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "fosite"}}); err != nil {
			t.Fatal(err)
		}
		token = source.mustToken(t).AccessToken
	})

	t.Run("an administrator sees it, and shuts it out", func(t *testing.T) {
		shown := s.run("", "client", "show", h.url, "--json")
		for _, part := range []string{`"registered_by":"metadata_document"`, `"client_name":"Documented app"`, h.url} {
			if !strings.Contains(strings.ReplaceAll(shown, `": `, `":`), part) {
				t.Errorf("no %s in %s", part, shown)
			}
		}
		if listed := s.run("", "client", "list"); !strings.Contains(listed, h.url) {
			t.Errorf("it is not in the list:\n%s", listed)
		}
		if status := s.mcpStatus(token); status != http.StatusOK {
			t.Errorf("status %d of a token that is alive", status)
		}
		s.run("", "client", "disable", h.url)
		if status := s.mcpStatus(token); status != http.StatusUnauthorized {
			t.Errorf("status %d of a token whose client is disabled", status)
		}
		if status, page := s.authorizePage(t, h.url); status != http.StatusBadRequest || !strings.Contains(page, "An administrator has shut this application out") {
			t.Errorf("%d: %s", status, page)
		}
		s.run("", "client", "enable", h.url)
		if status := s.mcpStatus(token); status != http.StatusOK {
			t.Errorf("status %d after it was enabled again", status)
		}
	})
	t.Run("a document that is refused says why", func(t *testing.T) {
		other := h.URL + "/other.json"
		h.says("client_id", other)
		h.says("client_secret", "hush")
		status, page := s.authorizePage(t, other)
		if status != http.StatusBadRequest || !strings.Contains(page, "client_secret must not stand in a document that everybody can read") || strings.Contains(page, "hush") {
			t.Errorf("%d: %s", status, page)
		}
		s.kill() // and with it the log is complete
		if log := s.stderr.String(); !strings.Contains(log, "a client metadata document was refused") || !strings.Contains(log, other) {
			t.Errorf("nothing in the log:\n%s", log)
		}
	})
}

// Without the switch nothing is fetched from this network, whatever name it has.
func TestMetadataDocumentsOfPrivateAddressesAreRefused(t *testing.T) {
	h := startDocumentHost(t)
	s := startSite(t, h.trust(t)[0])
	for _, id := range []string{h.url, strings.Replace(h.url, "127.0.0.1", "localhost", 1)} {
		status, page := s.authorizePage(t, id)
		if status != http.StatusFailedDependency || !strings.Contains(page, "is not on the public internet") {
			t.Errorf("%s: %d: %s", id, status, page)
		}
	}
}

// authorizePage is what a browser shows that comes with an authorization request of a client.
func (s *site) authorizePage(t *testing.T, clientID string) (status int, page string) {
	t.Helper()
	query := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"s"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	response, err := http.Get("http://" + s.public + "/authed/mcp/oauth/authorize?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
