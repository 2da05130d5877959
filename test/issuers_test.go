package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

const (
	jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	idToken   = "the-id-token-of-ada" // what the identity provider has given the person's client
)

// issuerSite is an issuer of a closed network: a platform that proves who its jobs are, and an enterprise's identity provider.
type issuerSite struct {
	*documentHost
	t   *testing.T
	key *ecdsa.PrivateKey
}

func startIssuer(t *testing.T) *issuerSite {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuerSite{documentHost: new(documentHost), t: t, key: key}
	site := http.NewServeMux()
	i.Server = httptest.NewTLSServer(site)
	t.Cleanup(i.Close)
	metadata := answerJSON(map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "token_endpoint": i.URL + "/token", "authorization_endpoint": i.URL + "/authorize",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "grant_types_supported": []string{"urn:ietf:params:oauth:grant-type:token-exchange"},
	})
	site.HandleFunc("/.well-known/openid-configuration", metadata)
	site.HandleFunc("/.well-known/oauth-authorization-server", metadata)
	site.HandleFunc("/keys", answerJSON(i.keys()))
	site.HandleFunc("POST /token", i.exchange)
	return i
}

func answerJSON(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}

// exchange gives an identity assertion for an ID token (RFC 8693), to the client that is called app at the MCP server.
func (i *issuerSite) exchange(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm(); r.PostForm.Get("subject_token") != idToken || r.PostForm.Get("requested_token_type") != "urn:ietf:params:oauth:token-type:id-jag" {
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{"sub": "U019488227", "aud": r.PostForm.Get("audience"), "client_id": "app", "scope": "mcp:search"}
	if resource := r.PostForm.Get("resource"); resource != "" {
		claims["resource"] = resource
	}
	answerJSON(map[string]any{
		"access_token": i.assertion("oauth-id-jag+jwt", claims), "token_type": "N_A", "expires_in": 300,
		"issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
	})(w, r)
}

// assertion signs claims, and adds what every assertion has.
func (i *issuerSite) assertion(typ jose.ContentType, claims map[string]any) string {
	return i.signed(typ, claims, i.URL)
}

func (i *issuerSite) keys() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
}

