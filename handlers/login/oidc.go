package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fosite-mcp/internal/spans"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDC is an upstream OpenID Connect provider. This server is registered there with the redirect URI
// <Origin><BasePath>/login/callback.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	Scopes       []string     // openid among them; nil: openid, profile
	GroupsClaim  string       // ID token claim that lists the person's groups; empty: groups
	Name         string       // for the button; empty: the issuer's host
	Client       *http.Client // nil: one with a time limit
}

// upstream is the provider as far as it is known. Its metadata is read at the first login, and again after a failure,
// so that this server starts and runs while the provider does not.
type upstream struct {
	OIDC
	redirectURL string
	now         func() time.Time

	mu       sync.Mutex
	provider *oidc.Provider
	failed   error
	failedAt time.Time
}

const (
	upstreamTimeout = 10 * time.Second
	// upstreamPause is how long a failure is taken for granted, so that not every visitor waits for the next one.
	upstreamPause = 5 * time.Second
)

// ErrProviderDown says that a provider does not answer, or not as OpenID Connect wants it.
var ErrProviderDown = errors.New("login: the OpenID Connect provider does not answer")

func (u *upstream) name() string {
	if u.Name != "" {
		return u.Name
	}
	issuer, err := url.Parse(u.Issuer)
	if err != nil {
		return u.Issuer
	}
	return issuer.Host
}

// subject keeps people of this provider apart from local accounts and from people of another provider, whose
// identifiers are unique in themselves only (OpenID Connect Core §5.7).
func (u *upstream) subject(sub string) string { return u.prefix() + sub }
func (u *upstream) prefix() string            { return "oidc|" + u.Issuer + "|" }
func (u *upstream) owns(subject string) bool  { return strings.HasPrefix(subject, u.prefix()) }

// discover returns the provider. It fails with ErrProviderDown.
func (u *upstream) discover(ctx context.Context) (*oidc.Provider, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.provider != nil {
		return u.provider, nil
	}
	if u.failed != nil && u.now().Sub(u.failedAt) < upstreamPause {
		return nil, u.failed
	}
	// Not cancelled with its first visitor: what is found out holds for the others as well.
	ctx, cancel := context.WithTimeout(u.context(context.WithoutCancel(ctx)), upstreamTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, u.Issuer)
	if err != nil {
		u.failed, u.failedAt = fmt.Errorf("%w: %w", ErrProviderDown, err), u.now()
		return nil, u.failed
	}
	u.provider, u.failed = provider, nil
	return provider, nil
}

// context carries the HTTP client that go-oidc and oauth2 are to use.
func (u *upstream) context(ctx context.Context) context.Context {
	client := u.Client
	if client == nil {
		client = &http.Client{Timeout: upstreamTimeout, Transport: spans.Transport(http.DefaultTransport)}
	}
	return oidc.ClientContext(ctx, client)
}

func (u *upstream) config(provider *oidc.Provider) *oauth2.Config {
	scopes := u.Scopes
	if len(scopes) == 0 {
		scopes = []string{oidc.ScopeOpenID, "profile"}
	}
	endpoint := provider.Endpoint()
	// OpenID Connect Discovery §3: Basic is the default. Left to itself, oauth2 would try both ways with the same code.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	var metadata struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&metadata); err == nil && slices.Contains(metadata.Methods, "client_secret_post") && !slices.Contains(metadata.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: u.ClientID, ClientSecret: u.ClientSecret, Endpoint: endpoint, RedirectURL: u.redirectURL, Scopes: scopes}
}

// attempt is one login that is under way at the provider. It stays with the browser that began it.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // RFC 7636
	Continue string    `json:"continue"`
	Began    time.Time `json:"began"`
}

// attemptLife is how long a person may take at the provider.
const attemptLife = 10 * time.Minute

// begin starts a login, and returns where the browser goes. proceed stays with the attempt. It fails with ErrProviderDown.
func (u *upstream) begin(ctx context.Context, proceed string, query url.Values) (a attempt, address string, err error) {
	provider, err := u.discover(ctx)
	if err != nil {
		return a, "", err
	}
	a = attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Continue: proceed, Began: u.now()}
	return a, u.authorizeURL(provider, a, query), nil
}

// authorizeURL is where the browser goes to log in. What the client of the authorization request in query asks of the
// login is passed on. With max_age the provider has to say when the person logged in (OpenID Connect Core §3.1.2.1).
func (u *upstream) authorizeURL(provider *oidc.Provider, a attempt, query url.Values) string {
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	var asked []string
	for _, value := range prompt(query) {
		if value == "login" || value == "select_account" { // consent is asked for here
			asked = append(asked, value)
		}
	}
	if len(asked) > 0 {
		options = append(options, oauth2.SetAuthURLParam("prompt", strings.Join(asked, " ")))
	}
	if since := provenSince(query, a.Began); !since.IsZero() {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(a.Began.Sub(since)/time.Second))))
	}
	return u.config(provider).AuthCodeURL(a.State, options...)
}

