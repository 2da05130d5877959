package admin

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fosite-mcp/storage"
)

// hostile are schemes that make a browser or a phone do something other than hand a code to an application.
var hostile = []string{
	"javascript", "data", "file", "vbscript", "blob", "about", "filesystem", "content", "intent", "view-source", "jar",
	"chrome", "chrome-extension", "moz-extension", "resource", "ws", "wss", "ftp", "ftps", "sftp", "ssh", "telnet", "ldap", "ldaps",
	"gopher", "smb", "mailto", "tel", "sms", "facetime", "urn", "cid", "mid", "magnet", "ms-msdt", "search-ms", "shell", "local",
}

func checkRedirectURIs(c *storage.Client, m *mistakes) {
	public := c.TokenEndpointAuthMethod == authMethodNone
	for i, uri := range c.RedirectURIs {
		if reason := redirectMistake(uri, public); reason != "" {
			m.add("/redirect_uris/"+strconv.Itoa(i), "invalid", "%s", reason)
		}
	}
}

// redirectMistake says what is wrong with a redirect URI, or "" (RFC 6749 §3.1.2, RFC 8252 §7, OAuth 2.1 §2.3.1).
func redirectMistake(uri string, public bool) string {
	if reason := uriMistake(uri); reason != "" {
		return reason
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return "must be an absolute URI"
	}
	if u.User != nil {
		return "must not hold user info"
	}
	switch {
	case slices.Contains(hostile, u.Scheme):
		return "the scheme " + u.Scheme + ": is never a place to send an authorization code to; use https"
	case u.Scheme == "https":
		if u.Opaque != "" || u.Hostname() == "" {
			return "must have a host"
		}
		return ""
	case u.Scheme == "http":
		if u.Opaque != "" || !isLoopback(u.Hostname()) {
			return "must use https; http is for 127.0.0.1, [::1] and localhost alone"
		}
		return ""
	case !public:
		return "the scheme " + u.Scheme + ": is for public clients (token_endpoint_auth_method none) alone; use https"
	case !strings.Contains(u.Scheme, ".") && u.Host == "":
		return "a scheme of your own must be a domain name of yours turned around (com.example.app:/callback, RFC 8252 §7.1) or be followed by a host (example://host/callback)"
	}
	return ""
}

// uriMistake looks at the text of a URI, before anybody parses it.
func uriMistake(uri string) string {
	switch {
	case uri == "" || len(uri) > maxURI:
		return "must have 1 to 2048 characters"
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\"<>^|{}`+"`", r) }):
		return "must not hold spaces, control characters, backslashes, quotes, brackets or letters beyond ASCII; encode them"
	case strings.Contains(uri, "*"):
		return "must not hold a wildcard: redirect URIs are compared exactly"
	case strings.Contains(uri, "#"):
		return "must not have a fragment"
	}
	return ""
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && addr.Zone() == ""
}

func isHTTPS(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && uriMistake(uri) == "" && u.Scheme == "https" && u.Opaque == "" && u.Hostname() != "" && u.User == nil
}
