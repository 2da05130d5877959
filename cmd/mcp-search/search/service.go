package search

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"fosite-mcp/handlers/resource"
)

// Scope is what a token needs to reach the MCP endpoint.
const Scope = "mcp:search"

// clientCredentialsExtension tells clients that machines may get tokens with client credentials.
const clientCredentialsExtension = "io.modelcontextprotocol/oauth-client-credentials"

// maxRequest is far above any request that the tools take.
const maxRequest = 256 << 10 // bytes

// Service is the documentation search, an MCP server. Every field but Logger is required.
type Service struct {
	Pages    *Pages
	Verifier resource.Verifier
	// Resource is this server's identifier: the URL that clients use. Its
	// path is where the MCP endpoint is served.
	Resource string
	// AuthorizationServer is the issuer that clients get tokens from.
	AuthorizationServer string
	// ToolScopes are scopes that tools need beyond [Scope]; nil: none.
	ToolScopes resource.ToolScopes
	// Logger is told about outages; nil means slog.Default().
	Logger *slog.Logger
}

// Handler serves the MCP endpoint, its protected resource metadata (RFC 9728)
// and /livez. Mount it at the root of a host.
func (s Service) Handler() (http.Handler, error) {
	if s.Pages == nil || s.Verifier == nil {
		return nil, errors.New("search: Service needs Pages (see Load) and a Verifier")
	}
	u, err := url.Parse(s.Resource)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	supported := []string{Scope}
	for tool, scopes := range s.ToolScopes {
		if tool != toolSearch && tool != toolGetPage {
			return nil, fmt.Errorf("search: there is no tool %q: the tools are %s and %s", tool, toolSearch, toolGetPage)
		}
		for _, scope := range scopes {
			if !slices.Contains(supported, scope) {
				supported = append(supported, scope)
			}
		}
	}
	slices.Sort(supported)
	handler, err := resource.Site{
		Verifier: s.Verifier,
		Metadata: resource.Metadata{
			Resource:             s.Resource,
			AuthorizationServers: []string{s.AuthorizationServer},
			Scopes:               supported,
			Name:                 "Documentation search",
		},
		Scopes: []string{Scope},
		Tools:  s.ToolScopes,
		Logger: s.Logger,
	}.Handler(s.mcpHandler(u.Hostname()))
	if err != nil {
		return nil, err
	}
	return http.MaxBytesHandler(handler, maxRequest), nil
}

// mcpHandler is stateless: each request stands for itself and is answered with
// one JSON document, so that nothing runs on after its token is revoked.
func (s Service) mcpHandler(host string) http.Handler {
	logger := s.Logger
	if logger == nil {
		logger = slog.Default()
	}
	capabilities := &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}
	capabilities.AddExtension(clientCredentialsExtension, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "mcp-search", Title: "Documentation search", Version: "dev"}, &mcp.ServerOptions{
		Instructions: "Search the documentation with the tool search, then read a page in full with get_page.",
		// The tools never change: clients need not listen for that.
		Capabilities: capabilities,
	})
	addTools(server, s.Pages)
	server.AddReceivingMiddleware(s.allowTools)
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		Stateless:           true,
		JSONResponse:        true,
		MaxRequestBodyBytes: maxRequest,
		Logger:              logger,
		// The SDK refuses foreign Host headers on a loopback address, which is
		// right unless a proxy on this machine passes on the public one.
		DisableLocalhostProtection: !resource.IsLoopback(host),
	})
}
