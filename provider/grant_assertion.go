package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// grantAssertions checks the assertions that are exchanged for tokens (RFC 7523 §3) by the rules about their issuers.
type grantAssertions struct {
	rules     IssuerRuleStore
	used      fosite.ClientManager
	keys      fosite.JWKSFetcherStrategy
	audiences []string // of a rule that names none: those of the issuer, of which there are ofIssuer, and the token URLs
	ofIssuer  int
	now       func() time.Time
}

// sentAssertion is an assertion as it was sent. Its claims hold only once the signature was checked.
type sentAssertion struct {
	token  *jwt.JSONWebToken
	typ    string // in lower case, without application/
	claims jwt.Claims
	all    map[string]any // numbers as json.Number
	digest [sha256.Size]byte
	ruleID string // of the rule that it came to
}

const (
	maxGrantAssertionLength = 32 << 10
	maxSubjectLength        = 1 << 10
)

var errAssertion = fosite.ErrInvalidGrant.WithHint("The assertion was not accepted. Its issuer, subject, audience and times must be as a rule of this server says; the server's audit log has the reason.")

// refuseGrant makes the one answer to a bad assertion. The reason is for the log: fixed words, nothing sent.
func refuseGrant(reason string) error { return &refusedGrant{reason} }

type refusedGrant struct{ reason string }

func (r *refusedGrant) Error() string { return "assertion: " + r.reason }

func (r *refusedGrant) Unwrap() error { return errAssertion.WithDebug(r.Error()) }

// refusalOf is why an assertion was refused; empty: err says something else.
func refusalOf(err error) string {
	if refused := (*refusedGrant)(nil); errors.As(err, &refused) {
		return refused.reason
	}
	return ""
}

// read takes the assertion apart.
func (s *sentAssertion) read(assertion string) (err error) {
	if assertion == "" {
		return fosite.ErrInvalidRequest.WithHint(`The parameter "assertion" is missing.`)
	}
	if len(assertion) > maxGrantAssertionLength {
		return refuseGrant("it is longer than 32 KiB")
	}
	if s.token, err = jwt.ParseSigned(assertion, assertionAlgorithms); err != nil {
		return refuseGrant("it is not a JWT signed with an algorithm that is allowed")
	}
	if typ, given := s.token.Headers[0].ExtraHeaders[jose.HeaderType]; given {
		name, _ := typ.(string)
		if s.typ = strings.TrimPrefix(strings.ToLower(name), "application/"); s.typ == "" {
			return refuseGrant("its typ is no text")
		}
	}
	payload := json.RawMessage{}
	if s.token.UnsafeClaimsWithoutVerification(&s.claims, &payload) != nil {
		return refuseGrant("its claims are malformed")
	}
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	if decoder.Decode(&s.all) != nil {
		return refuseGrant("its claims are malformed")
	}
	s.digest = sha256.Sum256(payload)
	return nil
}

// rulesFor returns the rules that are for the assertion, in their order. It is an error if there are none.
func (g *grantAssertions) rulesFor(ctx context.Context, sent *sentAssertion, terms terms) ([]*client.Client, error) {
	if reason := terms.check(sent); reason != "" {
		return nil, refuseGrant(reason)
	}
	if reason := checkTimes(sent.claims, clock(g.now), maxReusableAhead); reason != "" {
		return nil, refuseGrant(reason)
	}
	if sent.claims.Subject == "" || len(sent.claims.Subject) > maxSubjectLength || !client.IsPlain(sent.claims.Subject) {
		return nil, refuseGrant("it has no sub, or one that is no plain text of at most 1024 characters")
	}
	all, err := g.rules.RulesOfIssuer(ctx, sent.claims.Issuer)
	if err != nil {
		return nil, unavailable(err)
	}
	reason := "no rule is about its issuer"
	var fitting []*client.Client
	for _, rule := range all {
		switch {
		case rule.Trust == nil || rule.Trust.Profile != terms.profile():
		case !isAudience(terms, rule, sent.claims.Audience):
			reason, sent.ruleID = "its aud is not what the rules about its issuer say", rule.ID
		case !rule.Trust.Fits(sent.all):
			reason, sent.ruleID = "its subject and claims fit no rule about its issuer", rule.ID
		case sent.claims.Expiry.Time().After(clock(g.now).Add(terms.longest(rule) + clockLeeway)):
			reason, sent.ruleID = "its exp is too far ahead", rule.ID
		default:
			fitting = append(fitting, rule)
		}
	}
	if len(fitting) == 0 {
		return nil, refuseGrant(reason)
	}
	return fitting, nil
}

