package client

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

// DynamicRegistration is the value of [Client.RegisteredBy] for clients that have registered themselves (RFC 7591).
const DynamicRegistration = "dynamic_registration"

// DynamicRules say what clients may say of themselves, in a registration (RFC 7591) or a metadata document: what [Rules] allow to any client, for people alone,
// and with redirect URIs of applications that are known.
type DynamicRules struct {
	Rules
	// RedirectHosts are the hosts of https redirect URIs; "*" is any. http is for loopback hosts, which need not be listed.
	RedirectHosts []string
	// RedirectSchemes are the schemes of applications, such as "cursor". A scheme that a system acts on by itself is
	// refused all the same.
	RedirectSchemes []string

	ownHost string // with its port: that of the client's metadata document
}

// maxDynamicURIs is how many redirect URIs a client may register itself with.
const maxDynamicURIs = 10

// understood are the members of a registration that mean something here. Further ones are ignored (RFC 7591 §2).
var understood = []string{"client_name", "redirect_uris", "grant_types", "response_types", "scope", "jwks", "jwks_uri",
	"token_endpoint_auth_method", "token_endpoint_auth_signing_alg"}

// Described is c with what it says of itself replaced by what other says. All else is the administrator's to say.
func (c *Client) Described(other *Client) *Client {
	after := *c
	after.Name, after.Scope, after.RedirectURIs = other.Name, other.Scope, other.RedirectURIs
	after.GrantTypes, after.ResponseTypes = other.GrantTypes, other.ResponseTypes
	after.TokenEndpointAuthMethod, after.TokenEndpointAuthSigningAlg = other.TokenEndpointAuthMethod, other.TokenEndpointAuthSigningAlg
	after.JWKS, after.JWKSURI = other.JWKS, other.JWKSURI
	return &after
}

// grantsForPeople are those that a client may register itself for: somebody has to consent.
var grantsForPeople = []string{"authorization_code", "refresh_token"}

// Register makes a client of a registration, as [strictjson.Decode] returns it. Members that are null or empty count as left
// out. What the client asks for beyond what there is here is left out: grant types, and scopes; it gets the default scope when
// nothing is left, and every resource of the server for its audience. The error is a [strictjson.Mistakes].
func (r DynamicRules) Register(body map[string]any) (*Client, error) {
	c, err := r.describe(body)
	if err != nil {
		return nil, err
	}
	c.RegisteredBy = DynamicRegistration
	return c, nil
}

// describe makes a client of what it says of itself.
func (r DynamicRules) describe(body map[string]any) (*Client, error) {
	document := map[string]any{}
	for _, name := range understood {
		if value := body[name]; value != nil && value != "" {
			document[name] = value
		}
	}
	var m strictjson.Mistakes
	r.narrow(document, &m)
	if err := m.Err(); err != nil {
		return nil, err
	}
	c, err := r.New(document)
	var mistakes strictjson.Mistakes
	if err != nil && !errors.As(err, &mistakes) {
		return nil, err
	}
	if n := len(c.RedirectURIs); n > maxDynamicURIs {
		mistakes.Add("/redirect_uris", "too_long", "has more than %d entries", maxDynamicURIs)
	}
	for i, uri := range c.RedirectURIs {
		r.checkRedirect(uri, i, &mistakes)
	}
	c.Audience = r.audience()
	return c, mistakes.Err()
}

// narrow leaves in a registration what there is on this server, and fills in what it leaves out.
func (r DynamicRules) narrow(document map[string]any, m *strictjson.Mistakes) {
	if asked, ok := document["grant_types"].([]any); ok {
		left := slices.DeleteFunc(slices.Clone(asked), func(grant any) bool {
			name, isText := grant.(string)
			// An enterprise decides for the people (ID-JAG). It names the client, which only the URL of a document lets it do.
			return isText && !slices.Contains(grantsForPeople, name) && !(name == JWTBearer && r.ownHost != "")
		})
		if len(left) == 0 && len(asked) > 0 {
			m.Add("/grant_types", "invalid", "holds none that a client may register itself for: authorization_code, with refresh_token; an administrator registers clients that are machines")
		}
		document["grant_types"] = left
	} else if document["grant_types"] == nil {
		document["grant_types"] = []any{"authorization_code", "refresh_token"}
	}
	delete(document, "response_types") // code, which follows
	if scope, ok := document["scope"].(string); ok {
		known := slices.DeleteFunc(strings.Fields(scope), func(name string) bool { return !slices.Contains(r.Scopes, name) })
		if document["scope"] = strings.Join(known, " "); len(known) == 0 {
			delete(document, "scope")
		}
	}
	if document["client_name"] == nil {
		document["client_name"] = "Unnamed application"
	}
}

// audience is every resource of the server, the default one first.
func (r DynamicRules) audience() []string {
	all := slices.Clone(r.Resources)
	if i := slices.Index(all, r.DefaultResource); i > 0 {
		all = slices.Insert(slices.Delete(all, i, i+1), 0, r.DefaultResource)
	}
	return all
}

// checkRedirect refuses a redirect URI of an application that is not listed.
func (r DynamicRules) checkRedirect(uri string, i int, m *strictjson.Mistakes) {
	pointer := "/redirect_uris/" + strconv.Itoa(i)
	u, err := url.Parse(uri)
	if err != nil || m.At(pointer) {
		return // it was refused before
	}
	switch {
	case u.Scheme == "https" && r.ownHost != "" && u.Host == r.ownHost:
	case u.Scheme == "https" && u.Port() == "" && (slices.Contains(r.RedirectHosts, "*") || slices.Contains(r.RedirectHosts, strings.ToLower(u.Hostname()))):
	case u.Scheme == "http": // a loopback host, or refused before
	case u.Scheme == "https":
		m.Add(pointer, "invalid", "has the host %s, which is none of those that clients may register themselves with here; an administrator can add it (registration.redirect_hosts)", strictjson.Quote(u.Hostname()))
	case !slices.Contains(r.RedirectSchemes, u.Scheme):
		m.Add(pointer, "invalid", "has the scheme %s, which is none of those that clients may register themselves with here; an administrator can add it (registration.redirect_schemes)", strictjson.Quote(u.Scheme))
	}
}
