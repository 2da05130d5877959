package resource

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

const (
	resourceWellKnown = "/.well-known/oauth-protected-resource"
	serverWellKnown   = "/.well-known/oauth-authorization-server"
)

// MetadataURL returns where the metadata of a resource is found (RFC 9728 §3.1):
// "https://docs.example.com/authed/mcp" has them at
// "https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp".
// It fails on what cannot be a resource identifier: anything but an absolute
// http(s) URL without userinfo and fragment.
func MetadataURL(resource string) (string, error) {
	return wellKnownURL("resource", resource, resourceWellKnown)
}

// MetadataPath is the path of [MetadataURL]: where to mount
// [NewMetadataHandler]. It is escaped as it stands in the URL.
func MetadataPath(resource string) (string, error) {
	address, err := MetadataURL(resource)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.EscapedPath(), nil
}

// wellKnownURL inserts a well-known path between the host and the path of an
// identifier, as RFC 8414 §3.1 and RFC 9728 §3.1 both say.
func wellKnownURL(kind, identifier, wellKnown string) (string, error) {
	u, err := parseIdentifier(kind, identifier)
	if err != nil {
		return "", err
	}
	path := u.EscapedPath()
	if path == "/" {
		path = "" // a slash right after the host is dropped, any other is kept
	}
	address := u.Scheme + "://" + u.Host + wellKnown + path
	if u.RawQuery != "" {
		address += "?" + u.RawQuery
	}
	return address, nil
}

// parseIdentifier accepts what RFC 8707 §2 and RFC 8414 §2 have in common. The
// characters are checked first, so that an identifier can stand in a quoted
// string of a header as it is.
func parseIdentifier(kind, identifier string) (*url.URL, error) {
	if strings.ContainsFunc(identifier, notInURI) {
		return nil, fmt.Errorf("%s has characters that no URL has: percent-encode them", kind)
	}
	u, err := url.Parse(identifier)
	switch {
	case err != nil: // its text would repeat a password in the URL
		return nil, fmt.Errorf("%s is not a well-formed URL: write it like https://docs.example.com/authed/mcp", kind)
	case u.User != nil:
		return nil, fmt.Errorf("%s must not hold a user name or a password", kind)
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Hostname() == "":
		return nil, fmt.Errorf("%s %q is not an absolute http(s) URL: write it like https://docs.example.com/authed/mcp", kind, identifier)
	case strings.Contains(identifier, "#"):
		return nil, fmt.Errorf("%s %q must not hold a fragment: leave out the part from # on", kind, identifier)
	}
	return u, nil
}

func notInURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || r == '"' || r == '\\'
}

// checkTransport refuses plain HTTP beyond this machine: the request carries
// credentials and tokens.
func checkTransport(kind string, u *url.URL, allowHTTP bool) error {
	if u.Scheme == "https" || allowHTTP || IsLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s %s is plain http, which would show tokens and credentials to the network: use https", kind, u)
}

// IsLoopback tells whether a host, as in url.URL.Hostname, is this machine. It is client.IsLoopback of provider/client,
// which this package must not import.
func IsLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
