package resource

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// Site is a host with one resource: what stands behind a token, where its
// metadata are, and /livez. Verifier and Metadata are required.
type Site struct {
	Verifier Verifier
	Metadata Metadata
	// Scopes must all have been granted; none means: any active token. They
	// may be fewer than those of Metadata.
	Scopes []string
	// Tools are those of [Bearer].
	Tools ToolScopes
	// Below also lets requests to paths below the resource's through.
	Below bool
	// Logger hears what [Bearer.Logger] hears.
	Logger *slog.Logger
}

// Handler puts next behind a token at the path of the resource, for browser
// clients too ([CORS]), and publishes the metadata (RFC 9728). Other paths are
// 404. Mount it at the root of the host.
func (s Site) Handler(next http.Handler) (http.Handler, error) {
	metadata, err := NewMetadataHandler(s.Metadata)
	if err != nil {
		return nil, err
	}
	metadataPath, err := MetadataPath(s.Metadata.Resource)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(s.Metadata.Resource)
	if err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	bearer := Bearer{Verifier: s.Verifier, Resource: s.Metadata.Resource, Scopes: s.Scopes, Tools: s.Tools, Logger: s.Logger}
	if _, err := bearer.gate(); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	endpoint := u.EscapedPath()
	if endpoint == "" {
		endpoint = "/"
	}
	guarded := CORS(bearer.Wrap(next))
	// Paths come from configuration, in which http.ServeMux would see patterns.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.EscapedPath(); {
		case path == metadataPath:
			metadata.ServeHTTP(w, r)
		case path == "/livez":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(w, "ok\n")
		case path == endpoint, s.Below && isBelow(path, endpoint):
			guarded.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	}), nil
}

// isBelow reports whether path lies below base, whoever reads it: a segment
// "..", however it is written, would lead out again.
func isBelow(path, base string) bool {
	rest, below := strings.CutPrefix(path, strings.TrimSuffix(base, "/")+"/")
	decoded, err := url.PathUnescape(rest)
	if !below || err != nil {
		return false
	}
	again, err := url.PathUnescape(decoded)
	if err != nil {
		return false
	}
	for _, text := range []string{decoded, again} {
		for _, segment := range strings.FieldsFunc(text, func(c rune) bool { return c == '/' || c == '\\' || c == ';' }) {
			if segment == "." || segment == ".." {
				return false
			}
		}
	}
	return true
}
