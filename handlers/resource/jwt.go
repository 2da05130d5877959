package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const defaultMaxLifespan = 14 * 24 * time.Hour

// JWTConfig says which JWTs a [JWTVerifier] accepts: those of Issuer, "iss", for
// Resource, "aud".
type JWTConfig struct {
	// Revocations is required, and read under ClientID, unless IgnoreRevocations
	// is set.
	//
	// Endpoint is asked about a token that cannot be decided here: one that is
	// no JWT, one of a client that was changed after it was issued, and every
	// one while the feed cannot be followed. Without an Endpoint, such a token
	// is an outage (503), and one that is no JWT is not active. Cache is for
	// its answers.
	Config
	// JWKS is where the keys of the issuer are. Discover fills it in.
	JWKS string
	// Algorithms are those that are accepted: ES256, RS256, EdDSA or Ed25519.
	// Empty means the first three.
	Algorithms []string
	// Tools are the MCP tools that each scope allows. JWTs name no tools:
	// without it HasTool is false for a token that was verified here.
	Tools map[string][]string
	// Bound is how long a revoked token may still pass. Zero means 5 seconds.
	Bound time.Duration
	// MaxLifespan is the longest time between "iat" and "exp", after which
	// revocations are forgotten. A token with a longer one is not decided here.
	// Zero means 14 days, which is how long tokens live if the server is not told
	// otherwise. Without Revocations it is not used.
	MaxLifespan time.Duration
	// IgnoreRevocations accepts a revoked token until it expires. The verifier
	// then asks for keys and for nothing else, and needs no client.
	IgnoreRevocations bool
}

// Discover fills in Issuer, JWKS, Endpoint and Revocations from the metadata of
// the authorization server. See [Config.Discover].
func (c *JWTConfig) Discover(ctx context.Context, issuer string) error {
	found, err := c.Config.discover(ctx, issuer)
	if err == nil && found.JWKS == "" {
		err = errors.New("the metadata name no jwks_uri: the server has no keys, or set JWKS yourself")
	}
	if err != nil {
		return fmt.Errorf("resource: cannot find the keys of the issuer: %w", err)
	}
	c.JWKS = found.JWKS
	c.Config.take(found)
	return nil
}

// JWTVerifier verifies access tokens that are JWTs (RFC 9068) without asking
// about each, and follows the feed of revocations.
type JWTVerifier struct {
	issuer, resource string
	algorithms       []string
	tools            map[string][]string
	lifespan         time.Duration
	now              func() time.Time
	keys             *remoteKeys
	ended            *killSwitch // nil: revocations are ignored
	follower         *follower
	online           *Introspector // nil: there is no endpoint to ask
}

var _ ResourceVerifier = (*JWTVerifier)(nil)

