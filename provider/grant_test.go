package provider

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

const (
	strangersApp       = "https://app.example.com/callback"
	strangersVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	strangersChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// strangersProvider is a composition on fosite's own memory store, which knows nothing of ours.
func strangersProvider(t *testing.T) *Provider {
	t.Helper()
	oauth, err := New(strangersStore(), Options{SystemSecret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	return oauth
}

func strangersStore() *storage.MemoryStore {
	store := storage.NewMemoryStore()
	store.Clients["app"] = &fosite.DefaultClient{
		ID: "app", Public: true, RedirectURIs: []string{strangersApp}, GrantTypes: []string{"authorization_code", "refresh_token"},
		ResponseTypes: []string{"code"}, Scopes: []string{"mcp:search"}, Audience: []string{"https://docs.example.com/mcp"},
	}
	return store
}

func strangersCode(t *testing.T, oauth *Provider) string {
	t.Helper()
	query := url.Values{
		"client_id": {"app"}, "redirect_uri": {strangersApp}, "response_type": {"code"},
		"code_challenge": {strangersChallenge}, "code_challenge_method": {"S256"},
	}
	request, err := oauth.NewAuthorizeRequest(t.Context(), httptest.NewRequest("GET", "/authorize?"+query.Encode(), nil))
	if err != nil {
		t.Fatal(err)
	}
	request.GrantScope("mcp:search")
	response, err := oauth.NewAuthorizeResponse(t.Context(), request, &Session{Subject: "u1"})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetCode()
}

func tokenRequest(t *testing.T, oauth *Provider, form url.Values) (fosite.AccessResponder, error) {
	t.Helper()
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := oauth.NewAccessRequest(t.Context(), r, NewSession())
	if err != nil {
		return nil, err
	}
	return oauth.NewAccessResponse(t.Context(), request)
}

func redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {code}, "code_verifier": {strangersVerifier}}
}

// fosite's memory store deletes what it is told to delete: only the order of our steps keeps the challenge.
func TestOnAStrangersStoreAFailedVerifierUsesNothingUp(t *testing.T) {
	oauth := strangersProvider(t)
	code := strangersCode(t, oauth)
	for _, verifier := range []string{strings.Repeat("v", 43), "", strangersChallenge} {
		form := redemption(code)
		form.Set("code_verifier", verifier)
		if _, err := tokenRequest(t, oauth, form); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Errorf("verifier %q: %v, want invalid_grant", verifier, err)
		}
	}
	if _, err := tokenRequest(t, oauth, redemption(code)); err != nil {
		t.Errorf("the right verifier: %v", err)
	}
}

func TestOnAStrangersStoreTokensRotateAndReuseEndsTheGrant(t *testing.T) {
	oauth := strangersProvider(t)
	code := strangersCode(t, oauth)
	first, err := tokenRequest(t, oauth, redemption(code))
	if err != nil {
		t.Fatal(err)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {first.GetExtra("refresh_token").(string)}}
	second, err := tokenRequest(t, oauth, refresh)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokenRequest(t, oauth, redemption(code)); !errors.Is(err, fosite.ErrInvalidGrant) {
		t.Errorf("second redemption: %v, want invalid_grant", err)
	}
	if _, _, err := oauth.IntrospectToken(t.Context(), second.GetAccessToken(), fosite.AccessToken, NewSession()); err == nil {
		t.Error("the access token outlived the reuse of its code")
	}
}

func TestAStoreThatLacksAnInterfaceIsRefused(t *testing.T) {
	store := struct{ fosite.Storage }{storage.NewMemoryStore()}
	if _, err := New(store, Options{SystemSecret: []byte(strings.Repeat("s", 32))}); err == nil || !strings.Contains(err.Error(), "PKCERequestStorage") {
		t.Errorf("error %v, want one that names the interfaces", err)
	}
}

// ledger is a store with fosite's transactions, which writes down what happens to them.
type ledger struct {
	steps              []string
	commit, rollback   error
	withoutTransaction bool
}

type ledgerKey struct{}

func (l *ledger) BeginTX(ctx context.Context) (context.Context, error) {
	l.steps = append(l.steps, "begin")
	return context.WithValue(ctx, ledgerKey{}, true), nil
}

func (l *ledger) Commit(ctx context.Context) error {
	l.steps = append(l.steps, "commit")
	l.withoutTransaction = l.withoutTransaction || ctx.Value(ledgerKey{}) == nil
	return l.commit
}

func (l *ledger) Rollback(ctx context.Context) error {
	l.steps = append(l.steps, "rollback")
	l.withoutTransaction = l.withoutTransaction || ctx.Value(ledgerKey{}) == nil
	return l.rollback
}

func TestATransactionEndsOneWayOrTheOther(t *testing.T) {
	errWork, errCommit, errRollback := errors.New("work"), errors.New("commit"), errors.New("rollback")
	for name, c := range map[string]struct {
		work, commit, rollback error
		steps                  []string
		want                   []error
	}{
		"all is well":                   {nil, nil, nil, []string{"begin", "commit"}, nil},
		"the work fails":                {errWork, nil, nil, []string{"begin", "rollback"}, []error{errWork}},
		"the work and its undoing fail": {errWork, nil, errRollback, []string{"begin", "rollback"}, []error{errWork, errRollback}},
		"the commit fails":              {nil, errCommit, nil, []string{"begin", "commit", "rollback"}, []error{errCommit}},
	} {
		t.Run(name, func(t *testing.T) {
			store := &ledger{commit: c.commit, rollback: c.rollback}
			err := inTransaction(t.Context(), store, func(ctx context.Context) error {
				if ctx.Value(ledgerKey{}) == nil {
					t.Error("the work is not in the transaction")
				}
				return c.work
			})
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v in it", err, want)
				}
			}
			if (err == nil) != (len(c.want) == 0) || store.withoutTransaction {
				t.Errorf("error %v, without a transaction: %v", err, store.withoutTransaction)
			}
			if diff := cmp.Diff(c.steps, store.steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a store without any", func(t *testing.T) {
		if err := inTransaction(t.Context(), struct{}{}, func(context.Context) error { return errWork }); err != errWork {
			t.Errorf("error %v, want the work's own", err)
		}
	})
}
