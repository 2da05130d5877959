package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/internal/browser"
	"fosite-mcp/provider/client"

	"github.com/gorilla/mux"
	"golang.org/x/time/rate"
)

var _ handlers.Login = (*Pages)(nil)

// Sessions keeps which browsers are logged in, under a token that must be stored as a hash only. A session that is
// not there, or has expired, is fosite.ErrNotFound.
type Sessions interface {
	// username and method (local, oidc or header) are for the record of logins. It answers fosite.ErrAccessDenied for somebody
	// who may not log in any more.
	Create(ctx context.Context, token, subject, username, method string, data []byte, expiresAt time.Time) error
	// CreateForPassword is the same for a local account whose password was compared with passwordHash. It answers
	// fosite.ErrAccessDenied when the account has another password by now, or may not log in any more.
	CreateForPassword(ctx context.Context, token, subject, username, method string, passwordHash, data []byte, expiresAt time.Time) error
	Find(ctx context.Context, token string) (data []byte, seenAt time.Time, err error)
	Touch(ctx context.Context, token string) error
	Delete(ctx context.Context, token string) error
}

// Consents keeps what people allowed.
type Consents interface {
	// Find returns the scopes that were allowed, by resource.
	Find(ctx context.Context, subject, clientID string) (map[string][]string, error)
	// Remember adds to what was allowed before. The names are those that the person saw.
	Remember(ctx context.Context, subject, username, clientID, clientName string, resources, scopes []string) error
	// Each calls show for every client that has access in the person's name.
	Each(ctx context.Context, subject string, show func(clientID, clientName string, scopes, resources []string, since, lastUsed time.Time)) error
	// Withdraw forgets the consent and revokes the grants that came of it, in one step.
	Withdraw(ctx context.Context, subject, clientID string) error
}

// Options is what [New] needs. Origin, BasePath, Key, Sessions, Consents and one of the three ways to log in are
// required.
type Options struct {
	Origin   string // under which browsers reach the server; plain http only on loopback
	BasePath string // where the pages are mounted, beside authorize; "/authed/mcp/oauth"
	Key      []byte // 32 bytes or more; replicas share one
	// PreviousKeys are accepted beside Key while it is replaced.
	PreviousKeys [][]byte
	Sessions     Sessions
	Consents     Consents

	Local  *Local  // local accounts; nil: not offered
	OIDC   *OIDC   // an upstream OpenID Connect provider; nil: not offered
	Header *Header // an authenticating proxy; nil: headers are ignored

	// GroupsMaxAge is how long the groups that a provider has named count: who has some then logs in again before granting
	// anything. 0: as long as the browser's session.
	GroupsMaxAge time.Duration

	Scopes    map[string]string // what a scope allows, in words
	Resources map[string]string // name of a resource by its identifier

	// Templates replaces pages: a file named as one of those in templates/ (layout.html, login.html, consent.html,
	// continue.html, grants.html, withdraw.html, signedout.html, error.html, style.css) is taken from here, the others
	// stay. The data of each page is the struct named after it; pages.go describes them. New fails if a page does not fit
	// its data.
	Templates fs.FS
	// ClientAddr is the address whose failed logins count together; nil: clientaddr.Of. Behind a proxy it
	// should be the browser's.
	ClientAddr func(*http.Request) netip.Addr
	// Failures limits wrong passwords of each address, together with failures elsewhere: more of them are answered with 429,
	// and right ones are let in. nil: only the login page's own limits.
	Failures *limit.Quota[netip.Prefix]
	// LoginFailed is told of each login that failed, and not of an outage. method is local, oidc or header; username is
	// empty unless there is such an account. nil: nobody.
	LoginFailed func(r *http.Request, method, username string)
	Log         *slog.Logger     // nil: slog.Default
	Now         func() time.Time // nil: time.Now
}

// Pages are the pages for login and consent. Make one with [New]; it is safe for concurrent use.
type Pages struct {
	Options
	sign    signer
	cookies browser.Cookies
	pages   *pages
	origins *http.CrossOriginProtection
	limits  *throttle
	busy    *rate.Limiter // of which refusals the log tells
	oidc    *upstream     // nil: not offered
	nobody  nobody
}

