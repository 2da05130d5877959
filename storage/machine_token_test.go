package storage

import (
	"testing"
	"time"

	"github.com/ory/fosite"
)

// leanSession holds a token's expiry as provider.Session does.
type leanSession struct {
	fosite.DefaultSession `json:"-"`
	Expiry                int64 `json:"at,omitempty"`
}

func (s *leanSession) SetExpiresAt(_ fosite.TokenType, at time.Time) { s.Expiry = at.UnixMilli() }

func (s *leanSession) GetExpiresAt(fosite.TokenType) (at time.Time) {
	if s.Expiry != 0 {
		at = time.UnixMilli(s.Expiry).UTC()
	}
	return at
}

func (s *leanSession) Clone() fosite.Session { c := *s; return &c }

// There is a row for each token of two weeks: what a column holds already is not stored again.
func TestATokenOfAMachineIsAShortRow(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t, WithSessions(&leanSession{}))
		request := store.authenticated(t, "machine")
		end := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		request.Form.Set("grant_type", "client_credentials")
		request.Session = &leanSession{Expiry: end.UnixMilli()}
		if err := store.CreateAccessTokenSession(soon(t), "signature", request); err != nil {
			t.Fatal(err)
		}
		var form, session string
		if err := store.db.Read(soon(t)).QueryRow(`SELECT form, session FROM {access_tokens}`).Scan(&form, &session); err != nil {
			t.Fatal(err)
		}
		if form != "!" || session != "{}" {
			t.Errorf("form %q and session %q are stored", form, session)
		}
		read, err := store.GetAccessTokenSession(soon(t), "signature", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := read.GetSession().GetExpiresAt(fosite.AccessToken); !got.Equal(end) {
			t.Errorf("the token ends at %s, want %s", got, end)
		}
		if got := read.GetRequestForm().Encode(); got != "grant_type=client_credentials" {
			t.Errorf("the form is read as %q", got)
		}
	})
}
