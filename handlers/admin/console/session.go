package console

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/internal/browser"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/audit"

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

// cookie is the value of a cookie; "": there is none.
func (v *visit) cookie(name string) string {
	if value := jar(true).Get(v.r, name); value != "" || v.Secure {
		return value
	}
	return jar(false).Get(v.r, name)
}

// setCookie sets a cookie for as long as the browser is open. The Origin of a form tells whether the browser sees https: a proxy may
// end TLS in front of this listener.
func (v *visit) setCookie(name, value string) {
	https := v.Secure || strings.HasPrefix(v.r.Header.Get("Origin"), "https://")
	jar(https).Set(v.w, name, value, 0)
}

// session is a browser that is logged in. What is stored of it is the id of the admin key.
type session struct {
	KeyID string `json:"key_id"`

	token string      // the browser's cookie
	actor admin.Actor // what the key is today
}

// current finds out who is logged in; nil: nobody. The key is looked at again each time: a session ends with its key.
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
	key, err := v.API.Store.AdminKeys().FindID(ctx, s.KeyID)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, sessions.Delete(ctx, token)
	}
	if err != nil {
		return nil, err
	}
	s.actor = admin.Actor{Name: key.Name, Role: key.Role, Clients: key.Clients}
	reqinfo.Note(ctx).Actor = key.Name
	if v.now().Sub(seenAt) >= touchEvery {
		return s, sessions.Touch(ctx, token)
	}
	return s, nil
}

// begin logs the browser in with a key. It always gets a new token: one that somebody had planted before the login is worth
// nothing afterwards.
func (v *visit) begin(key *audit.AdminKey) error {
	if err := v.end(); err != nil {
		return err
	}
	data, err := json.Marshal(session{KeyID: key.ID})
	if err != nil {
		return fmt.Errorf("console: encode a session: %w", err)
	}
	token := browser.NewToken()
	if err := v.API.Store.ConsoleSessions().Create(v.r.Context(), token, key, data, v.now().Add(sessionLife)); err != nil {
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
