package handlers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/provider/client"

	"github.com/gorilla/mux"
)

// Metadata is what clients discover: RFC 8414 authorization server metadata, and RFC 9728 protected resource
// metadata for the resources that live on this origin.
type Metadata struct {
	// Issuer is the issuer, byte by byte as everywhere else: no trailing slash.
	Issuer string
	// Endpoints is the URL under which the OAuth endpoints are mounted: origin and base path.
	Endpoints string
	// Scopes and GrantTypes that the server supports.
	Scopes     []string
	GrantTypes []string
	// AuthMethods are the ways a client may authenticate; nil: all that provider.ClientAuthenticator knows.
	AuthMethods []string
	Resources   []ProtectedResource
}

// ProtectedResource describes a resource server (RFC 9728).
type ProtectedResource struct {
	Resource string // the identifier, which is its URL
	Name     string
	Scopes   []string
}

var authMethods = []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}

// MountWellKnown adds the metadata documents to the root router, in every form that clients try. An unknown
// well-known path stays 404.
func MountWellKnown(root *mux.Router, m Metadata) {
	server := document(m.server())
	for _, path := range m.serverPaths() {
		root.Handle(path, server)
	}
	issuer, err := url.Parse(m.Issuer)
	for _, resource := range m.Resources {
		identifier, resourceErr := url.Parse(resource.Resource)
		if err != nil || resourceErr != nil || identifier.Host != issuer.Host || identifier.Scheme != issuer.Scheme {
			continue // the resource server publishes its own
		}
		root.Handle("/.well-known/oauth-protected-resource"+strings.TrimSuffix(identifier.EscapedPath(), "/"), document(m.resource(resource)))
	}
}

// serverPaths are RFC 8414 §3.1's place (between host and path), the same for OpenID Connect, and the place that
// OpenID Connect Discovery puts behind the path.
func (m Metadata) serverPaths() []string {
	path := ""
	if issuer, err := url.Parse(m.Issuer); err == nil {
		path = strings.TrimSuffix(issuer.EscapedPath(), "/")
	}
	paths := []string{"/.well-known/oauth-authorization-server" + path, "/.well-known/openid-configuration" + path}
	if path != "" {
		paths = append(paths, path+"/.well-known/openid-configuration")
	}
	return paths
}

// serverMetadata is RFC 8414 §2. One document serves OAuth and OpenID paths: clients insist on the OpenID members
// there, and ignore them elsewhere. The TypeScript SDK of MCP refuses a document without authorization_endpoint, jwks_uri or
// id_token_signing_alg_values_supported. So these are there although machines alone may get tokens, all of them opaque.
type serverMetadata struct {
	Issuer                                     string   `json:"issuer"`
	AuthorizationEndpoint                      string   `json:"authorization_endpoint"`
	TokenEndpoint                              string   `json:"token_endpoint"`
	IntrospectionEndpoint                      string   `json:"introspection_endpoint"`
	RevocationEndpoint                         string   `json:"revocation_endpoint"`
	JWKSURI                                    string   `json:"jwks_uri"`
	ScopesSupported                            []string `json:"scopes_supported"`
	ResponseTypesSupported                     []string `json:"response_types_supported"`
	ResponseModesSupported                     []string `json:"response_modes_supported"`
	GrantTypesSupported                        []string `json:"grant_types_supported"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgValuesSupported []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpointAuthMethodsSupported  []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthSigningAlgs       []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationEndpointAuthMethodsSupported     []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationEndpointAuthSigningAlgs          []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethodsSupported              []string `json:"code_challenge_methods_supported"`
	IssParameterSupported                      bool     `json:"authorization_response_iss_parameter_supported"`
	SubjectTypesSupported                      []string `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported           []string `json:"id_token_signing_alg_values_supported"`
}

func (m Metadata) server() serverMetadata {
	methods := m.AuthMethods
	if methods == nil {
		methods = authMethods
	}
	return serverMetadata{
		Issuer:                            m.Issuer,
		AuthorizationEndpoint:             m.Endpoints + "/authorize",
		TokenEndpoint:                     m.Endpoints + "/token",
		IntrospectionEndpoint:             m.Endpoints + "/introspect",
		RevocationEndpoint:                m.Endpoints + "/revoke",
		JWKSURI:                           m.Endpoints + "/jwks.json",
		ScopesSupported:                   m.Scopes,
		ResponseTypesSupported:            []string{"code"},
		ResponseModesSupported:            []string{"query"},
		GrantTypesSupported:               m.GrantTypes,
		TokenEndpointAuthMethodsSupported: append([]string{}, append(methods, "none")...),
		TokenEndpointAuthSigningAlgValuesSupported: client.SigningAlgorithms(),
		IntrospectionEndpointAuthMethodsSupported:  methods,
		IntrospectionEndpointAuthSigningAlgs:       client.SigningAlgorithms(),
		RevocationEndpointAuthMethodsSupported:     append([]string{}, append(methods, "none")...),
		RevocationEndpointAuthSigningAlgs:          client.SigningAlgorithms(),
		CodeChallengeMethodsSupported:              []string{"S256"},
		IssParameterSupported:                      true,
		SubjectTypesSupported:                      []string{"public"},
		IDTokenSigningAlgValuesSupported:           []string{"RS256"},
	}
}

// resourceMetadata is RFC 9728 §2.
type resourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	ResourceName           string   `json:"resource_name,omitempty"`
}

func (m Metadata) resource(r ProtectedResource) resourceMetadata {
	return resourceMetadata{
		Resource: r.Resource, AuthorizationServers: []string{m.Issuer}, ScopesSupported: r.Scopes,
		BearerMethodsSupported: []string{"header"}, ResourceName: r.Name,
	}
}

// document serves value as a public JSON document.
func document(value any) http.Handler {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and lists of strings always encode
	}
	return corsForAnyOrigin.Handler(Reading(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	}))
}
