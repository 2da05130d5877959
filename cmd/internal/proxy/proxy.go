// Package proxy puts OAuth in front of an MCP server that knows nothing of it.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/handlers/resource"
)

// Options are the choices of [New]. All but Scopes, Name and Log are required.
type Options struct {
	Verifier  resource.Verifier
	Resource  string // the URL that clients use
	Issuer    string
	Scopes    []string // that a token must have
	Name      string   // of the resource, for people
	Upstream  *url.URL // the MCP server's URL
	BodyLimit int64    // bytes of a request
	Log       *slog.Logger
}

// New makes the handler for the root of a host: requests with a good token go to the MCP server, without the token. What is at and
// below the path of Resource is what is there at and below that of Upstream.
func New(o Options) (http.Handler, error) {
	identifier, err := url.Parse(o.Resource)
	if err != nil {
		return nil, err
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			below := strings.TrimPrefix(r.In.URL.EscapedPath(), strings.TrimSuffix(identifier.EscapedPath(), "/"))
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = o.Upstream.Scheme, o.Upstream.Host, o.Upstream.Host
			setPath(r.Out.URL, strings.TrimSuffix(o.Upstream.EscapedPath(), "/")+below)
			r.SetXForwarded()
			r.Out.Header.Del("Authorization")
			r.Out.Header.Del("Connection") // an upgraded connection would be a tunnel, in which nobody checks anything
			r.Out.Header.Del("Upgrade")
			r.Out.Header.Del("Http2-Settings")
			r.Out.Trailer = nil // some servers take trailers for headers
			resource.SetIdentity(r.Out.Header, resource.TokenFromContext(r.In.Context()))
		},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true, // the client's own business
			ForceAttemptHTTP2:   true,
		},
		FlushInterval: -1, // answers are streams
		ErrorHandler:  func(w http.ResponseWriter, r *http.Request, err error) { refuse(w, r, err, o.Log) },
		ErrorLog:      slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return resource.Site{
		Verifier: o.Verifier, Scopes: o.Scopes, Below: true, Logger: o.Log,
		Metadata: resource.Metadata{Resource: o.Resource, AuthorizationServers: []string{o.Issuer}, Scopes: o.Scopes, Name: o.Name},
	}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, o.BodyLimit)
		pass.ServeHTTP(w, r)
	}))
}

// setPath keeps the path as it was written.
func setPath(u *url.URL, escaped string) {
	if escaped == "" {
		escaped = "/"
	}
	u.RawPath = escaped
	u.Path, _ = url.PathUnescape(escaped) // it was parsed before
}

// refuse answers for an MCP server that does not.
func refuse(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "The request is larger than this server takes.", http.StatusRequestEntityTooLarge)
		return
	case errors.Is(context.Cause(r.Context()), resource.ErrInactive):
		panic(http.ErrAbortHandler) // the token has ended: no answer, and a new request is told so
	case errors.Is(r.Context().Err(), context.Canceled):
		return // the client has gone
	}
	log.ErrorContext(r.Context(), "the MCP server does not answer", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "5")
	http.Error(w, "The MCP server behind this address does not answer. Try again in 5 seconds.", http.StatusBadGateway)
}
