package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"fosite-mcp/internal/browser"

	"github.com/ory/fosite"
)

// How long a browser stays logged in: in all, and without a sign of life.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = time.Hour
	// touchEvery keeps page views from becoming writes.
	touchEvery = 5 * time.Minute
)

// The ways to log in.
const (
	byPassword = "local"
	byProvider = "oidc"
	byHeader   = "header"
)

// person is somebody who is logged in, and the data of a stored session.
type person struct {
	Subject  string   `json:"sub"`
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	// GroupsAt is when a provider named the groups. Those of the other ways to log in are looked up again for each request.
	GroupsAt time.Time `json:"groups_at,omitzero"`
	Method   string    `json:"method"`
	// AuthenticatedAt is when the person has proven who they are; zero: nothing says so. Sessions of earlier versions
	// hold another member, auth_time, which could be made up.
	AuthenticatedAt time.Time `json:"proven_at,omitzero"`

	token        string // the browser's cookie
	passwordHash []byte // what the password was compared with
}

// id stands for the session in what we sign, without being the cookie.
func (p *person) id() string { return digest("session", p.token) }

// current is who the browser is logged in as, or nil. An error is an outage.
func (s *Pages) current(r *http.Request) (*person, error) {
	token := s.cookies.Get(r, sessionCookie)
	if token == "" {
		return nil, nil
	}
	data, seenAt, err := s.Sessions.Find(r.Context(), token)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Now().Sub(seenAt) >= sessionIdle {
		return nil, s.Sessions.Delete(r.Context(), token)
	}
	p := &person{token: token}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("login: decode a session: %w", err)
	}
	if stands, err := s.stillStands(r, p); err != nil || !stands {
		return nil, err
	}
	if s.Now().Sub(seenAt) >= touchEvery {
		return p, s.Sessions.Touch(r.Context(), token)
	}
	return p, nil
}

// stillStands asks again what may have changed since the login: whether the account is there and enabled, and with
// which groups; whether the proxy still names the same person; whether this way to log in is still offered.
func (s *Pages) stillStands(r *http.Request, p *person) (bool, error) {
	switch p.Method {
	case byPassword:
		if s.Local == nil {
			return false, nil
		}
		subject, _, groups, err := s.Local.Accounts.LoginAccount(r.Context(), p.Username)
		if errors.Is(err, fosite.ErrNotFound) {
			return false, nil
		}
		p.Groups = groups
		return subject == p.Subject, err
	case byProvider:
		return s.oidc != nil && s.oidc.owns(p.Subject), nil
	case byHeader:
		named := s.headerPerson(r)
		if named == nil || named.Subject != p.Subject {
			return false, nil
		}
		p.Groups = named.Groups
		return true, nil
	}
	return false, nil
}

// groupsEnded tells that a provider has named the person's groups too long ago.
func (s *Pages) groupsEnded(p *person) bool {
	return p.Method == byProvider && s.GroupsMaxAge > 0 && len(p.Groups) > 0 && !s.Now().Before(p.GroupsAt.Add(s.GroupsMaxAge))
}

// begin logs the browser in as p. It always gets a new token: one that somebody had planted before the login is worth
// nothing afterwards.
func (s *Pages) begin(w http.ResponseWriter, r *http.Request, p *person) error {
	if previous := s.cookies.Get(r, sessionCookie); previous != "" {
		if err := s.Sessions.Delete(r.Context(), previous); err != nil {
			return err
		}
	}
	p.token = browser.NewToken()
	p.Groups = slices.Clip(p.Groups)
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("login: encode a session: %w", err)
	}
	end := s.Now().Add(sessionLife)
	if p.Method == byPassword {
		err = s.Sessions.CreateForPassword(r.Context(), p.token, p.Subject, p.Username, p.Method, p.passwordHash, data, end)
	} else {
		err = s.Sessions.Create(r.Context(), p.token, p.Subject, p.Username, p.Method, data, end)
	}
	if err != nil {
		return err
	}
	s.cookies.Set(w, sessionCookie, p.token, 0)
	s.Log.InfoContext(r.Context(), "logged in", "subject", p.Subject, "method", p.Method)
	return nil
}
