package provider

import (
	"context"
	"hash"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

// countedHash counts how often the HMAC under a key is computed.
type countedHash struct {
	hash.Hash
	sums *int
}

func (h countedHash) Sum(b []byte) []byte {
	*h.sums++
	return h.Hash.Sum(b)
}

func TestAnIntrospectionChecksTheTokenOnce(t *testing.T) {
	s := newStrategy(t, secretA)
	store := storage.NewMemoryStore()
	token, signature, err := s.GenerateAccessToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request := fosite.NewAccessRequest(NewSession())
	request.Client, request.GrantedScope = &fosite.DefaultClient{ID: "ci", Public: true, Scopes: []string{"profile"}}, fosite.Arguments{"profile"}
	request.RequestedAt = time.Now()
	if err := store.CreateAccessTokenSession(t.Context(), signature, request); err != nil {
		t.Fatal(err)
	}
	oauth := compose.Compose(s.config.(*fosite.Config), store, s, MissingSecretFactory, compose.OAuth2TokenIntrospectionFactory, MCPSearchFactory(DefaultScopes()))
	sums := 0
	key := &s.access.keys[0]
	counted := key.macs.New().(*keyedMAC)
	counted.Hash = countedHash{counted.Hash, &sums}
	key.macs = &sync.Pool{New: func() any { return counted }}

	ctx, known := s.WithToken(t.Context(), token)
	if known != signature {
		t.Errorf("signature %q, want %q", known, signature)
	}
	if _, _, err := oauth.IntrospectToken(ctx, token, fosite.AccessToken, NewSession()); err != nil {
		t.Fatal(err)
	}
	if got := s.AccessTokenSignature(ctx, token); got != signature {
		t.Errorf("signature %q, want %q", got, signature)
	}
	if sums != 1 {
		t.Errorf("the HMAC was computed %d times, want once", sums)
	}
}

// What is known of a token says nothing of another one, and nothing to a strategy with other secrets.
func TestWhatIsKnownOfATokenIsForThatTokenAndStrategyAlone(t *testing.T) {
	s, stranger := newStrategy(t, secretA), newStrategy(t, secretB)
	token, signature, _ := s.GenerateAccessToken(t.Context(), nil)
	other, otherSignature, _ := s.GenerateAccessToken(t.Context(), nil)
	refresh, refreshSignature, _ := s.GenerateRefreshToken(t.Context(), nil)
	theirs, theirSignature, _ := stranger.GenerateAccessToken(t.Context(), nil)
	altered := token[:30] + "x" + token[31:]
	if altered == token {
		altered = token[:30] + "y" + token[31:]
	}
	contexts := map[string]func() (context.Context, string){
		"nothing":             func() (context.Context, string) { return t.Context(), "" },
		"the token":           func() (context.Context, string) { return s.WithToken(t.Context(), token) },
		"another token":       func() (context.Context, string) { return s.WithToken(t.Context(), other) },
		"a refresh token":     func() (context.Context, string) { return s.WithToken(t.Context(), refresh) },
		"an altered token":    func() (context.Context, string) { return s.WithToken(t.Context(), altered) },
		"a missing secret's":  func() (context.Context, string) { return s.WithToken(t.Context(), theirs) },
		"what a stranger saw": func() (context.Context, string) { return stranger.WithToken(t.Context(), token) },
		"no token":            func() (context.Context, string) { return s.WithToken(t.Context(), "") },
	}
	for name, known := range contexts {
		ctx, _ := known()
		for text, want := range map[string][3]string{ // signatures as an access token, as a refresh token, unverified
			token: {signature, "", ""}, other: {otherSignature, "", ""}, refresh: {"", refreshSignature, ""}, altered: {}, theirs: {"", "", theirSignature}, "": {},
		} {
			unverified := ""
			if checked := s.checked(ctx, text); !checked.ours() {
				unverified = checked.signature
			}
			got := [3]string{s.AccessTokenSignature(ctx, text), s.RefreshTokenSignature(ctx, text), unverified}
			if got != want {
				t.Errorf("known is %s: %.20s… has the signatures %q, want %q", name, text, got, want)
			}
			valid := s.ValidateAccessToken(ctx, &fosite.Request{Session: NewSession(), RequestedAt: time.Now()}, text) == nil
			if valid != (want[0] != "") {
				t.Errorf("known is %s: %.20s… is valid: %v", name, text, valid)
			}
		}
		if got := stranger.AccessTokenSignature(ctx, token); got != "" {
			t.Errorf("known is %s: a strategy with other secrets takes the token for its own", name)
		}
	}
}
