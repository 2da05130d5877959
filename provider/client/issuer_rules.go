package client

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

const (
	maxIssuer    = 500
	maxPattern   = 500
	maxClaims    = 4 << 10
	presetMember = "preset"
)

var profiles = []Profile{Workload, IDJAG}

// presets are what is known of issuers that many have. What a document says goes before.
var presets = map[string]map[string]any{
	"github-actions": {"issuer": githubActions},
	"gitlab":         {"issuer": gitlabCom},
	// Both hand out one assertion again until it is about to expire.
	"kubernetes": {"reusable": true},
	"spiffe":     {"reusable": true},
}

const (
	githubActions = "https://token.actions.githubusercontent.com"
	gitlabCom     = "https://gitlab.com"
)

// Presets are the names that the member preset of a new rule may have.
func Presets() []string { return []string{"github-actions", "gitlab", "kubernetes", "spiffe"} }

// NewIssuer makes a rule about an issuer of a document, as [strictjson.Decode] returns it. What it leaves out gets its default,
// which is that of the preset that it may name. The error is a [strictjson.Mistakes].
func (r Rules) NewIssuer(body map[string]any) (*Client, error) {
	var m strictjson.Mistakes
	refuseUnwritable(body, "id", append(IssuerMemberNames(), presetMember), &m)
	document, _ := strictjson.Merge(nil, body).(map[string]any) // null is the same as left out
	var preset string
	if document[presetMember] != nil {
		strictjson.Member(document, presetMember, &m).Text(&preset)
		if presets[preset] == nil && !m.At("/preset") {
			m.Add("/preset", "invalid", "must be one of %s", strings.Join(Presets(), ", "))
		}
		delete(document, presetMember)
	}
	for name, value := range presets[preset] {
		if document[name] == nil {
			document[name] = value
		}
	}
	c := &Client{Status: Active, Trust: &Trust{Profile: Workload}}
	r.fillIssuer(c, document, &m)
	if _, named := document["id"]; named {
		checkID("/id", c.ID, &m)
	}
	if preset == "spiffe" && c.Trust.Subject != "" && !trustDomain(c.Trust.Subject) && !m.At("/subject") {
		m.Add("/subject", "invalid", "must begin with spiffe:// and a trust domain without a wildcard, such as spiffe://example.org/ci/*")
	}
	m.AddNew(r.checkIssuer(c), nil)
	return c, m.Err()
}

// trustDomain tells whether a subject names the trust domain of its SPIFFE IDs.
func trustDomain(subject string) bool {
	rest, ok := strings.CutPrefix(Pattern(subject).literal(), "spiffe://")
	domain, _, whole := strings.Cut(rest, "/")
	return ok && whole && domain != ""
}

func (r Rules) fillIssuer(c *Client, document map[string]any, m *strictjson.Mistakes) {
	readMembers(c, document, m)
	r.fillScope(c, document["scope"] != nil)
	if document["resource"] == nil && r.DefaultResource != "" {
		c.Audience = []string{r.DefaultResource}
	}
	c.GrantTypes = []string{JWTBearer}
	c.TokenEndpointAuthMethod = authMethodKey // so that no secret of it could be of use
}

// checkIssuer lists everything that is wrong with a rule.
func (r Rules) checkIssuer(c *Client) strictjson.Mistakes {
	var m strictjson.Mistakes
	for _, rule := range append(r.sharedRules(c, "/name"), issuerRules(c)...) {
		if rule.broken {
			m.Add(rule.pointer, rule.code, "%s", rule.detail)
		}
	}
	checkChosen([]chosen{
		{"/scope", c.Scope, r.Scopes, "unknown_scope", "scope"},
		{"/resource", c.Audience, r.Resources, "unknown_resource", "resource"},
	}, &m)
	checkURIs(c, &m)
	checkKeys(c, &m)
	checkAssertionAudience(c.Trust.Audience, &m)
	checkClaims(c.Trust, &m)
	return m
}

func issuerRules(c *Client) []rule {
	t := c.Trust
	discovered := c.JWKS == nil && c.JWKSURI == ""
	return []rule{
		{!slices.Contains(profiles, t.Profile), "/profile", "invalid", "must be workload or id-jag"},
		{t.Issuer == "", "/issuer", "required", "is missing: the iss of the assertions, byte by byte"},
		{len(t.Issuer) > maxIssuer || !IsPlain(t.Issuer), "/issuer", "invalid", "must be at most 500 characters, without control characters"},
		{discovered && t.Issuer != "" && checkDiscoverable(t.Issuer) != nil, "/issuer", "invalid",
			"must be an https URL without query and fragment, where the issuer publishes its keys (OpenID Connect Discovery, RFC 8414). For any other issuer add its keys: jwks (--jwks-file), or jwks_uri (--jwks-uri), which is https"},
		{!discovered && c.JWKS != nil && c.JWKSURI != "", "/jwks_uri", "conflict", "must not stand beside jwks; keep one of them"},
		{len(t.Subject) > maxPattern || !IsPlain(t.Subject), "/subject", "invalid", "must be at most 500 characters, without control characters"},
		{t.Profile == Workload && !t.isNarrowed(), "/subject", "required",
			"is missing: without subject and claims the rule would trust everybody who has an assertion of this issuer"},
		{t.Subject != "" && strings.Trim(t.Subject, "*/:") == "", "/subject", "too_broad", "is anybody; name at least a part of the subject"},
		{t.Profile == Workload && t.sharedIssuer() && t.isNarrowed() && !t.namesOwner(), "/subject", "too_broad",
			"names no owner, and everybody has assertions of this issuer: begin it with the owner, such as repo:my-org/ or project_path:my-group/, or name in claims repository_owner, repository, namespace_path or project_path without a wildcard"},
		{t.Profile == IDJAG && t.Reusable, "/reusable", "conflict", "is for workloads: an identity assertion counts once"},
	}
}

