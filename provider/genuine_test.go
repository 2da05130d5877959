package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
)

// fosite's strategies refuse an expired token unseen. A used code that has expired is reuse all the same.
func TestAnExpiredTokenIsGenuineAndHalfATokenIsNot(t *testing.T) {
	for name, strategy := range map[string]oauth2.CoreStrategy{
		"ours":     newStrategy(t, secretA),
		"fosite's": compose.NewOAuth2HMACStrategy(&fosite.Config{GlobalSecret: []byte(secretA)}),
	} {
		code, _, err := strategy.GenerateAuthorizeCode(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for what, session := range map[string]fosite.Session{"ours": NewSession(), "fosite's": &fosite.DefaultSession{}, "none": nil, "a nil one": (*fosite.DefaultSession)(nil)} {
			request := &fosite.Request{RequestedAt: time.Now().AddDate(-1, 0, 0), Client: &fosite.DefaultClient{ID: "app"}, Session: session}
			if what == "ours" || what == "fosite's" {
				session.SetExpiresAt(fosite.AuthorizeCode, time.Now().AddDate(-1, 0, 0))
			}
			if !genuine(t.Context(), strategy.ValidateAuthorizeCode, fosite.AuthorizeCode, request, code) {
				t.Errorf("%s strategy, session: %s: an expired code is not genuine", name, what)
			}
			half := strings.Repeat("A", 51) + code[strings.Index(code, "."):]
			if genuine(t.Context(), strategy.ValidateAuthorizeCode, fosite.AuthorizeCode, request, half) {
				t.Errorf("%s strategy, session: %s: half a code is genuine", name, what)
			}
			if what == "ours" && request.Session.GetExpiresAt(fosite.AuthorizeCode).After(time.Now()) {
				t.Error("the request's own session was changed")
			}
		}
	}
}
