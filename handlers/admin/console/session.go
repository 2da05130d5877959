package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/internal/browser"
	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// How long a browser stays logged in: in all, and without a sign of life.
const (
	sessionLife = 8 * time.Hour
	sessionIdle = 30 * time.Minute
	// touchEvery keeps page views from becoming writes.
	touchEvery = time.Minute
)

const (
	sessionCookie = "fosite_mcp_console"      // who is logged in
	formCookie    = "fosite_mcp_console_form" // ties the login form to the browser it was given to
)

// jar is the cookies of browsers that reach the console by https, or by http.
func jar(https bool) browser.Cookies {
	return browser.Cookies{Secure: https, Path: base, SameSite: http.SameSiteStrictMode}
}

// cookie is the value of a cookie; "": there is none. One without https counts only where the browser may see http: neighbouring host
// names can set such a cookie.
func (v *visit) cookie(name string) string {
	if value := jar(true).Get(v.r, name); value != "" || v.certainlyHTTPS() {
		return value
	}
	return jar(false).Get(v.r, name)
}

// setCookie sets a cookie for as long as the browser is open.
func (v *visit) setCookie(name, value string) { jar(v.https()).Set(v.w, name, value, 0) }

func (v *visit) clearCookie(name string) {
	jar(true).Clear(v.w, name)
	jar(false).Clear(v.w, name)
}

// session is a browser that is logged in: by an admin key, of which the id is stored, or by a provider, which has named a person.
type session struct {
	KeyID    string   `json:"key_id,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Username string   `json:"username,omitempty"`
	Groups   []string `json:"groups,omitempty"`

	token string      // the browser's cookie
	actor admin.Actor // who that is today
}

// current finds out who is logged in; nil: nobody.
func (v *visit) current() (*session, error) {
	token := v.cookie(sessionCookie)
	if token == "" {
		return nil, nil
	}
	ctx, sessions := v.r.Context(), v.API.Store.ConsoleSessions()
	data, seenAt, err := sessions.Find(ctx, token)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if v.now().Sub(seenAt) >= sessionIdle {
		return nil, sessions.Delete(ctx, token)
	}
	s := &session{token: token}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("console: decode a session: %w", err)
	}
	actor, err := v.actor(s)
	if err != nil {
		return nil, err
	}
	if actor == nil {
		return nil, sessions.Delete(ctx, token)
	}
	s.actor = *actor
	reqinfo.Note(ctx).Actor = actor.Name
	if v.now().Sub(seenAt) >= touchEvery {
		return s, sessions.Touch(ctx, token)
	}
	return s, nil
}

// actor is who a session is today; nil: nobody any more. A session ends with its key.
func (v *visit) actor(s *session) (*admin.Actor, error) {
	if s.KeyID == "" {
		return v.personActor(s), nil
	}
	key, err := v.API.Store.AdminKeys().FindID(v.r.Context(), s.KeyID)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &admin.Actor{Name: key.Name, Role: key.Role, Clients: key.Clients}, nil
}

// begin logs the browser in; store keeps the session. It always gets a new token: one that somebody had planted before the login is worth
// nothing afterwards.
func (v *visit) begin(s *session, store func(token string, encoded []byte) error) error {
	if err := v.end(); err != nil {
		return err
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("console: encode a session: %w", err)
	}
	token := browser.NewToken()
	if err := store(token, encoded); err != nil {
		return err
	}
	v.setCookie(sessionCookie, token)
	return nil
}

// end logs the browser out.
func (v *visit) end() error {
	token := v.cookie(sessionCookie)
	if token == "" {
		return nil
	}
	return v.API.Store.ConsoleSessions().Delete(v.r.Context(), token)
}

// formToken is what each form of a session holds. It is made of the session's token, and does not reveal it.
func (s *session) formToken() string { return derived(s.token, "console form") }

func derived(key, purpose string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func sameToken(given, want string) bool { return hmac.Equal([]byte(given), []byte(want)) }
