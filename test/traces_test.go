package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/oauth2"
)

// A person logs in, an application gets and refreshes tokens, an administrator looks: what goes to the collector of traces tells of all
// of it, and holds nothing that opens anything.
func TestNothingSecretLeavesWithTheTraces(t *testing.T) {
	t.Parallel()
	var sent lockedBuffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(&sent, r.Body) }))
	defer collector.Close()
	s := startServer(t, binaries, "FOSITE_MCP_TRACING_ENDPOINT="+collector.URL, "FOSITE_MCP_TRACING_MAX_PER_SECOND=10000")
	const password = "correct horse battery staple"
	s.run(password+"\n", "user", "create", "--username", "zenobia", "--password-file", "-")
	id, secret := s.register(map[string]any{"client_name": "desktop app", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}})
	config := oauth2.Config{ClientID: id, ClientSecret: secret, RedirectURL: personsRedirect, Scopes: []string{"mcp:search"},
		Endpoint: oauth2.Endpoint{AuthURL: s.endpoints + "/authorize", TokenURL: s.endpoints + "/token"}}
	verifier, zenobia := oauth2.GenerateVerifier(), newPerson(t, "zenobia", password)
	answer, err := zenobia.allow(t.Context(), config.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier)), personsRedirect)
	if err != nil || answer.Get("code") == "" {
		t.Fatalf("%v, %v", answer, err)
	}
	token, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	refreshed, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	s.run("", "client", "list")
	if err := s.command.Process.Signal(syscall.SIGINT); err != nil { // what waits is sent
		t.Fatal(err)
	}
	_ = s.command.Wait()

	traces := sent.String()
	for _, told := range []string{"GET /authed/mcp/oauth/authorize", "POST /authed/mcp/oauth/login", "refresh_token", "GET /admin/v1/clients", "INSERT refresh_tokens", id} {
		if !strings.Contains(traces, told) {
			t.Errorf("nothing is told of %s", told)
		}
	}
	wantNoSecret(t, traces)
	hidden := []string{password, verifier, oauth2.S256ChallengeFromVerifier(verifier), "the-state", secret, s.adminKey(), answer.Get("code"), "zenobia"}
	for _, opaque := range []string{token.AccessToken, token.RefreshToken, refreshed.AccessToken, refreshed.RefreshToken, answer.Get("code")} {
		_, signature, _ := strings.Cut(opaque, ".") // by which the database knows it
		hidden = append(hidden, opaque, signature)
	}
	site, err := url.Parse(s.endpoints)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range zenobia.client.Jar.Cookies(site) {
		hidden = append(hidden, cookie.Value)
	}
	for _, secret := range hidden {
		if secret == "" || strings.Contains(traces, secret) {
			t.Errorf("%q left with the traces", secret)
		}
	}
}
