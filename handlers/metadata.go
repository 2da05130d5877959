package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fosite-mcp/provider/client"

	"github.com/gorilla/mux"
)

// Metadata is what clients discover: RFC 8414 authorization server metadata, and RFC 9728 protected resource
// metadata for the resources that live on this origin. What Server does not do is not announced.
type Metadata struct {
	// Server is whose endpoints these are. Required; [Server.Mount] comes first.
	Server *Server
	// Issuer is the issuer, byte by byte as everywhere else: no trailing slash. Empty: Server.Issuer.
	Issuer string
	// Endpoints is the URL under which the OAuth endpoints are mounted: origin and base path.
	Endpoints string
	// Scopes that the server supports.
	Scopes []string
	// GrantTypes that the server supports; nil: those that its Provider is composed of.
	GrantTypes []string
	// AuthMethods are the ways a client may authenticate; nil: those that the Provider names (method AuthMethods), or else
	// by secret. Where authorization codes are issued, public clients come to them by none.
	AuthMethods []string
	// OpenID serves the document at the paths of OpenID Connect Discovery too, with the members that its readers insist on,
	// for clients that look nowhere else. The server issues no ID tokens: it is no login for other applications.
	OpenID bool
	// OwnAuthorization says that the host has an authorization endpoint of its own at Endpoints/authorize, which puts iss into
	// its answers (RFC 9207). Server's own, with a Login and an Issuer, needs no word.
	OwnAuthorization bool
	// GrantProfiles are the profiles of assertions that are exchanged at this moment
	// (draft-ietf-oauth-identity-assertion-authz-grant §7.2), asked at each request for the document; nil: there are none.
	GrantProfiles func(ctx context.Context) []string
	Resources     []ProtectedResource
}

// ProtectedResource describes a resource server (RFC 9728).
type ProtectedResource struct {
	Resource string // the identifier, which is its URL
	Name     string
	Scopes   []string
}

// DocumentsProvider tells whether it knows clients by their metadata documents, without a registration.
type DocumentsProvider interface {
	ReadsMetadataDocuments() bool
}

// AuthMethodsProvider names the ways in which it authenticates clients, by their names in RFC 7591.
type AuthMethodsProvider interface {
	AuthMethods() []string
}

// MountWellKnown adds the metadata documents to the root router, in every form that clients try. An unknown
// well-known path stays 404. A Metadata from which no true document can be made is an error, and nothing is mounted.
func MountWellKnown(root *mux.Router, m Metadata) error {
	if m.Server == nil || m.Endpoints == "" || m.Issuer == "" && m.Server.Issuer == "" {
		return errors.New("handlers: set Metadata.Server, Endpoints, and Issuer or Server.Issuer")
	}
	if m.Issuer == "" {
		m.Issuer = m.Server.Issuer
	}
	if m.Server.Issuer != "" && m.Issuer != m.Server.Issuer {
		return fmt.Errorf("handlers: Metadata.Issuer is %q and Server.Issuer is %q; clients compare them byte by byte, so set one alone", m.Issuer, m.Server.Issuer)
	}
	issuer, err := url.Parse(m.Issuer)
	if err != nil {
		return fmt.Errorf("handlers: the issuer is no URL: %w", err)
	}
	server := m.serverDocument()
	for _, path := range m.serverPaths(issuer) {
		root.Handle(path, server)
	}
	for _, resource := range m.Resources {
		identifier, err := url.Parse(resource.Resource)
		if err != nil || identifier.Host != issuer.Host || identifier.Scheme != issuer.Scheme {
			continue // the resource server publishes its own
		}
		root.Handle("/.well-known/oauth-protected-resource"+strings.TrimSuffix(identifier.EscapedPath(), "/"), document(m.resource(resource)))
	}
	return nil
}

// serverPaths are RFC 8414 §3.1's place (between host and path), the same for OpenID Connect, and the place that
// OpenID Connect Discovery puts behind the path.
func (m Metadata) serverPaths(issuer *url.URL) []string {
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	paths := []string{"/.well-known/oauth-authorization-server" + path}
	if m.OpenID {
		paths = append(paths, "/.well-known/openid-configuration"+path)
	}
	if m.OpenID && path != "" {
		paths = append(paths, path+"/.well-known/openid-configuration")
	}
	return paths
}

