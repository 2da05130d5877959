package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Metadata describes a resource to clients (RFC 9728 §2).
type Metadata struct {
	// Resource is the identifier, byte for byte the URL that clients use.
	Resource string
	// AuthorizationServers are the issuers that tokens come from: one or more.
	AuthorizationServers []string
	// Scopes are the scopes that clients may ask for here.
	Scopes []string
	// Name is shown to people; empty leaves it out.
	Name string
}

// NewMetadataHandler publishes the metadata. Mount it at [MetadataPath] of the
// resource on the router of the whole host, without authentication:
//
//	path, err := resource.MetadataPath(identifier)
//	mux.Handle(path, handler)
//
// It answers GET, HEAD and OPTIONS, for browser clients of any origin.
func NewMetadataHandler(m Metadata) (http.Handler, error) {
	document, err := m.document()
	if err != nil {
		return nil, fmt.Errorf("resource: cannot publish metadata: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			h["Content-Type"] = []string{"application/json"} // exactly: some clients compare
			w.Write(document)
		case http.MethodOptions:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			allowHeaders(h, r)
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			http.Error(w, "Metadata is only read: use GET.", http.StatusMethodNotAllowed)
		}
	}), nil
}

func (m Metadata) document() ([]byte, error) {
	_, err := parseIdentifier("resource", m.Resource)
	problems := []error{err}
	if len(m.AuthorizationServers) == 0 {
		problems = append(problems, errors.New("no authorization server is named: clients would not know where to get a token"))
	}
	for _, issuer := range m.AuthorizationServers {
		_, err := parseIdentifier("authorization server", issuer)
		problems = append(problems, err)
	}
	for _, scope := range m.Scopes {
		if scope == "" || strings.ContainsFunc(scope, notInURI) {
			problems = append(problems, fmt.Errorf("%q is not a scope", scope))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // "resource" keeps its bytes, & included
	err = encoder.Encode(struct {
		Resource             string   `json:"resource"`
		Name                 string   `json:"resource_name,omitempty"`
		AuthorizationServers []string `json:"authorization_servers"`
		Scopes               []string `json:"scopes_supported,omitempty"`
		Methods              []string `json:"bearer_methods_supported"`
	}{m.Resource, m.Name, m.AuthorizationServers, m.Scopes, []string{"header"}})
	return out.Bytes(), err
}