// signed is an assertion of any issuer, with the key of this one.
func (i *issuerSite) signed(typ jose.ContentType, claims map[string]any, issuer string) string {
	now := time.Now().Unix()
	for name, value := range map[string]any{"iss": issuer, "jti": rand.Text(), "iat": now, "nbf": now - 60, "exp": now + 300} {
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	options := new(jose.SignerOptions)
	if typ != "" {
		options = options.WithType(typ)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, options)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// exchangeHere sends an assertion to the token endpoint, and nothing else.
func (s *server) exchangeHere(t *testing.T, assertion string) (status int, answer map[string]any) {
	t.Helper()
	response, err := http.PostForm("http://"+s.public+"/authed/mcp/oauth/token", url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// A job that nobody has registered uses the search server with what its platform says of it, until the rule is deleted.
func TestAJobUsesTheSearchServerWithoutAClient(t *testing.T) {
	platform := startIssuer(t)
	s := startSite(t, platform.trust(t)...)
	job := func() map[string]any {
		return map[string]any{"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "aud": "http://" + s.public, "repository": "octo-org/octo-repo"}
	}
	if status, answer := s.exchangeHere(t, platform.assertion("JWT", job())); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("without a rule: %d %v", status, answer)
	}
	s.run("", "issuer", "create", "--id", "ci", "--name", "CI", "--issuer", platform.URL, "--subject", "repo:octo-org/*:ref:refs/heads/main")
	assertion := platform.assertion("JWT", job())
	status, answer := s.exchangeHere(t, assertion)
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || answer["refresh_token"] != nil || answer["scope"] != "mcp:search" {
		t.Fatalf("%d %v", status, answer)
	}
	if status, answer := s.exchangeHere(t, assertion); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("used again: %d %v", status, answer)
	}
	if status := s.mcpStatus(token); status != http.StatusOK {
		t.Errorf("status %d at the search server", status)
	}
	if listed := s.run("", "client", "list", "--json"); strings.Contains(listed, `"ci"`) {
		t.Errorf("the rule is a client: %s", listed)
	}
	if listed := s.run("", "issuer", "tokens", "ci", "--subject", "repo:octo-org/octo-repo:ref:refs/heads/main"); !strings.Contains(listed, "active") {
		t.Errorf("its tokens: %s", listed)
	}
	if recorded := s.run("", "audit", "--action", "assertion.refused"); !strings.Contains(recorded, "unknown") {
		t.Errorf("the audit log: %s", recorded)
	}
	s.run("", "issuer", "delete", "ci", "--yes")
	if status := s.mcpStatus(token); status != http.StatusUnauthorized {
		t.Errorf("status %d once the rule is deleted", status)
	}
	s.run("", "issuer", "create", "--id", "down", "--name", "CI", "--issuer", "https://127.0.0.1:1", "--subject", "repo:octo-org/**")
	claims := job()
	platform.URL = "https://127.0.0.1:1" // which answers nobody
	if status, answer := s.exchangeHere(t, platform.assertion("JWT", claims)); status != http.StatusServiceUnavailable || answer["error"] != "temporarily_unavailable" {
		t.Errorf("an issuer that is down: %d %v", status, answer)
	}
}

// An enterprise lets a client act for a person, who sees no page of ours.
func TestClientsThatAnEnterpriseLetsIn(t *testing.T) {
	enterprise := startIssuer(t)
	trust := enterprise.trust(t)
	s := startSite(t, trust...)
	if announced := s.announcedProfiles(t); announced != nil {
		t.Errorf("announced without a rule: %v", announced)
	}
	s.run("", "issuer", "create", "--id", "acme", "--name", "Acme", "--profile", "id-jag", "--issuer", enterprise.URL)
	_, secret := s.register(map[string]any{"client_id": "app", "client_name": "app", "grant_types": []string{jwtBearer}})

	t.Run("Go SDK", func(t *testing.T) {
		handler, err := extauth.NewEnterpriseHandler(&extauth.EnterpriseHandlerConfig{
			IdPIssuerURL: enterprise.URL, IdPCredentials: &oauthex.ClientCredentials{ClientID: "app-at-acme"},
			MCPAuthServerURL: "http://" + s.public, MCPResourceURI: s.resource, MCPScopes: []string{"mcp:search"},
			MCPCredentials: &oauthex.ClientCredentials{ClientID: "app", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}},
			IDTokenFetcher: func(context.Context) (*oauth2.Token, error) {
				return new(oauth2.Token).WithExtra(map[string]any{"id_token": idToken}), nil
			},
			HTTPClient: enterprise.Client(),
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens := &recorder{next: http.DefaultTransport}
		session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: s.resource, OAuthHandler: handler, HTTPClient: &http.Client{Transport: tokens}, MaxRetries: -1,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "fosite"}})
		if err != nil || result.IsError || len(result.Content) == 0 {
			t.Errorf("%+v, %v", result, err)
		}
		s.run("", "issuer", "disable", "acme")
		if status := s.mcpStatus(tokens.last()); status != http.StatusUnauthorized {
			t.Errorf("status %d once the rule is disabled", status)
		}
		s.run("", "issuer", "enable", "acme")
	})
	t.Run("TypeScript SDK", func(t *testing.T) {
		needClients(t)
		s.runNode(t, "enterprise.test.mjs", "IDP_URL="+enterprise.URL, "ID_TOKEN="+idToken, "APP_SECRET="+secret,
			"NODE_EXTRA_CA_CERTS="+strings.TrimPrefix(trust[0], "SSL_CERT_FILE="))
	})
}

// announcedProfiles are those of the metadata.
func (s *site) announcedProfiles(t *testing.T) any {
	t.Helper()
	response, err := http.Get("http://" + s.public + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var document map[string]any
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document["authorization_grant_profiles_supported"]
}

// The steps of the document, with a GitHub and a cluster that the test plays.
func TestTheWorkloadsDocumentWorksAsPasted(t *testing.T) {
	platform := startIssuer(t)
	r := newReader(t)
	server := "http://" + r.public
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Authorization") != "Bearer of-the-job" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		job := map[string]any{"sub": "repo:my-org/my-repo:ref:refs/heads/main", "aud": request.URL.Query().Get("audience")}
		answerJSON(map[string]any{"count": 1, "value": platform.signed("JWT", job, "https://token.actions.githubusercontent.com")})(w, request)
	}))
	t.Cleanup(github.Close)
	r.environment = append(r.environment, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=of-the-job", "ACTIONS_ID_TOKEN_REQUEST_URL="+github.URL+"/?api-version=2")
	keys, err := json.Marshal(platform.keys())
	if err != nil {
		t.Fatal(err)
	}
	pod := platform.signed("", map[string]any{"sub": "system:serviceaccount:search:indexer", "aud": []string{server}}, platform.URL)
	script := "#!/bin/sh\ncase \"$*\" in\n*jwks) echo '" + string(keys) + "' ;;\n*openid-configuration) echo '{\"issuer\":\"" + platform.URL + "\"}' ;;\n*) echo '" + pod + "' ;;\nesac\n"
	for name, content := range map[string]string{"kubectl": script, "github-keys.json": string(keys)} {
		if err := os.WriteFile(filepath.Join(r.folder, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.environment = append(r.environment, "PATH="+r.folder+":"+pathOf(r.environment))
	r.leave("fosite-mcp serve", r.public)
	blocks := shellBlocks(t, "docs/workloads.md")
	if len(blocks) != 6 {
		t.Fatalf("%d blocks, want 6: what runs the others?", len(blocks))
	}
	r.paste(blocks[0])
	r.paste("fosite-mcp issuer update my_repo --jwks-file github-keys.json") // the test cannot sign with GitHub's
	for name, output := range map[string]string{"GitHub": r.paste(blocks[1]), "GitLab": r.paste(blocks[2]), "Kubernetes": r.paste(blocks[3] + blocks[4])} {
		if want := map[bool]string{true: "project_path:my-group/my-project", false: `"access_token":"mcp_at_`}[name == "GitLab"]; !strings.Contains(output, want) {
			t.Errorf("%s: %s", name, output)
		}
	}
	r.paste(blocks[5])
	r.paste("fosite-mcp client update indexer_client --assertion-issuer " + platform.URL) // the test's cluster
	answer := r.paste(`curl -sS --fail-with-body -d grant_type=client_credentials -d client_id=indexer_client -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d "client_assertion=$(kubectl create token indexer)" ` + server + `/authed/mcp/oauth/token`)
	if !strings.Contains(answer, `"access_token":"mcp_at_`) {
		t.Errorf("the platform's client: %s", answer)
	}
	r.paste(shellBlocks(t, "docs/enterprise.md")[0])
	r.wantPrivate("chat_app.secret")
}

// pathOf is the PATH that a process with this environment has.
func pathOf(environment []string) (path string) {
	for _, variable := range environment {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	return path
}
