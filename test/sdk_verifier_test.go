package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/resource"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// docs/protect.md shows this function.
func sdkVerifier(verifier resource.Verifier) auth.TokenVerifier {
	return func(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		t, err := verifier.Verify(ctx, token)
		if errors.Is(err, resource.ErrInactive) {
			return nil, auth.ErrInvalidToken // 401
		} else if err != nil {
			slog.ErrorContext(ctx, "a token cannot be checked", "error", err)
			return nil, errors.New("the token cannot be checked now") // 500, and the client gets to see this text
		}
		return &auth.TokenInfo{Scopes: t.Scope, Expiration: t.ExpiresAt, UserID: t.SubjectIssuer + "|" + t.Subject, Extra: map[string]any{"token": t}}, nil
	}
}

// tokenTable answers for tokens by name.
type tokenTable map[string]*resource.Token

func (v tokenTable) Verify(_ context.Context, token string) (*resource.Token, error) {
	if token == "outage" {
		return nil, errors.New("connection refused")
	}
	if found := v[token]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("wrapped: %w", resource.ErrInactive)
}

func TestTheSDKsMiddlewareTakesOurVerifier(t *testing.T) {
	inAnHour := time.Now().Add(time.Hour)
	verifier := sdkVerifier(tokenTable{
		"good":      {Subject: "ada", Scope: []string{"mcp:search"}, ExpiresAt: inAnHour},
		"elsewhere": {Subject: "ada", SubjectIssuer: "https://ci.example.com", Scope: []string{"mcp:search"}, ExpiresAt: inAnHour},
		"other":     {Subject: "ada", Scope: []string{"mcp:other"}, ExpiresAt: inAnHour},
	})
	guarded := auth.RequireBearerToken(verifier, &auth.RequireBearerTokenOptions{Scopes: []string{"mcp:search"}})(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, auth.TokenInfoFromContext(r.Context()).UserID)
		}))
	for token, want := range map[string]string{
		"good": "200 |ada", "elsewhere": "200 https://ci.example.com|ada", "other": "403 insufficient scope", "revoked": "401 invalid token", "outage": "500 the token cannot be checked now",
	} {
		r, w := httptest.NewRequest(http.MethodPost, "/authed/mcp", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+token)
		guarded.ServeHTTP(w, r)
		if got := fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String())); got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}

func TestTheDocumentShowsTheSDKsVerifier(t *testing.T) {
	source, err := os.ReadFile("sdk_verifier_test.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../docs/protect.md")
	if err != nil {
		t.Fatal(err)
	}
	_, function, _ := strings.Cut(string(source), "// docs/protect.md shows this function.\n")
	function, _, _ = strings.Cut(function, "\n}\n")
	if !strings.Contains(string(document), "```go\n"+function+"\n}\n```\n") {
		t.Errorf("docs/protect.md does not show this function:\n%s\n}", function)
	}
}
