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

// hosts are the names under which a listener answers. A web page can give a name of its own the address of this
// server (DNS rebinding), and what the server answers under that name belongs to the page.
type hosts struct {
	names  map[string]bool
	refuse func(detail string) http.Handler // answers 421 in the format of the listener
	log    *slog.Logger
	told   rate.Sometimes
}

// publicHosts are the names in the configuration that lead to the public listener.
func publicHosts(cfg config.Config) []string {
	names := append(listenerHosts(cfg, cfg.Listen), hostOf(cfg.Issuer))
	for _, identifier := range slices.Sorted(maps.Keys(cfg.Resources)) {
		names = append(names, hostOf(identifier)) // metadata of a resource is looked for at its host (RFC 9728 §3)
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
	h := &hosts{names: map[string]bool{}, refuse: refuse, log: log, told: rate.Sometimes{First: 1, Interval: time.Minute}}
	for _, name := range names {
		h.names[name] = true
	}
	delete(h.names, "") // of an address without a host
	return h
}

// middleware answers for these hosts and refuses others. Health probes are answered whatever they call the server.
func (h *hosts) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.allow(r.Host) || isProbe(r) {
			next.ServeHTTP(w, r)
			return
		}
		host := r.Host[:min(len(r.Host), 100)]
		h.told.Do(func() {
			h.log.WarnContext(r.Context(), "refused a request for a host name that is not in allowed_hosts", "host", host, "path", r.URL.EscapedPath())
		})
		h.refuse(fmt.Sprintf("This server does not answer as '%s'. Use its own address, or add the name to the setting allowed_hosts.", host)).ServeHTTP(w, r)
	})
}

// isProbe tells a health probe, which is answered whoever asks and however often.
func isProbe(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }

// allow judges a host with or without port. Addresses are allowed: no page can choose what they lead to.
func (h *hosts) allow(authority string) bool {
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
