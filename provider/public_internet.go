package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/internal/spans"

	"github.com/ory/fosite"
)

const fetchTimeout = 5 * time.Second // name look-up to last byte

// errForbiddenTarget is in the chain of every error of a guarded client that refused to connect.
var errForbiddenTarget = errors.New("provider: only https URLs on public internet addresses are fetched")

// reach is where a guarded client may connect to beyond https on public addresses. The zero value is nowhere.
type reach struct {
	anyAddress bool // https on every address
	loopback   bool // this machine, over https or http
}

// guardedHTTPClient makes a client for URLs that strangers choose. It connects over https to public addresses only,
// follows no redirect, uses no proxy and gives up after 5 seconds. The address is checked when it is dialled, after
// the name was looked up, so a name that changes its mind gains nothing. Fetch with it by [fetch].
func guardedHTTPClient(beyond reach) *http.Client {
	guard := &guardedTransport{https: transportTo(func(a netip.Addr) bool {
		return beyond.anyAddress || beyond.loopback && a.IsLoopback() || publicAddress(a)
	})}
	if beyond.loopback {
		guard.http = transportTo(netip.Addr.IsLoopback)
	}
	return &http.Client{
		Transport:     guard,
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type guardedTransport struct{ https, http http.RoundTripper } // http is nil unless loopback is allowed

// RoundTrip implements [http.RoundTripper].
func (t *guardedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	switch {
	case request.URL.Hostname() == "" || request.URL.User != nil:
		return nil, errForbiddenTarget
	case request.URL.Scheme == "https":
		return spans.Transport(t.https).RoundTrip(request)
	case request.URL.Scheme == "http" && t.http != nil:
		return spans.Transport(t.http).RoundTrip(request)
	}
	return nil, errForbiddenTarget
}

func transportTo(allowed func(netip.Addr) bool) *http.Transport {
	dialer := &net.Dialer{
		Timeout: fetchTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			target, err := netip.ParseAddrPort(address)
			if err != nil || !allowed(target.Addr()) {
				return fmt.Errorf("%w: %s is not one", errForbiddenTarget, address)
			}
			return nil
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext, // Proxy is nil on purpose: it would do the dialling
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxConnsPerHost:        4,
		MaxResponseHeaderBytes: 16 << 10,
	}
}

// publicAddress tells whether an address is an ordinary one of the public internet. IPv6 addresses that embed an IPv4
// address (mapped, NAT64, 6to4, Teredo) are not: they would lead around the list.
func publicAddress(address netip.Addr) bool {
	if !address.Is4() && !globalUnicast6.Contains(address) { // an address with a zone is in no prefix
		return false
	}
	for _, prefix := range specialUse {
		if prefix.Contains(address) {
			return false
		}
	}
	return true
}

var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// specialUse are the ranges of the IANA special-purpose address registries (RFC 6890), multicast and reserved space.
var specialUse = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // answers virtual machines on Azure only
	"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

func prefixes(list ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(list))
	for i, s := range list {
		parsed[i] = netip.MustParsePrefix(s)
	}
	return parsed
}

// badAnswer is why what is at a location cannot be used. Its owner has to mend it.
type badAnswer string

func (b badAnswer) Error() string { return string(b) }

// fetch reads what is at a location, at most limit bytes. The error is a [badAnswer], has [errForbiddenTarget] in its chain, or is
// temporarily_unavailable when the location does not answer now.
func fetch(ctx context.Context, guarded *http.Client, location, accept string, limit int64) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, nil, badAnswer("not a URL")
	}
	request.Header.Set("Accept", accept)
	response, err := guarded.Do(request)
	if errors.Is(err, errForbiddenTarget) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, unreachable(location, err)
	}
	defer response.Body.Close()
	switch code := response.StatusCode; {
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return nil, nil, unavailable(fmt.Errorf("provider: %s answered %d", location, code))
	case code != http.StatusOK: // a redirect too: it may lead anywhere
		return nil, nil, badAnswer(fmt.Sprintf("answered %d instead of 200", code))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, nil, unreachable(location, err)
	}
	if int64(len(body)) > limit {
		return nil, nil, badAnswer(fmt.Sprintf("longer than %d KiB", limit>>10))
	}
	return body, response.Header, nil
}

// unreachable is temporarily_unavailable, with all that is known of the failure for the log.
func unreachable(location string, err error) error {
	var asked *url.Error // which names the location as well
	if errors.As(err, &asked) {
		err = asked.Err
	}
	return unavailable(fmt.Errorf("provider: %s cannot be fetched: %s", location, err.Error()))
}

// detail is what the log tells of an error of [fetch]: an error of fosite's alone says temporarily_unavailable.
func detail(err error) string {
	if errors.Is(err, errForbiddenTarget) {
		return err.Error() + "; in a closed network set registration.insecure_allow_private_addresses"
	}
	if rfc := new(fosite.RFC6749Error); errors.As(err, &rfc) && rfc.Unwrap() != nil {
		return rfc.Unwrap().Error()
	}
	return err.Error()
}

// freshFor is how long an answer may be kept: max-age (RFC 9111 §5.2.2.1) within bounds, or else usual.
func freshFor(header http.Header, usual, least, most time.Duration) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		directive = strings.ToLower(strings.TrimSpace(directive))
		if directive == "no-store" || directive == "no-cache" {
			return least
		}
		if value, ok := strings.CutPrefix(directive, "max-age="); ok {
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err != nil {
				return usual
			}
			return min(max(time.Duration(seconds)*time.Second, least), most)
		}
	}
	return usual
}