func checkDiscoverable(issuer string) error {
	if err := CheckJWKSURI(issuer); err != nil {
		return err
	}
	if u, err := url.Parse(issuer); err != nil || u.RawQuery != "" || u.ForceQuery {
		return errors.New("must have no query")
	}
	return nil
}

// sharedIssuer tells whether everybody in the world gets assertions of the issuer.
func (t *Trust) sharedIssuer() bool {
	return t.Issuer == gitlabCom || t.Issuer == githubActions || strings.HasPrefix(t.Issuer, githubActions+"/")
}

// isNarrowed tells whether the rule says anything of whom it is for.
func (t *Trust) isNarrowed() bool { return t.Subject != "" || len(t.namedClaims()) > 0 }

// ownerClaims say, by issuer, to whom an assertion of it belongs.
var ownerClaims = []string{"repository_owner", "repository_owner_id", "repository", "repository_id", "enterprise", "enterprise_id",
	"namespace_path", "namespace_id", "project_path", "project_id"}

// namesOwner tells whether the rule is for one owner's assertions.
func (t *Trust) namesOwner() bool {
	for name, value := range t.namedClaims() {
		text, _ := value.(string)
		owner, _, _ := strings.Cut(text, "/")
		if slices.Contains(ownerClaims, name) && owner != "" && !strings.Contains(owner, "*") {
			return true
		}
	}
	for _, prefix := range []string{"repo:", "project_path:"} {
		if rest, ok := strings.CutPrefix(Pattern(t.Subject).literal(), prefix); ok {
			owner, _, whole := strings.Cut(rest, "/")
			return whole && owner != ""
		}
	}
	return false
}

// namedClaims are the claims of the rule; none if they cannot be read.
func (t *Trust) namedClaims() map[string]any {
	claims, _ := t.wantedClaims()
	return claims
}

func checkAssertionAudience(audience []string, m *strictjson.Mistakes) {
	if len(audience) > maxListed {
		m.Add("/audience", "too_long", "has more than %d entries", maxListed)
		return
	}
	for i, entry := range audience {
		at := "/audience/" + strconv.Itoa(i)
		switch {
		case entry == "" || len(entry) > maxIssuer || !IsPlain(entry):
			m.Add(at, "invalid", "must be a text of at most %d characters, without control characters", maxIssuer)
		case slices.Contains(audience[:i], entry):
			m.Add(at, "duplicate", "%s is there more than once", strictjson.Quote(entry))
		}
	}
}

// ownMembers have members of the rule, or checks that no rule changes.
var ownMembers = map[string]string{"iss": "issuer", "sub": "subject", "aud": "audience", "exp": "", "nbf": "", "iat": "", "jti": "", "client_id": ""}

func checkClaims(t *Trust, m *strictjson.Mistakes) {
	if len(t.Claims) > maxClaims {
		m.Add("/claims", "too_long", "must be at most 4 KiB of JSON")
		return
	}
	for name, value := range t.namedClaims() {
		at := "/claims/" + strictjson.Escape(name)
		member, own := ownMembers[name]
		switch {
		case own && member != "":
			m.Add(at, "invalid", "has a member of its own: %s", member)
		case own:
			m.Add(at, "invalid", "is checked in any case; leave it out")
		default:
			checkWanted(value, at, m)
		}
	}
}

func checkWanted(value any, at string, m *strictjson.Mistakes) {
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			m.Add(at, "invalid", "must not be empty; name what it has to hold")
		}
		for name, inner := range value {
			checkWanted(inner, at+"/"+strictjson.Escape(name), m)
		}
	case string:
		if value == "" || len(value) > maxPattern || !IsPlain(value) {
			m.Add(at, "invalid", "must be a text of at most %d characters, without control characters", maxPattern)
		} else if strings.Trim(value, "*/:") == "" {
			m.Add(at, "too_broad", "is anything; name at least a part of the claim")
		}
	case []any, nil:
		m.Add(at, "wrong_type", "must be a text, which may hold the wildcards * and **, a number, true, false, or an object of these")
	}
}
