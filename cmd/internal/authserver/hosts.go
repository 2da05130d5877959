package authserver

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/config"

	"golang.org/x/time/rate"
)

// hosts are the host names that a listener answers to. A web page can point its own name to the address of this server (DNS
// rebinding); browsers would let the page read what the server answers under that name.
type hosts struct {
	names  map[string]bool
	refuse func(detail string) http.Handler // answers 421 in the format of the listener
	log    *slog.Logger
	logged rate.Sometimes
}

// publicHosts are the names in the configuration that lead to the public listener.
func publicHosts(cfg config.Config) []string {
	names := append(listenerHosts(cfg, cfg.Listen), hostOf(cfg.Issuer))
	for _, identifier := range slices.Sorted(maps.Keys(cfg.Resources)) {
		names = append(names, hostOf(identifier)) // clients ask the host of a resource for its metadata (RFC 9728 §3)
	}
	return names
}

// listenerHosts are the names that lead to either listener.
func listenerHosts(cfg config.Config, listen string) []string {
	return append([]string{"localhost", hostOf(cfg.PublicURL), hostOf("//" + listen)}, cfg.AllowedHosts...)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func newHosts(names []string, log *slog.Logger, refuse func(detail string) http.Handler) *hosts {
	h := &hosts{names: map[string]bool{}, refuse: refuse, log: log, logged: rate.Sometimes{First: 1, Interval: time.Minute}}
	for _, name := range names {
		h.names[name] = true
	}
	delete(h.names, "") // an address may have no host
	return h
}

// middleware answers for these hosts and refuses others. Health probes are answered under any name.
func (h *hosts) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.allow(r.Host) || isProbe(r) {
			next.ServeHTTP(w, r)
			return
		}
		host := r.Host[:min(len(r.Host), 100)]
		h.logged.Do(func() {
			h.log.WarnContext(r.Context(), "refused a request for a host name that is not in allowed_hosts", "host", host, "path", r.URL.EscapedPath())
		})
		h.refuse(fmt.Sprintf("This server does not answer as '%s'. Use its own address, or add the name to the setting allowed_hosts.", host)).ServeHTTP(w, r)
	})
}

// isProbe reports whether a request is a health probe, which no limit refuses.
func isProbe(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }

// allow decides on a host with or without port. IP addresses are allowed: DNS cannot point them elsewhere.
func (h *hosts) allow(authority string) bool {
	if h.names[authority] { // as most requests write it
		return true
	}
	host := strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]")
	if name, port, err := net.SplitHostPort(authority); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		host = name
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return h.names[strings.ToLower(strings.TrimSuffix(host, "."))]
}