// ErrProviderRefused says that an answer of the provider does not prove who the person is.
var ErrProviderRefused = errors.New("login: the provider's answer is not valid")

// denied is an answer that is an error of the provider's.
type denied struct{ code string }

func (d *denied) Error() string { return ErrProviderRefused.Error() + ": it is the error " + d.code }

func (d *denied) Unwrap() error { return ErrProviderRefused }

// answer turns what the provider has sent the browser back with into a person. It fails with ErrProviderDown or ErrProviderRefused, which
// may be a *denied.
func (u *upstream) answer(ctx context.Context, query url.Values, a attempt) (*person, error) {
	if iss := query.Get("iss"); iss != "" && iss != u.Issuer { // RFC 9207 §2.4
		return nil, fmt.Errorf("%w: it comes from another issuer", ErrProviderRefused)
	}
	if code := query.Get("error"); code != "" {
		return nil, &denied{clean(code, nameLimit)}
	}
	provider, err := u.discover(ctx)
	if err != nil {
		return nil, err
	}
	return u.redeem(ctx, provider, a, query.Get("code"))
}

// redeem turns the provider's code into a person. It fails with ErrProviderDown or ErrProviderRefused.
func (u *upstream) redeem(ctx context.Context, provider *oidc.Provider, a attempt, code string) (*person, error) {
	ctx, cancel := context.WithTimeout(u.context(ctx), upstreamTimeout)
	defer cancel()
	token, err := u.config(provider).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
			return nil, fmt.Errorf("%w: %s", ErrProviderRefused, clean(refused.ErrorCode, nameLimit))
		}
		return nil, fmt.Errorf("%w: %w", ErrProviderDown, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: there is no ID token in it", ErrProviderRefused)
	}
	// Signature, issuer, audience and expiry (OpenID Connect Core §3.1.3.7).
	idToken, err := provider.Verifier(&oidc.Config{ClientID: u.ClientID, Now: u.now}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProviderRefused, err)
	}
	return u.person(idToken, a)
}

// claims is what we read of an ID token.
type claims struct {
	AuthorizedParty   string `json:"azp"`
	PreferredUsername string `json:"preferred_username"`
	Email             string `json:"email"`
	EmailVerified     any    `json:"email_verified"` // some providers send a string
	Name              string `json:"name"`
}

func (u *upstream) person(idToken *oidc.IDToken, a attempt) (*person, error) {
	var c claims
	var all map[string]any
	if err := errors.Join(idToken.Claims(&c), idToken.Claims(&all)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProviderRefused, err)
	}
	switch {
	case a.Nonce == "" || idToken.Nonce != a.Nonce:
		return nil, fmt.Errorf("%w: its nonce is not ours", ErrProviderRefused)
	case c.AuthorizedParty != "" && c.AuthorizedParty != u.ClientID, c.AuthorizedParty == "" && len(idToken.Audience) > 1:
		return nil, fmt.Errorf("%w: it was issued to another client", ErrProviderRefused)
	case idToken.Subject == "" || len(idToken.Subject) > 255 || clean(idToken.Subject, 255) != idToken.Subject:
		return nil, fmt.Errorf("%w: its subject cannot be used", ErrProviderRefused)
	}
	return &person{
		Subject: u.subject(idToken.Subject), Username: c.username(idToken.Subject), Groups: u.groups(all),
		GroupsAt: u.now(), Method: byProvider, AuthenticatedAt: authenticatedAt(all["auth_time"], u.now()),
	}, nil
}

// authenticatedAt is when the person proved who they are, by the claim auth_time (OpenID Connect Core §2). Zero: the
// provider does not say, or says what cannot be.
func authenticatedAt(claim any, now time.Time) time.Time {
	seconds, ok := claim.(float64)
	if !ok || seconds <= 0 || seconds > float64(now.Add(clockLeeway).Unix()) {
		return time.Time{}
	}
	return time.Unix(min(int64(seconds), now.Unix()), 0)
}

// username is the best name there is for people to read; the subject is who they are.
func (c claims) username(subject string) string {
	names := []string{c.PreferredUsername, c.Name, subject}
	if c.EmailVerified == true || c.EmailVerified == "true" {
		names = slices.Insert(names, 1, c.Email)
	}
	for _, name := range names {
		if name = clean(name, nameLimit); name != "" {
			return name
		}
	}
	return subject
}

func (u *upstream) groups(all map[string]any) []string {
	claim := u.GroupsClaim
	if claim == "" {
		claim = "groups"
	}
	var names []string
	switch value := all[claim].(type) {
	case string:
		names = []string{value}
	case []any:
		for _, entry := range value {
			if name, ok := entry.(string); ok {
				names = append(names, name)
			}
		}
	}
	return cleanGroups(names)
}
