package clientaddr_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"fosite-mcp/handlers/clientaddr"
)

const peer = "198.51.100.1"

// from is the address of a request that came from peer with these lines of the header.
func from(name string, lines ...string) string {
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	r.RemoteAddr = peer + ":1234"
	for _, line := range lines {
		r.Header.Add(name, line)
	}
	return clientaddr.FromHeader(name)(r).String()
}

func TestTheProxyNamesTheClientInXForwardedFor(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"one address":              {[]string{"192.0.2.7"}, "192.0.2.7"},
		"with a port":              {[]string{"192.0.2.7:5678"}, "192.0.2.7"},
		"IPv6":                     {[]string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 in brackets":         {[]string{"[2001:db8::7]"}, "2001:db8::7"},
		"IPv6 with a port":         {[]string{"[2001:db8::7]:5678"}, "2001:db8::7"},
		"IPv6 in capitals":         {[]string{"2001:DB8::7"}, "2001:db8::7"},
		"IPv6 with a zone":         {[]string{"fe80::7%eth0"}, "fe80::7"},
		"IPv4 in IPv6":             {[]string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		"IPv4 in IPv6 with a port": {[]string{"[::ffff:192.0.2.7]:80"}, "192.0.2.7"},
		"in quotes":                {[]string{`"192.0.2.7"`}, "192.0.2.7"},
		"in quotes with a port":    {[]string{`"[2001:db8::7]:5678"`}, "2001:db8::7"},
		"spaces and tabs":          {[]string{"10.0.0.1,\t 192.0.2.7 \t"}, "192.0.2.7"},
		"the client made some up":  {[]string{"10.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		"in a line of its own":     {[]string{"10.0.0.1", "192.0.2.7"}, "192.0.2.7"},
		"and left a quote open":    {[]string{`"10.0.0.1, 192.0.2.7`}, "192.0.2.7"},

		"missing":                       {nil, peer},
		"empty":                         {[]string{""}, peer},
		"nothing after a comma":         {[]string{"10.0.0.1,"}, peer},
		"garbage":                       {[]string{"somebody"}, peer},
		"garbage at the end":            {[]string{"10.0.0.1, somebody"}, peer},
		"unknown":                       {[]string{"10.0.0.1, unknown"}, peer},
		"Unix socket of nginx":          {[]string{"10.0.0.1, unix:"}, peer},
		"no address":                    {[]string{"0.0.0.0"}, peer},
		"no IPv6 address":               {[]string{"[::]:80"}, peer},
		"not one address":               {[]string{"192.0.2.7 192.0.2.8"}, peer},
		"octal":                         {[]string{"192.0.2.07"}, peer},
		"open bracket":                  {[]string{"[2001:db8::7"}, peer},
		"IPv4 in brackets":              {[]string{"[192.0.2.7]:80"}, peer},
		"text behind a bracket":         {[]string{"[2001:db8::7]x"}, peer},
		"a port of no use":              {[]string{"192.0.2.7:8 0"}, peer},
		"colon without port":            {[]string{"192.0.2.7:"}, peer},
		"a network":                     {[]string{"192.0.2.0/24"}, peer},
		"a last line that says nothing": {[]string{"10.0.0.1", ""}, peer},
	} {
		if got := from("X-Forwarded-For", c.lines...); got != c.want {
			t.Errorf("%s: %q gives %s, want %s", name, c.lines, got, c.want)
		}
	}
}

// RFC 7239 §4, §6 and its examples.
func TestTheProxyNamesTheClientInForwarded(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"IPv4":                      {[]string{"for=192.0.2.7"}, "192.0.2.7"},
		"IPv4 with a port":          {[]string{`for="192.0.2.7:4711"`}, "192.0.2.7"},
		"IPv4 with a hidden port":   {[]string{`for="192.0.2.7:_proxy-1"`}, "192.0.2.7"},
		"IPv6":                      {[]string{`For="[2001:db8::7]"`}, "2001:db8::7"},
		"IPv6 with a port":          {[]string{`For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		"IPv6 without quotes":       {[]string{"for=[2001:db8::7]:4711"}, "2001:db8::7"},
		"escaped for no reason":     {[]string{`for="192\.0.2.7"`}, "192.0.2.7"},
		"among other parameters":    {[]string{"for=192.0.2.7;proto=http;by=203.0.113.43"}, "192.0.2.7"},
		"after other parameters":    {[]string{`by="[2001:db8::1]:80";host="docs.example.com;x=1, y";FOR=192.0.2.7`}, "192.0.2.7"},
		"with spaces":               {[]string{"proto=http ; for=192.0.2.7 ; by=_proxy"}, "192.0.2.7"},
		"empty pairs":               {[]string{";;for=192.0.2.7;"}, "192.0.2.7"},
		"the last of several":       {[]string{"for=10.0.0.1, for=192.0.2.7"}, "192.0.2.7"},
		"without a space":           {[]string{"for=10.0.0.1,for=192.0.2.7"}, "192.0.2.7"},
		"the last of several lines": {[]string{"for=10.0.0.1, for=10.0.0.2", "for=192.0.2.7"}, "192.0.2.7"},
		"after an open quote":       {[]string{`for="10.0.0.1, for=192.0.2.7`}, "192.0.2.7"},
		"after two":                 {[]string{`for="10.0.0.1", by=", for="[2001:db8::7]:1"`}, "2001:db8::7"},
		"a host that plays tricks":  {[]string{`for=192.0.2.7;host="a\", for=10.0.0.1;x=\"b"`}, "192.0.2.7"},

		"missing":                   {nil, peer},
		"empty":                     {[]string{""}, peer},
		"unknown":                   {[]string{"for=10.0.0.1, for=unknown"}, peer},
		"hidden":                    {[]string{"for=10.0.0.1, for=_hidden"}, peer},
		"hidden in quotes":          {[]string{`for="_SEVKISEK"`}, peer},
		"the last names nobody":     {[]string{"for=10.0.0.1, proto=https"}, peer},
		"nothing after a comma":     {[]string{"for=10.0.0.1,"}, peer},
		"named twice":               {[]string{"for=192.0.2.7;for=10.0.0.1"}, peer},
		"an address alone":          {[]string{"192.0.2.7"}, peer},
		"no value":                  {[]string{"for="}, peer},
		"a quote inside of a token": {[]string{`for=192.0.2.7"`}, peer},
		"text behind a quote":       {[]string{`for="192.0.2.7"x`}, peer},
		"a quote that stays open":   {[]string{`proto="http;for=192.0.2.7`}, peer},
		"one that escapes the end":  {[]string{`for="192.0.2.7\`}, peer},
		"another parameter":         {[]string{"xfor=192.0.2.7"}, peer},
	} {
		if got := from("forwarded", c.lines...); got != c.want {
			t.Errorf("%s: %q gives %s, want %s", name, c.lines, got, c.want)
		}
	}
}

func TestAHeaderWithOneAddress(t *testing.T) {
	for value, want := range map[string]string{"192.0.2.7": "192.0.2.7", "2001:db8::7": "2001:db8::7", "192.0.2.7:80": "192.0.2.7", "-": peer} {
		if got := from("x-real-ip", value); got != want {
			t.Errorf("%s gives %s, want %s", value, got, want)
		}
	}
}

func TestWithoutAHeaderTheConnectionCounts(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	for remote, want := range map[string]string{
		"198.51.100.1:1": "198.51.100.1", "[2001:db8::1]:1": "2001:db8::1", "[::ffff:198.51.100.1]:1": "198.51.100.1",
		"[fe80::1%eth0]:1": "fe80::1", "@": "", "": "",
	} {
		r.RemoteAddr = remote
		if got := clientaddr.String(clientaddr.FromHeader("")(r)); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

func TestANetworkCountsAsOneAddress(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::ffff:192.0.2.7": "192.0.2.7/32", "fe80::1%eth0": "fe80::/64",
	} {
		if got := clientaddr.Network(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if got := clientaddr.Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address: %s", got)
	}
}

// Whatever the client has sent, the proxy's own word behind it counts.
func FuzzOnlyTheProxyIsBelieved(f *testing.F) {
	for _, sent := range []string{"10.0.0.1", `for="`, `for="\`, `"`, `\"`, ",", ";", "[", `host="a, for=10.0.0.1"`, `;for=10.0.0.1`} {
		f.Add(sent)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, sent string) {
		for name, lines := range map[string][]string{
			"X-Forwarded-For": {sent, sent + ", [2001:db8::7]:4711"},
			"Forwarded":       {sent, sent + `, proto=https;for="[2001:db8::7]:4711"`},
			"forwarded":       {sent + `,for="[2001:db8::7]";host="` + quote.Replace(sent) + `"`},
			"X-Real-Ip":       {sent, "2001:db8::7"},
		} {
			if got := from(name, lines...); got != "2001:db8::7" {
				t.Errorf("%s: %q gives %s", name, lines, got)
			}
		}
		for _, name := range []string{"X-Forwarded-For", "Forwarded"} {
			if got := from(name, sent); got == "invalid IP" {
				t.Errorf("%s: %q gives no address", name, sent)
			}
		}
	})
}