// isAudience tells whether the assertion is for us.
func isAudience(terms terms, rule *client.Client, audience jwt.Audience) bool {
	ours, alone := terms.audiences()
	if len(rule.Trust.Audience) > 0 {
		ours = rule.Trust.Audience
	}
	return (!alone || len(audience) == 1) && slices.ContainsFunc(audience, func(aud string) bool { return slices.Contains(ours, aud) })
}

// checkSignature verifies the assertion with the keys of the issuer, which the rule has or says where to find.
func (g *grantAssertions) checkSignature(ctx context.Context, sent *sentAssertion, rule *client.Client) error {
	if rule.JWKS != nil {
		if !signedBy(sent.token, rule.JWKS) {
			return refuseGrant("no key of the rule verifies it")
		}
		return nil
	}
	known, err := g.keysOf(ctx, rule, false)
	if err != nil {
		return err
	}
	if signedBy(sent.token, known) {
		return nil
	}
	// The issuer may have changed its keys. The fetcher limits how often a location is asked again.
	fresh, err := g.keysOf(ctx, rule, true)
	if err != nil {
		return err
	}
	if fresh == known || !signedBy(sent.token, fresh) {
		return refuseGrant("no key of the issuer verifies it")
	}
	return nil
}

// keysOf fetches the keys of an issuer. Whatever goes wrong is an outage: it says nothing about the assertion, and the place is an
// administrator's choice.
func (g *grantAssertions) keysOf(ctx context.Context, rule *client.Client, ignoreCache bool) (*josev3.JSONWebKeySet, error) {
	set, err := g.fetchKeys(ctx, rule, ignoreCache)
	if err != nil {
		return nil, fosite.ErrTemporarilyUnavailable.WithHint("The keys of the assertion's issuer cannot be fetched now; the server's log has the reason.").WithWrap(err)
	}
	return set, nil
}

func (g *grantAssertions) fetchKeys(ctx context.Context, rule *client.Client, ignoreCache bool) (set *josev3.JSONWebKeySet, err error) {
	location := rule.JWKSURI
	if location == "" {
		discoverer, ok := g.keys.(KeyDiscoverer)
		if !ok {
			return nil, errors.New("provider: the fetcher of keys discovers none; name the issuer's jwks_uri in the rule")
		}
		if location, err = discoverer.DiscoverKeys(ctx, rule.Trust.Issuer); err != nil {
			return nil, err
		}
	}
	set, err = g.keys.Resolve(ctx, location, ignoreCache)
	if errors.Is(err, fosite.ErrInvalidClient) {
		return nil, errors.New("provider: the keys of the issuer " + rule.Trust.Issuer + " cannot be read: " + fosite.ErrorToRFC6749Error(err).DebugField)
	}
	return set, err
}

// useOnce marks the assertion as used; of any number of concurrent calls the store lets one pass. A jti is unique per issuer
// (RFC 7523 §3); without one the assertion is known by its claims. No client's assertion has a key that begins like these.
func (g *grantAssertions) useOnce(ctx context.Context, sent *sentAssertion, rule *client.Client) error {
	if rule.Trust.Reusable {
		return nil
	}
	name := "jti " + sent.claims.ID
	if sent.claims.ID == "" {
		name = "claims " + base64.RawURLEncoding.EncodeToString(sent.digest[:])
	}
	until := sent.claims.Expiry.Time().Add(2 * clockLeeway)
	err := g.used.SetClientAssertionJWT(ctx, "grant: "+url.QueryEscape(sent.claims.Issuer)+" "+name, until)
	if errors.Is(err, fosite.ErrJTIKnown) {
		return refuseGrant("it was used before")
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}
