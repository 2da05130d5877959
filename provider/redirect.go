package provider

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ory/fosite"
)

// loopbackHosts are the hosts whose port is the client's to choose at each login (RFC 8252 §7.3). The RFC names the
// IP literals; MCP clients use localhost as well.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// schemesOfBrowsers are schemes that a browser or phone acts on by itself. No client can own one of them.
var schemesOfBrowsers = []string{"javascript", "data", "file", "vbscript", "blob", "about", "filesystem", "view-source",
	"intent", "ws", "wss", "ftp"}

// ValidateRedirectURI tells why a client must not be registered with uri, or returns nil. Allowed are https, http on
// a loopback host, and for public clients schemes of their own (RFC 8252 §7). What is compared byte by byte must
// have one spelling only, so user info, fragments and dot segments are refused.
func ValidateRedirectURI(uri string, public bool) error {
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }) {
		return errors.New("a redirect URI has only printable ASCII characters, no backslash and no fragment (RFC 6749 §3.1.2)")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return errors.New("a redirect URI is an absolute URI (RFC 6749 §3.1.2)")
	}
	if u.User != nil {
		return errors.New("a redirect URI has no user name or password")
	}
	// What the browser gets is what was compared. Only the scheme is written in lower case on the way.
	if u.String()[len(u.Scheme):] != uri[len(u.Scheme):] || hasDotSegment(u.Path) {
		return errors.New("a redirect URI is written in its normal form, without dot segments (RFC 3986 §6.2.2)")
	}
	switch u.Scheme {
	case "https":
		if u.Host == "" {
			return errors.New("the redirect URI has no host")
		}
	case "http":
		if _, _, ok := cutLoopback(uri); !ok {
			return fmt.Errorf("http is for loopback redirect URIs only: write http:// and one of %s in lower case, or use https", strings.Join(loopbackHosts, ", "))
		}
	default:
		if slices.Contains(schemesOfBrowsers, u.Scheme) || u.Opaque != "" || u.Host == "" && u.Path == "" {
			return fmt.Errorf("the scheme %q cannot lead back to an application", u.Scheme)
		}
		if !public {
			return errors.New("only public clients may use a scheme of their own; a confidential one redirects to https")
		}
	}
	return nil
}

func hasDotSegment(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// cutLoopback splits an http URI on a loopback host into the host and what follows the port. It reads bytes, not
// URLs: there is no second spelling that it would accept.
func cutLoopback(uri string) (host, rest string, ok bool) {
	authority, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	for _, host := range loopbackHosts {
		rest, ok := strings.CutPrefix(authority, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			rest = strings.TrimLeft(port, "0123456789")
			if !isPort(port[:len(port)-len(rest)]) {
				return "", "", false
			}
		}
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}

func isPort(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0 && digits[0] != '0'
}

// matchRedirectURI finds out where an authorization request may be answered. The URI must be registered, byte by
// byte (RFC 9700 §4.1.3); only the port of a loopback URI is free. A client with a single one may leave it out.
func matchRedirectURI(requested string, client fosite.Client) (*url.URL, string, error) {
	registered := client.GetRedirectURIs()
	if requested == "" {
		if len(registered) != 1 {
			return nil, "", fosite.ErrInvalidRequest.WithHint("The parameter redirect_uri is missing.")
		}
		requested = registered[0]
	}
	if !slices.ContainsFunc(registered, func(r string) bool { return r == requested || sameLoopback(r, requested) }) {
		return nil, "", fosite.ErrInvalidRequest.WithHint("The redirect_uri is not registered for this client. It must equal a registered one, byte by byte; only the port of a loopback address is free.")
	}
	if err := ValidateRedirectURI(requested, client.IsPublic()); err != nil {
		return nil, "", fosite.ErrInvalidRequest.WithHintf("The registered redirect_uri cannot be used: %s.", err)
	}
	u, err := url.Parse(requested)
	if err != nil {
		return nil, "", fosite.ErrInvalidRequest.WithWrap(err)
	}
	return u, requested, nil
}

func sameLoopback(registered, requested string) bool {
	host, rest, ok := cutLoopback(registered)
	requestedHost, requestedRest, requestedOK := cutLoopback(requested)
	return ok && requestedOK && host == requestedHost && rest == requestedRest
}
