package client

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fosite-mcp/provider/client/strictjson"
)

// Bounds of what a client may be registered with.
const (
	maxText        = 200
	maxListed      = 50
	maxMetadata    = 16 << 10
	maxLifespan    = 366 * 24 * time.Hour
	authMethodNone = "none"
	authMethodKey  = "private_key_jwt"
)

var (
	clientID      = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	accountID     = regexp.MustCompile(`^user_[a-z2-7]+$`)
	authMethods   = []string{"client_secret_basic", "client_secret_post", authMethodKey, authMethodNone}
	grantTypes    = []string{"client_credentials", "authorization_code", "refresh_token", JWTBearer}
	responseTypes = []string{"code"}
	states        = []Status{Active, Disabled}
)

// Rules say what clients may be registered with on this server.
type Rules struct {
	// Scopes and Resources are those that clients may be registered for.
	Scopes    []string
	Resources []string
	// DefaultScope is what a client gets that names none, separated by spaces; empty: mcp:search, where that is known.
	DefaultScope string
	// DefaultResource is the audience of a client that names none; empty: it then has none.
	DefaultResource string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

func (r Rules) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// GrantTypes are those that clients may be registered for.
func GrantTypes() []string { return slices.Clone(grantTypes) }

// rule is a violation, if broken.
type rule struct {
	broken  bool
	pointer string
	code    string
	detail  string
}

// Check lists everything that is wrong with a client.
func (r Rules) Check(c *Client) strictjson.Mistakes {
	if c.Trust != nil {
		return r.checkIssuer(c)
	}
	var m strictjson.Mistakes
	for _, rule := range append(r.memberRules(c), combinedRules(c)...) {
		if rule.broken {
			m.Add(rule.pointer, rule.code, "%s", rule.detail)
		}
	}
	r.checkLists(c, &m)
	checkURIs(c, &m)
	checkKeys(c, &m)
	return m
}

// memberRules look at one member each.
func (r Rules) memberRules(c *Client) []rule {
	return append(r.sharedRules(c, "/client_name"), []rule{
		{!slices.Contains(authMethods, c.TokenEndpointAuthMethod), "/token_endpoint_auth_method", "invalid", "must be client_secret_basic, client_secret_post, private_key_jwt or none"},
		{c.TokenEndpointAuthSigningAlg != "" && !slices.Contains(signingAlgs, c.TokenEndpointAuthSigningAlg), "/token_endpoint_auth_signing_alg", "invalid", "must be an asymmetric algorithm such as ES256 or RS256"},
	}...)
}

// sharedRules look at members that clients and rules about issuers have. name points to the one for people.
func (r Rules) sharedRules(c *Client, name string) []rule {
	return []rule{
		{strings.TrimSpace(c.Name) == "", name, "required", "is missing: a name tells people which one this is"},
		{!isName(c.Name), name, "invalid", "must be at most 200 characters of text, without control characters"},
		{!isName(c.Owner), "/owner", "invalid", "must be at most 200 characters of text, without control characters"},
		{!slices.Contains(states, c.Status), "/status", "invalid", "must be active or disabled; to end it for good, DELETE it"},
		{c.AccessTokenLifespan > maxLifespan, "/access_token_lifespan", "invalid", "must be at most 31622400 seconds (366 days); null or 0 means the server's own"},
		{!c.ExpiresAt.IsZero() && !c.ExpiresAt.After(r.now()), "/expires_at", "invalid", "must be in the future; null means never. To stop a client now, disable it"},
		{len(c.AssertionIssuer) > maxIssuer || !IsPlain(c.AssertionIssuer), "/assertion_issuer", "invalid", "must be at most 500 characters, without control characters"},
		{len(c.AssertionSubject) > maxPattern || !IsPlain(c.AssertionSubject), "/assertion_subject", "invalid", "must be at most 500 characters, without control characters"},
		{len(c.Metadata) > maxMetadata, "/metadata", "too_long", "must be at most 16 KiB of JSON"},
	}
}

// combinedRules look at members that must fit together.
func combinedRules(c *Client) []rule {
	public, byKey := c.TokenEndpointAuthMethod == authMethodNone, c.TokenEndpointAuthMethod == authMethodKey
	grants := func(name string) bool { return slices.Contains(c.GrantTypes, name) }
	code := slices.Contains(c.ResponseTypes, "code")
	return []rule{
		{public && grants("client_credentials"), "/grant_types", "conflict", "a public client (token_endpoint_auth_method none) cannot prove who it is and so may not use client_credentials; use authorization_code, or another method"},
		{public && len(c.Introspects) > 0, "/introspects", "conflict", "a public client cannot prove who it is and so may not introspect; use another token_endpoint_auth_method"},
		{(public || byKey) && len(c.Secrets) > 0, "/token_endpoint_auth_method", "conflict", "the client has secrets, which this method has no use for; delete them first"},
		{byKey && c.JWKS == nil && c.JWKSURI == "" && (c.AssertionIssuer == "" || checkDiscoverable(c.AssertionIssuer) != nil), "/jwks", "required", "is missing: private_key_jwt needs the client's public keys, in jwks or at jwks_uri"},
		{c.JWKS != nil && c.JWKSURI != "", "/jwks_uri", "conflict", "must not stand beside jwks (RFC 7591 §2); keep one of them"},
		{!byKey && c.AssertionIssuer != "", "/assertion_issuer", "conflict", "is for private_key_jwt alone"},
		{c.AssertionIssuer != "" && c.AssertionSubject == "", "/assertion_subject", "required", "is missing: the sub of the issuer's assertions for this client"},
		{c.AssertionIssuer == "" && (c.AssertionSubject != "" || c.AssertionReusable), "/assertion_issuer", "required", "is missing: the iss of the assertions"},
		{!byKey && c.TokenEndpointAuthSigningAlg != "", "/token_endpoint_auth_signing_alg", "conflict", "is for private_key_jwt alone"},
		{len(c.GrantTypes) == 0, "/grant_types", "required", "must not be empty; leave it out for the default"},
		{grants("authorization_code") && !code, "/response_types", "conflict", `must hold "code", which the grant authorization_code needs (RFC 7591 §2.1)`},
		{!grants("authorization_code") && code, "/response_types", "conflict", `must not hold "code" without the grant authorization_code (RFC 7591 §2.1)`},
		{grants("authorization_code") && len(c.RedirectURIs) == 0, "/redirect_uris", "required", "is missing: the grant authorization_code sends people back to one of these"},
		{grants("refresh_token") && !grants("authorization_code") && !grants("client_credentials"), "/grant_types", "conflict", "refresh_token alone gets no token; add authorization_code"},
	}
}

// checkLists looks at members that choose from a list, and at how long the lists are.
func (r Rules) checkLists(c *Client, m *strictjson.Mistakes) {
	checkChosen([]chosen{
		{"/scope", c.Scope, r.Scopes, "unknown_scope", "scope"},
		{"/audience", c.Audience, r.Resources, "unknown_resource", "resource"},
		{"/introspects", c.Introspects, r.Resources, "unknown_resource", "resource"},
		{"/grant_types", c.GrantTypes, grantTypes, "invalid", "grant type"},
		{"/response_types", c.ResponseTypes, responseTypes, "invalid", "response type"},
		{"/redirect_uris", c.RedirectURIs, nil, "", ""},
	}, m)
}

// chosen is a list whose entries are among those that are known, unless code is empty.
type chosen struct {
	pointer string
	list    []string
	known   []string
	code    string
	what    string
}

func checkChosen(all []chosen, m *strictjson.Mistakes) {
	for _, member := range all {
		if len(member.list) > maxListed {
			m.Add(member.pointer, "too_long", "has more than %d entries", maxListed)
			continue
		}
		for i, entry := range member.list {
			at := member.pointer
			if at != "/scope" { // a string, not an array
				at += "/" + strconv.Itoa(i)
			}
			switch {
			case slices.Contains(member.list[:i], entry):
				m.Add(at, "duplicate", "%s is there more than once", strictjson.Quote(entry))
			case member.code != "" && !slices.Contains(member.known, entry):
				m.Add(at, member.code, "%s is no %s of this server; it knows: %s", strictjson.Quote(entry), member.what, listed(member.known))
			}
		}
	}
}

// checkID looks at an id that somebody has chosen. The sub of a machine's token is its client's id, so that must not be the one
// of a person (RFC 9700 §4.15).
func checkID(pointer, id string, m *strictjson.Mistakes) {
	switch {
	case m.At(pointer):
	case len(id) > 64 || !clientID.MatchString(id):
		m.Add(pointer, "invalid", "must be 1 to 64 letters, digits and _ (anything else is encoded differently by different programs), not %s", strictjson.Quote(id))
	case IsAccountID(id):
		m.Add(pointer, "invalid", "must not be like the id of an account: services would take this client for a person. Choose another one")
	}
}

// IsAccountID tells whether an id has the form of those of local accounts, as storage/people makes them.
func IsAccountID(id string) bool { return len(id) == len("user_")+26 && accountID.MatchString(id) }

func checkURIs(c *Client, m *strictjson.Mistakes) {
	check := func(pointer, uri string, err error) {
		if err != nil {
			*m = append(*m, strictjson.Mistake{Pointer: pointer, Code: "invalid", Detail: err.Error(), Value: uri})
		}
	}
	for i, uri := range c.RedirectURIs {
		check("/redirect_uris/"+strconv.Itoa(i), uri, CheckRedirectURI(uri, c.IsPublic()))
	}
	if c.JWKSURI != "" {
		check("/jwks_uri", c.JWKSURI, CheckJWKSURI(c.JWKSURI))
	}
}

func listed(known []string) string {
	if len(known) == 0 {
		return "none"
	}
	if len(known) > 20 {
		return strings.Join(known[:20], ", ") + ", …"
	}
	return strings.Join(known, ", ")
}

// isName tells whether s can be shown to people. Characters that turn the direction of text could make one name look
// like another (UTS #39).
func isName(s string) bool {
	if utf8.RuneCountInString(s) > maxText || !IsPlain(s) {
		return false
	}
	for _, r := range s {
		if r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return false
		}
	}
	return true
}

// IsPlain tells whether s is UTF-8 without control characters.
func IsPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
