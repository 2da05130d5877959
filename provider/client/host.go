package client

import (
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// loopbackHosts are the hosts whose port is the client's to choose at each login (RFC 8252 §7.3). The RFC names the
// IP literals; MCP clients use localhost as well.
var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// IsLoopback tells whether a host, as in url.URL.Hostname, is this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
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

func sameLoopback(registered, requested string) bool {
	host, rest, ok := cutLoopback(registered)
	requestedHost, requestedRest, requestedOK := cutLoopback(requested)
	return ok && requestedOK && host == requestedHost && rest == requestedRest
}

func isPort(digits string) bool {
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0 && digits[0] != '0'
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)
	number   = regexp.MustCompile(`^([0-9]+|0[xX][0-9a-fA-F]*)$`)
)

// checkHost wants a host that browsers read as we do. They take 127.1, 2130706433 and 0x7f000001 for addresses
// (WHATWG URL §3.5), and one address has many spellings.
func checkHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	switch {
	case host == "":
		return errors.New("must have a host")
	case strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port):
		return errors.New("must have a port from 1 to 65535, without zeros before it, or none")
	case !strings.HasPrefix(u.Host, "[") && !hostName.MatchString(host):
		return errors.New("must name its host in ASCII letters, digits, hyphens and dots; other scripts are written xn--…")
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if strings.HasPrefix(u.Host, "[") || number.MatchString(labels[len(labels)-1]) {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.String() != host || addr.Is4In6() || addr.Zone() != "" {
			return errors.New("must write an IP address in its usual form, such as 192.0.2.1 or [2001:db8::1]")
		}
	}
	return nil
}