// New checks the options and prepares the pages. It does not talk to the OpenID Connect provider, which may be down.
func New(options Options) (*Pages, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.ClientAddr == nil {
		options.ClientAddr = clientaddr.Of
	}
	s := &Pages{
		Options: options,
		sign:    signer{append([][]byte{options.Key}, options.PreviousKeys...)},
		cookies: browser.Cookies{Secure: strings.HasPrefix(options.Origin, "https://"), Path: options.BasePath, SameSite: http.SameSiteLaxMode},
		origins: http.NewCrossOriginProtection(),
		limits:  newThrottle(options.Now),
		busy:    handlers.NewSample(),
	}
	if err := s.origins.AddTrustedOrigin(options.Origin); err != nil {
		return nil, fmt.Errorf("login: origin %q: %w", options.Origin, err)
	}
	var err error
	if s.pages, err = parsePages(options.Templates); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if options.OIDC != nil {
		s.oidc = &upstream{OIDC: *options.OIDC, redirectURL: options.Origin + options.BasePath + "/login/callback", now: options.Now}
	}
	return s, nil
}

func (o Options) check() (err error) {
	origin, parseErr := url.Parse(o.Origin)
	for _, rule := range []struct {
		bad     bool
		message string
	}{
		{parseErr != nil || origin.Host == "" || origin.Scheme+"://"+origin.Host != o.Origin, "Origin must be scheme and host, such as https://docs.example.com"},
		{parseErr == nil && origin.Scheme != "https" && !(origin.Scheme == "http" && client.IsLoopback(origin.Hostname())), "Origin must be https, or http on loopback"},
		{o.BasePath != "" && (!strings.HasPrefix(o.BasePath, "/") || strings.HasPrefix(o.BasePath, "//") || strings.HasSuffix(o.BasePath, "/")), "BasePath must begin with one slash and end without"},
		{len(o.Key) < 32, "Key must have 32 bytes or more"},
		{o.Sessions == nil, "Sessions is missing"},
		{o.Consents == nil, "Consents is missing"},
		{o.Local == nil && o.OIDC == nil && o.Header == nil, "set at least one of Local, OIDC and Header"},
		{o.Local != nil && (o.Local.Accounts == nil || o.Local.Hasher == nil), "Local needs Accounts and Hasher"},
		{o.OIDC != nil && (o.OIDC.Issuer == "" || o.OIDC.ClientID == ""), "OIDC needs Issuer and ClientID"},
		{o.Header != nil && (o.Header.Name == "" || len(o.Header.Proxies) == 0), "Header needs Name and Proxies"},
	} {
		if rule.bad {
			err = errors.Join(err, errors.New(rule.message))
		}
	}
	return err
}

// Mount adds the pages to r, which must be a subrouter at BasePath.
func (s *Pages) Mount(r *mux.Router) {
	r.HandleFunc("/login", s.methods(s.loginPage, s.form(s.login, s.loginOutdated)))
	r.HandleFunc("/login/oidc", s.methods(s.startOIDC, nil))
	r.HandleFunc("/login/callback", s.methods(s.finishOIDC, nil))
	r.HandleFunc("/consent", s.methods(nil, s.form(s.consent, s.outdated)))
	r.HandleFunc("/logout", s.methods(s.signedOutPage, s.form(s.logout, s.logoutOutdated)))
	r.HandleFunc("/grants", s.methods(s.grantsPage, nil))
	r.HandleFunc("/grants/withdraw", s.methods(s.withdrawPage, s.form(s.withdraw, s.outdated)))
}

// methods is a page that can be looked at, sent a form, or both.
func (s *Pages) methods(get, post http.HandlerFunc) http.HandlerFunc {
	byMethod := map[string]http.HandlerFunc{}
	if get != nil {
		byMethod[http.MethodGet], byMethod[http.MethodHead] = get, get
	}
	if post != nil {
		byMethod[http.MethodPost] = post
	}
	return handlers.Methods(byMethod, func(w http.ResponseWriter, r *http.Request) {
		s.tell(w, r, http.StatusMethodNotAllowed, sayNoPage)
	})
}
