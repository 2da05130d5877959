package client

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxURI bounds a URI that is registered.
const maxURI = 2048

// CheckRedirectURI tells why a client must not have uri as a redirect URI, or returns nil. Allowed are https, http on
// a loopback host, and for public clients schemes of their own (RFC 8252 §7). What is compared byte by byte must have
// one spelling only, and must mean to a browser what it means here. The error reads on from "the redirect URI".
func CheckRedirectURI(uri string, public bool) error {
	u, err := parse(uri)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "https":
		return checkHost(u)
	case "http":
		if _, _, ok := cutLoopback(uri); !ok {
			return fmt.Errorf("must use https; http is for loopback hosts alone, which are written %s, with a port from 1 to 65535 or none", strings.Join(loopbackHosts, ", "))
		}
		return nil
	}
	if err := checkOwnScheme(u); err != nil {
		return err
	}
	if !public {
		return fmt.Errorf("must use https: the scheme %s: is for public clients (token_endpoint_auth_method none) alone", u.Scheme)
	}
	return nil
}

// parse reads a URI that has one spelling only (RFC 3986 §6.2.2), and no part that answers cannot be appended to.
func parse(uri string) (*url.URL, error) {
	if err := checkText(uri); err != nil {
		return nil, err
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "":
		return nil, errors.New("must be an absolute URI (RFC 6749 §3.1.2)")
	case u.User != nil:
		return nil, errors.New("must not hold a user name or password")
	// What the browser gets is what was compared. Only the scheme is written in lower case on the way.
	case u.String()[len(u.Scheme):] != uri[len(u.Scheme):] || hasDotSegment(uri[len(u.Scheme)+1:]):
		return nil, errors.New("must be in its normal form, without dot segments and needless encoding (RFC 3986 §6.2.2)")
	}
	return u, nil
}

// checkText looks at the characters of a URI, before anybody parses it.
func checkText(uri string) error {
	switch {
	case uri == "" || len(uri) > maxURI:
		return fmt.Errorf("must have 1 to %d characters", maxURI)
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`\"<>^|{}`+"`", r) }):
		return errors.New("must not hold spaces, control characters, backslashes, quotes, brackets or letters beyond ASCII; encode them")
	case strings.Contains(uri, "*"):
		return errors.New("must not hold a wildcard: redirect URIs are compared exactly")
	case strings.Contains(uri, "#"):
		return errors.New("must not have a fragment (RFC 6749 §3.1.2)")
	}
	return nil
}

// hasDotSegment tells whether a browser would shorten what follows the scheme. Encoded dots count (WHATWG URL §4.4).
func hasDotSegment(rest string) bool {
	path, _, _ := strings.Cut(rest, "?")
	decoded, err := url.PathUnescape(path)
	return err != nil || slices.ContainsFunc(strings.Split(decoded, "/"), func(s string) bool { return s == "." || s == ".." })
}

// CheckJWKSURI tells why a client's keys must not be at uri, or returns nil.
func CheckJWKSURI(uri string) error {
	u, err := parse(uri)
	if err != nil {
		return err
	}
	if u.Scheme != "https" {
		return errors.New("must use https")
	}
	return checkHost(u)
}

var (
	reverseDomain = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$`)
	plainScheme   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// checkOwnScheme looks at a scheme that belongs to an application. RFC 8252 §7.1 wants a domain name turned around.
// Editors use plain words, followed by a host as in cursor://anysphere.cursor-mcp/oauth/callback.
func checkOwnScheme(u *url.URL) error {
	switch {
	case isDangerous(u.Scheme):
		return fmt.Errorf("must not use the scheme %s:, which does something other than hand the answer to an application; use https", u.Scheme)
	case reverseDomain.MatchString(u.Scheme) && (u.Opaque != "" || u.Host != "" || u.Path != ""):
		return nil
	case plainScheme.MatchString(u.Scheme) && u.Host != "":
		return nil
	}
	return errors.New("must use https, or a scheme of the application's own: a domain name of yours turned around (com.example.app:/callback, RFC 8252 §7.1), or a word that is followed by a host (example://host/callback)")
}

// MatchRedirectURI finds out where an authorization request may be answered. The requested URI must be registered,
// byte by byte (RFC 9700 §4.1.3); only the port of a loopback URI is free. A client with a single one may leave it out.
// The error reads on from "the redirect_uri".
func MatchRedirectURI(requested string, registered []string, public bool) (target *url.URL, exact string, err error) {
	if requested == "" {
		if len(registered) != 1 {
			return nil, "", errors.New("is missing")
		}
		requested = registered[0]
	}
	i := slices.IndexFunc(registered, func(r string) bool { return r == requested || sameLoopback(r, requested) })
	if i < 0 {
		return nil, "", errors.New("is not registered for this client: it must equal a registered one, byte by byte; only the port of a loopback address is free")
	}
	// A row from before a rule may break it. Where only the port differs, the rule holds for the one requested too.
	if err := CheckRedirectURI(registered[i], public); err != nil {
		return nil, "", fmt.Errorf("is registered but %w", err)
	}
	if target, err = url.Parse(requested); err != nil {
		return nil, "", errors.New("must be an absolute URI (RFC 6749 §3.1.2)")
	}
	return target, requested, nil
}
