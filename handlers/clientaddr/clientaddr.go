// Package clientaddr tells which network address a request comes from: the other end of the connection, or what a
// trusted reverse proxy says in a header. Call [FromHeader] once, at the start of each request what it returns, and [With]
// with the outcome; [Of] then tells the address wherever it is needed.
package clientaddr

import (
	"context"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"fosite-mcp/internal/reqinfo"
)

// With returns a context of a request that comes from address.
func With(ctx context.Context, address netip.Addr) context.Context {
	info := reqinfo.From(ctx)
	info.Address = address
	return reqinfo.With(ctx, info)
}

// Of is the address that [With] has put into the context of r, or the [Peer].
func Of(r *http.Request) netip.Addr {
	if address := reqinfo.From(r.Context()).Address; address.IsValid() {
		return address
	}
	return Peer(r)
}

// Peer is the other end of the TCP connection. What a header says counts for nothing. The address is invalid where a
// connection has none, such as on a Unix socket.
func Peer(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// FromHeader returns a function that tells the address which the nearest proxy has written into a header: Forwarded
// (RFC 7239), X-Forwarded-For, or one with a single address such as X-Real-IP. Only the last element counts: what stands
// before it may be anybody's invention. Where the proxy has named no address the function falls back to [Peer], so that
// nobody is without one. An empty name means Peer.
func FromHeader(name string) func(*http.Request) netip.Addr {
	if name == "" {
		return Peer
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	return func(r *http.Request) netip.Addr {
		lines := r.Header[name]
		if len(lines) == 0 {
			return Peer(r)
		}
		node := lastElement(lines[len(lines)-1])
		if name == "Forwarded" {
			node = forwardedFor(node)
		}
		if address := parseNode(node); address.IsValid() {
			return address
		}
		return Peer(r)
	}
}

// Network is what counts as one address where callers are counted: an IPv6 subscriber has a whole /64. It is the zero
// Prefix for an invalid address.
func Network(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, _ := address.Prefix(bits) // fails for the invalid address only
	return prefix
}

// String is the address as text, empty where there is none.
func String(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}

// lastElement is what follows the last comma outside of quotes. It is looked for from the end, so that quotes which
// somebody has left open before it make no difference.
func lastElement(list string) string {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i] {
		case '"':
			before := list[:i]
			if backslashes := len(before) - len(strings.TrimRight(before, `\`)); backslashes%2 == 0 {
				quoted = !quoted
			}
		case ',':
			if !quoted {
				return list[i+1:]
			}
		}
	}
	return list
}

// forwardedFor is the node in the parameter "for" of an element of Forwarded (RFC 7239 §4), empty where there is none or
// the element is malformed.
func forwardedFor(element string) string {
	node, found := "", false
	for rest := element; rest != ""; {
		name, after, isPair := strings.Cut(rest, "=")
		if !isPair {
			return ""
		}
		value, next, ok := pairValue(after)
		if !ok {
			return ""
		}
		if strings.EqualFold(strings.Trim(name, " \t;"), "for") {
			if found { // each parameter at most once in an element
				return ""
			}
			node, found = value, true
		}
		rest = strings.TrimLeft(next, " \t;")
	}
	return node
}

// pairValue takes a token or a quoted string from the beginning of text, up to the semicolon behind it.
func pairValue(text string) (value, next string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		value, next, _ = strings.Cut(text, ";")
		return strings.TrimSpace(value), next, !strings.ContainsAny(value, `"\`)
	}
	var unquoted strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) {
				unquoted.WriteByte(text[i])
			}
		case '"':
			next = strings.TrimLeft(text[i+1:], " \t")
			return unquoted.String(), strings.TrimPrefix(next, ";"), next == "" || next[0] == ';'
		default:
			unquoted.WriteByte(text[i])
		}
	}
	return "", "", false
}

// parseNode reads an address with or without a port, as proxies write them: 192.0.2.1, 192.0.2.1:4711, 2001:db8::1,
// [2001:db8::1], [2001:db8::1]:4711, each perhaps in quotes. The address is invalid for everything else, unknown and
// _hidden (RFC 7239 §6) among it.
func parseNode(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	host, port := text, ""
	switch bracketed := strings.HasPrefix(text, "["); {
	case bracketed:
		var closed bool
		if host, port, closed = strings.Cut(text[1:], "]"); !closed || !strings.Contains(host, ":") {
			return netip.Addr{}
		}
	case strings.Count(text, ":") == 1:
		colon := strings.Index(text, ":")
		host, port = text[:colon], text[colon:]
	}
	address, err := netip.ParseAddr(host)
	if err != nil || !isPort(port) || address.IsUnspecified() {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// isPort accepts nothing, and a port in digits or hidden behind a word (RFC 7239 §6.2).
func isPort(text string) bool {
	if text == "" {
		return true
	}
	return len(text) > 1 && text[0] == ':' && strings.Trim(text[1:], "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") == ""
}
