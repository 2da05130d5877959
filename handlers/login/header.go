package login

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"fosite-mcp/handlers/clientaddr"

	"golang.org/x/time/rate"
)

// Header takes a person's name from an authenticating proxy. It is believed for requests that come from one of
// Proxies, judged by the TCP connection and nothing else.
type Header struct {
	Name    string // request header with the user name
	Groups  string // request header with groups, separated by commas; empty: people have none
	Proxies []netip.Prefix

	strangers rate.Sometimes
}

// headerPerson is who the proxy says is there, or nil. A header from anybody else is ignored.
func (s *Pages) headerPerson(r *http.Request) *person {
	h := s.Header
	if h == nil || len(r.Header.Values(h.Name)) == 0 {
		return nil
	}
	from := clientaddr.Peer(r)
	if !slices.ContainsFunc(h.Proxies, func(proxy netip.Prefix) bool { return proxy.Contains(from) }) {
		s.ignoreHeader(r, "it does not come from one of the configured proxies")
		return nil
	}
	values := r.Header.Values(h.Name)
	if len(values) > 1 {
		s.ignoreHeader(r, "it is there more than once; the proxy must remove it from what it receives")
		return nil
	}
	name := strings.TrimSpace(values[0])
	if name == "" {
		return nil
	}
	if len(name) > 256 || clean(name, 256) != name {
		s.ignoreHeader(r, "its value is no user name")
		return nil
	}
	if s.Header.Groups != "" && len(r.Header.Values(s.Header.Groups)) > 1 {
		s.ignoreHeader(r, "the one with the groups is there more than once; the proxy must remove it from what it receives")
		return nil
	}
	// No AuthenticatedAt: the proxy says who is there, and not since when.
	return &person{Subject: "header|" + name, Username: name, Groups: s.headerGroups(r), Method: byHeader}
}

func (s *Pages) headerGroups(r *http.Request) []string {
	if s.Header.Groups == "" {
		return nil
	}
	return cleanGroups(strings.Split(r.Header.Get(s.Header.Groups), ","))
}

// Bounds of what one person may bring along.
const (
	maxGroups = 500
	maxGroup  = 128
)

// cleanGroups drops what is no group name, and what comes twice.
func cleanGroups(names []string) []string {
	var groups []string
	for _, name := range names {
		name = strings.TrimSpace(name)
		if name != "" && len(name) <= maxGroup && clean(name, maxGroup) == name && len(groups) < maxGroups && !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	return groups
}

// ignoreHeader says so in the log, without letting a stranger fill it.
func (s *Pages) ignoreHeader(r *http.Request, why string) {
	s.Header.strangers.Do(func() {
		s.Log.WarnContext(r.Context(), "ignored the header with the user name", "header", s.Header.Name, "peer", r.RemoteAddr, "why", why)
	})
}

// currentOrByHeader is who the browser is logged in as. Whom the proxy names needs no login page.
func (s *Pages) currentOrByHeader(w http.ResponseWriter, r *http.Request) (*person, error) {
	p, err := s.current(r)
	if p != nil || err != nil {
		return p, err
	}
	if p = s.headerPerson(r); p == nil {
		return nil, nil
	}
	return p, s.begin(w, r, p)
}