// NewJWTVerifier checks the configuration, reporting every mistake at once. It
// follows the feed in the background, and fetches keys when the first token
// comes. Call [JWTVerifier.Close] when it is no longer needed.
func NewJWTVerifier(c JWTConfig) (*JWTVerifier, error) {
	if err := errors.Join(c.problems()...); err != nil {
		return nil, fmt.Errorf("resource: cannot set up the verification of JWTs: %w", err)
	}
	v := &JWTVerifier{
		issuer: c.Issuer, resource: c.Resource, algorithms: slices.Clone(c.Algorithms), tools: maps.Clone(c.Tools),
		lifespan: c.MaxLifespan, now: c.Now, keys: &remoteKeys{address: c.JWKS, client: hardenedClient(c.HTTPClient)},
	}
	if len(v.algorithms) == 0 {
		v.algorithms = []string{algES256, algRS256, algEdDSA}
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.lifespan == 0 {
		v.lifespan = defaultMaxLifespan
	}
	if c.IgnoreRevocations {
		return v, nil
	}
	if c.Endpoint != "" {
		var err error
		if v.online, err = NewIntrospector(c.Config); err != nil {
			return nil, err
		}
	}
	v.ended = newKillSwitch(v.lifespan)
	v.follower = c.follow(fromBeginning, c.Bound, v.ended)
	return v, nil
}

func (c *JWTConfig) problems() []error {
	_, err := parseIdentifier("resource", c.Resource)
	problems := []error{err}
	_, err = parseIdentifier("issuer", c.Issuer)
	problems = append(problems, err, c.endpointProblem("JWKS", c.JWKS))
	for _, algorithm := range c.Algorithms {
		if !slices.Contains([]string{algES256, algRS256, algEdDSA, algEd25519}, algorithm) {
			problems = append(problems, fmt.Errorf("algorithm %q is not one of ES256, RS256, EdDSA and Ed25519: leave it out", algorithm))
		}
	}
	if c.MaxLifespan < 0 {
		problems = append(problems, fmt.Errorf("MaxLifespan is %s: give a positive time, or 0 for %s", c.MaxLifespan, defaultMaxLifespan))
	}
	if c.IgnoreRevocations {
		return problems
	}
	_, err = Cache{Bound: c.Bound}.withDefaults()
	problems = append(problems, err, c.credentialProblem())
	if c.Revocations == "" {
		return append(problems, errors.New("there is no feed of revocations, and Revocations is empty: set it, or set IgnoreRevocations to accept revoked tokens until they expire"))
	}
	return append(problems, c.endpointProblem("revocation feed", c.Revocations))
}

// Resource returns the identifier that tokens must name in "aud".
func (v *JWTVerifier) Resource() string { return v.resource }

// Close stops following the feed of revocations. From then on no token is
// decided offline. It always returns nil.
func (v *JWTVerifier) Close() error {
	if v.follower != nil {
		v.follower.close()
	}
	if v.online != nil {
		return v.online.Close()
	}
	return nil
}

// Verify decides about one token. See [Verifier] for its errors.
func (v *JWTVerifier) Verify(ctx context.Context, token string) (*Token, error) {
	if !looksLikeJWT(token) && v.online != nil {
		return v.online.Verify(ctx, token)
	}
	parsed, err := parseJWT(token)
	if err != nil {
		return nil, err
	}
	if err := parsed.check(v.issuer, v.resource, v.algorithms, v.now()); err != nil {
		return nil, err
	}
	key, err := v.keys.find(ctx, parsed.keyID)
	switch {
	case errors.Is(err, ErrInactive):
		return nil, err
	case err != nil:
		return v.undecided(ctx, token, err)
	}
	if !key.verify(parsed.algorithm, parsed.signed, parsed.signature) {
		return nil, fmt.Errorf("%w: the signature of the JWT is wrong", ErrInactive)
	}
	t, err := parsed.token(v.tools)
	if err != nil || v.ended == nil {
		return t, err
	}
	return v.unlessRevoked(ctx, token, t)
}

// unlessRevoked returns the token if the feed has said nothing against it. What
// is known has to be complete before it is read, and fresh still afterwards, and
// nothing may be forgotten between.
func (v *JWTVerifier) unlessRevoked(ctx context.Context, token string, t *Token) (*Token, error) {
	restarts, complete := v.ended.restarts.Load(), v.follower.fresh(time.Now())
	switch v.ended.judge(t) {
	case revoked:
		return nil, fmt.Errorf("%w: it was revoked", ErrInactive)
	case unsure:
		return v.undecided(ctx, token, errors.New("something has changed about its client since it was issued"))
	}
	switch {
	case t.ExpiresAt.Sub(t.IssuedAt) > v.lifespan+clockSkew: // servers round
		return v.undecided(ctx, token, fmt.Errorf("it lives for longer than JWTConfig.MaxLifespan, %s", v.lifespan))
	case !complete, !v.follower.fresh(time.Now()), v.ended.restarts.Load() != restarts:
		return v.undecided(ctx, token, errors.New("the feed of revocations is not followed closely enough"))
	}
	return t, nil
}

// undecided asks the authorization server, if that is configured.
func (v *JWTVerifier) undecided(ctx context.Context, token string, why error) (*Token, error) {
	if v.online != nil {
		return v.online.Verify(ctx, token)
	}
	return nil, fmt.Errorf("the token can not be decided here, and there is no introspection endpoint to ask: %w", why)
}