// serverMetadata is RFC 8414 §2, one document for all paths. The TypeScript SDK of MCP refuses a document without authorization_endpoint or jwks_uri. So
// these are there although machines alone may get tokens, and all of them may be opaque.
type serverMetadata struct {
	Issuer                                     string   `json:"issuer"`
	AuthorizationEndpoint                      string   `json:"authorization_endpoint"`
	TokenEndpoint                              string   `json:"token_endpoint"`
	IntrospectionEndpoint                      string   `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint                         string   `json:"revocation_endpoint,omitempty"`
	RevocationsEndpoint                        string   `json:"revocations_endpoint,omitempty"` // ours: the feed
	RegistrationEndpoint                       string   `json:"registration_endpoint,omitempty"`
	JWKSURI                                    string   `json:"jwks_uri"`
	ScopesSupported                            []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported                     []string `json:"response_types_supported"`
	ResponseModesSupported                     []string `json:"response_modes_supported"`
	GrantTypesSupported                        []string `json:"grant_types_supported,omitempty"`
	AuthorizationGrantProfilesSupported        []string `json:"authorization_grant_profiles_supported,omitempty"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgValuesSupported []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported  []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgs       []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionSigningAlgValuesSupported     []string `json:"introspection_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported     []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgs          []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	ClientIDMetadataDocumentSupported          bool     `json:"client_id_metadata_document_supported,omitempty"`
	CodeChallengeMethodsSupported              []string `json:"code_challenge_methods_supported"`
	IssParameterSupported                      bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	SubjectTypesSupported                      []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported           []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// serverDocument serves the document with the profiles of the moment.
func (m Metadata) serverDocument() http.Handler {
	plain := m.server()
	without := document(plain)
	if m.GrantProfiles == nil {
		return without
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		profiles := m.GrantProfiles(r.Context())
		if len(profiles) == 0 {
			without.ServeHTTP(w, r)
			return
		}
		with := plain
		with.AuthorizationGrantProfilesSupported = profiles
		document(with).ServeHTTP(w, r)
	})
}

func (m Metadata) server() serverMetadata {
	methods, grantTypes := m.AuthMethods, m.GrantTypes
	if named, ok := capability[AuthMethodsProvider](m.Server.Provider); ok && methods == nil {
		methods = named.AuthMethods()
	}
	if methods == nil {
		methods = []string{"client_secret_basic", "client_secret_post"}
	}
	if grantTypes == nil {
		grantTypes = m.Server.grantTypes()
	}
	var algorithms []string
	if slices.Contains(methods, "private_key_jwt") {
		algorithms = client.SigningAlgorithms()
	}
	withPublic := append(slices.Clone(methods), "none")
	document := serverMetadata{
		Issuer:                            m.Issuer,
		AuthorizationEndpoint:             m.Endpoints + "/authorize",
		TokenEndpoint:                     m.Endpoints + "/token",
		JWKSURI:                           m.Endpoints + "/jwks.json",
		ScopesSupported:                   m.Scopes,
		ResponseTypesSupported:            []string{"code"},
		ResponseModesSupported:            []string{"query"},
		GrantTypesSupported:               grantTypes,
		TokenEndpointAuthMethodsSupported: withPublic,
		TokenEndpointAuthSigningAlgValuesSupported: algorithms,
		CodeChallengeMethodsSupported:              []string{"S256"},
		IssParameterSupported:                      m.OwnAuthorization || m.Server.Login != nil && m.Server.Issuer != "",
	}
	if m.OpenID {
		document.SubjectTypesSupported, document.IDTokenSigningAlgValuesSupported = []string{"public"}, []string{"RS256"}
	}
	if m.Server.Revocations != nil {
		document.RevocationsEndpoint = m.Endpoints + "/revocations"
	}
	if m.Server.Registration != nil {
		document.RegistrationEndpoint = m.Endpoints + "/register"
	}
	if reads, ok := capability[DocumentsProvider](m.Server.Provider); ok && m.Server.Login != nil {
		document.ClientIDMetadataDocumentSupported = reads.ReadsMetadataDocuments()
	}
	if m.Server.answersIntrospection() {
		document.IntrospectionEndpoint = m.Endpoints + "/introspect"
		document.IntrospectionEndpointAuthMethodsSupported, document.IntrospectionEndpointAuthSigningAlgs = methods, algorithms
		if signed := m.Server.SignedIntrospection; signed != nil {
			document.IntrospectionSigningAlgValuesSupported = signed.Algorithms
		}
	}
	if m.Server.revokes() {
		document.RevocationEndpoint = m.Endpoints + "/revoke"
		document.RevocationEndpointAuthMethodsSupported, document.RevocationEndpointAuthSigningAlgs = withPublic, algorithms
	}
	return document
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
