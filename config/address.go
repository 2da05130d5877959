package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"fosite-mcp/provider/client"
)

// splitListen takes host:port apart; problem says what is wrong with it.
func splitListen(listen string) (host string, port int, problem string) {
	const form = "must be host:port, such as 127.0.0.1:8080"
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, form
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, form + "; the port is a number from 0 to 65535"
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostName.MatchString(host) {
		return "", 0, form
	}
	return host, int(number), ""
}

// isLoopbackListen reports whether only this machine can reach the address. In doubt it is not loopback.
func isLoopbackListen(listen string) bool {
	host, _, problem := splitListen(listen)
	return problem == "" && client.IsLoopback(host)
}

// sameSocket reports whether two listen addresses cannot be bound together.
func sameSocket(a, b string) bool {
	hostA, portA, problemA := splitListen(a)
	hostB, portB, problemB := splitListen(b)
	if problemA != "" || problemB != "" || portA == 0 || portA != portB {
		return false
	}
	everywhere := func(host string) bool {
		addr, err := netip.ParseAddr(host)
		return host == "" || err == nil && addr.IsUnspecified()
	}
	loopbackAlias := func(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
	return hostA == hostB || everywhere(hostA) || everywhere(hostB) ||
		hostA == "localhost" && loopbackAlias(hostB) || hostB == "localhost" && loopbackAlias(hostA)
}

var (
	hostName      = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$`)
	visibleASCII  = regexp.MustCompile(`^[!-~]+$`)
	basePathChars = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
	urlPathChars  = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)
)

// webURL checks what every identifier that clients compare byte by byte has in common: it is written the way that URL
// libraries write it back, so that none of them changes it.
func webURL(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !visibleASCII.MatchString(text):
		return nil, "must be a URL such as https://docs.example.com"
	case u.Scheme != "https" && u.Scheme != "http" || !strings.HasPrefix(text, u.Scheme+"://"):
		return nil, "must begin with https://, or with http:// on loopback"
	case u.User != nil:
		return nil, "must not hold a user name or password"
	case strings.Contains(text, "#"):
		return nil, "must not have a fragment"
	case !validHost(u):
		return nil, "must name a host in lower case, such as docs.example.com, and a port only where it is not the default one"
	case u.Scheme == "http" && !client.IsLoopback(u.Hostname()):
		return nil, "must use https: plain http is accepted for loopback hosts only"
	}
	return u, ""
}

func validHost(u *url.URL) bool {
	host, port := u.Hostname(), u.Port()
	addr, err := netip.ParseAddr(host)
	switch {
	case strings.HasSuffix(u.Host, ":"):
		return false
	case err != nil && !hostName.MatchString(host):
		return false
	case err == nil && addr.Is6() && (addr.Zone() != "" || addr.String() != host || u.Host[0] != '['):
		return false
	}
	if port == "" {
		return true
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(number, 10) == port && number != 0 &&
		withoutDefaultPort(u.Scheme, u.Host) == u.Scheme+"://"+u.Host
}

// withoutDefaultPort writes an origin as URL libraries do.
func withoutDefaultPort(scheme, hostport string) string {
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return scheme + "://" + strings.TrimSuffix(hostport, defaultPort)
}

// allowedHostProblem accepts a host name. An IP address is refused although it would do no harm: it is no setting.
func allowedHostProblem(name string) string {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case err == nil:
		return "must not hold IP addresses: they are always allowed; remove " + shown(name)
	case !hostName.MatchString(name):
		return "must hold host names in lower case without scheme, port, path and wildcards, such as docs.internal; " + shown(name) + " is none"
	}
	return ""
}

func originProblem(text string) string {
	u, problem := webURL(text)
	switch {
	case problem != "":
		return problem
	case u.Path == "/":
		return "must not end with a slash"
	case u.Path != "" || strings.Contains(text, "?"):
		return "must be an origin, such as https://docs.example.com, without path or query; base_path sets the path"
	}
	return ""
}

// issuerProblem follows RFC 8414 §2: no query, no fragment.
func issuerProblem(text string) string {
	u, problem := webURL(text)
	switch {
	case problem != "":
		return problem
	case strings.Contains(text, "?"):
		return "must not have a query"
	case strings.HasSuffix(text, "/"):
		return "must not end with a slash: clients compare it byte by byte"
	case !urlPathChars.MatchString(u.EscapedPath()) || u.Path != "" && path.Clean(u.Path) != u.Path:
		return "must have a plain path: letters, digits and . _ ~ - between single slashes"
	}
	return ""
}

// resourceProblem follows RFC 8707 §2: an absolute URI without fragment.
func resourceProblem(text string) string {
	if strings.HasPrefix(text, "urn:") && visibleASCII.MatchString(text) && !strings.Contains(text, "#") && len(text) > len("urn:") {
		return ""
	}
	u, problem := webURL(text)
	switch {
	case problem != "":
		return problem
	case u.Path == "/" && u.RawQuery == "":
		return "must not end with a slash when it is a bare origin"
	case u.Path != "" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/":
		return "must not have empty, . or .. path segments: clients would change it"
	}
	return ""
}

func basePathProblem(text string) string {
	switch {
	case !basePathChars.MatchString(text) || path.Clean(text) != text:
		return "must begin with a slash, end without one, and hold letters, digits and . _ ~ - between single slashes"
	case text == "/.well-known" || strings.HasPrefix(text, "/.well-known/"):
		return "must not lie below /.well-known, which belongs to the metadata documents"
	}
	return ""
}
