package provider

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// Grants says what grants may be for and how long they last. [ClientCredentialsFactory], [AuthorizationCodeFactory],
// [RefreshTokenFactory] and [JWTBearerFactory] of one composition share it.
type Grants struct {
	Resources Resources
	// AccessTokenLifespan is that of people's access tokens; 0: the fosite.Config's. A client's own goes before.
	AccessTokenLifespan time.Duration
	// AbsoluteLifespan ends a grant with all its tokens, counted from the login, however often it is refreshed;
	// 0: a year.
	AbsoluteLifespan time.Duration
	// GroupsMaxAge is how long the groups of a person count after they were looked up at the login; 0: as long as the grant.
	// An access token with groups ends with them, and its refresh is refused then, so that the person logs in again.
	GroupsMaxAge time.Duration
	// MachineRefresh issues refresh tokens with the client_credentials grant, and lets every confidential client with that
	// grant use them. RFC 6749 §4.4.3 advises against it: whoever can refresh can as well ask for a new token.
	MachineRefresh bool
	// Reused is told of each use of a code or refresh token that was used before: [CodeReused], [RefreshReused]. One of its
	// two users has stolen it. ended is false when the grant had ended before. nil: nobody.
	Reused func(ctx context.Context, action string, grant fosite.Requester, signature string, ended bool)
	// AllowWorkload is asked before a workload gets a token for its assertion, which counts until then; its error is the answer.
	// nil: there is no limit.
	AllowWorkload func(ctx context.Context, ruleID, subject string) error
	// AssertionRefused is told of each assertion that was not exchanged for a token. Its error is the answer in place of
	// invalid_grant. nil: nobody.
	AssertionRefused func(ctx context.Context, refused RefusedAssertion) error
	Now              func() time.Time // nil: time.Now
}

// grantConfig is the part of fosite.Configurator that grants need.
type grantConfig interface {
	fosite.AccessTokenLifespanProvider
	fosite.RefreshTokenLifespanProvider
	fosite.AuthorizeCodeLifespanProvider
}

// grantRules is what the grants have in common.
type grantRules struct {
	placed
	Grants
	config grantConfig
}

// narrow is grant, as far as request may use it: what the client may still have today, less what the request leaves out.
// It asks for all that the grant holds, which goes on into the refresh token (RFC 6749 §6).
func (g Grants) narrow(ctx context.Context, request fosite.AccessRequester, grant fosite.Requester, scope string) (*fosite.Request, error) {
	resources, err := g.Resources.current(ctx)
	if err != nil {
		return nil, err
	}
	client, grantedScopes, grantedAudience := request.GetClient(), grant.GetGrantedScopes(), grant.GetGrantedAudience()
	// The whole grant first: of one that is lost no part can be asked for, and invalid_grant ends it, whatever is named.
	scopes, audience := resources.Narrow(client, grantedScopes, grantedAudience)
	if lost(scopes, grantedScopes) || lost(audience, grantedAudience) {
		return nil, errNothingLeft
	}
	if named := requestedResources(request.GetRequestForm()); len(named) > 0 {
		if audience, err = narrowAudience(resources, client, grantedAudience, named); err != nil {
			return nil, err
		}
		// Not invalid_grant here: a client would throw away tokens that are good for another resource.
		if scopes, audience = resources.Narrow(client, scopes, audience); lost(scopes, grantedScopes) {
			return nil, fosite.ErrInvalidScope.WithHintf("None of the granted scopes means anything to the resource %s; name another resource, or none.",
				strings.Join(named, " "))
		}
	}
	if wanted := strings.Fields(scope); len(wanted) > 0 {
		if !containsAll(scopes, wanted) {
			return nil, fosite.ErrInvalidScope.WithHint("The scope goes beyond what was granted.")
		}
		scopes = wanted
	}
	return &fosite.Request{
		ID: grant.GetID(), RequestedAt: grant.GetRequestedAt(), Client: grant.GetClient(), Session: grant.GetSession(),
		RequestedScope: grantedScopes, GrantedScope: scopes, RequestedAudience: grantedAudience, GrantedAudience: audience,
		Form: url.Values{},
	}, nil
}

var errNothingLeft = fosite.ErrInvalidGrant.WithHint("Nothing is left of what was granted: the client or the resource has lost it since. Start again at the authorization endpoint.")

// narrowAudience is what a request names of the granted audience.
func narrowAudience(resources Resources, client fosite.Client, granted, named []string) ([]string, error) {
	var audience []string
	for _, identifier := range named {
		known, ok := find(granted, identifier)
		switch {
		case !ok: // RFC 8707 §2.2
			return nil, ErrInvalidTarget.WithHintf("The resource %q goes beyond what was granted.", identifier)
		case resources.unknown(known), !slices.Contains(client.GetAudience(), known):
			// Not invalid_target: the client has nothing else to name, and only a new grant helps.
			return nil, errNothingLeft
		case !slices.Contains(audience, known):
			audience = append(audience, known)
		}
	}
	return audience, nil
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(list, s) })
}

// setExpiries sets when the access token and the refresh token of request expire: after their lifespans, and never after
// the grant. An access token ends with the groups in it.
func (r *grantRules) setExpiries(ctx context.Context, request fosite.AccessRequester, grantType fosite.GrantType) {
	now, client, session := clock(r.Now), request.GetClient(), request.GetSession()
	var end time.Time
	if s, ok := session.(SessionWithGrantEnd); ok {
		if s.GetGrantExpiresAt().IsZero() {
			s.SetGrantExpiresAt(now.Add(cmp.Or(r.AbsoluteLifespan, 365*24*time.Hour)))
		}
		end = s.GetGrantExpiresAt()
	}
	lifespan := r.config.GetAccessTokenLifespan(ctx)
	if session.GetSubject() != "" && r.AccessTokenLifespan > 0 {
		lifespan = r.AccessTokenLifespan
	}
	lifespan = fosite.GetEffectiveLifespan(client, grantType, fosite.AccessToken, lifespan)
	if groupsEnded(session, r.GroupsMaxAge, now) { // between the login and now
		session.(SessionWithGroupsEnd).DropGroups()
	}
	session.SetExpiresAt(fosite.AccessToken, earlier(earlier(earlier(now.Add(lifespan), end), groupsEnd(session, r.GroupsMaxAge)), clientEnd(client)))
	lifespan = fosite.GetEffectiveLifespan(client, grantType, fosite.RefreshToken, r.config.GetRefreshTokenLifespan(ctx))
	switch {
	case lifespan >= 0:
		session.SetExpiresAt(fosite.RefreshToken, earlier(now.Add(lifespan), end))
	case !end.IsZero(): // fosite's -1: the token itself does not expire
		session.SetExpiresAt(fosite.RefreshToken, end)
	}
}

// setExpiresIn corrects the lifetime in response, which fosite counts by the clock of the machine.
func (r *grantRules) setExpiresIn(request fosite.AccessRequester, response fosite.AccessResponder) {
	response.SetExpiresIn(request.GetSession().GetExpiresAt(fosite.AccessToken).Sub(clock(r.Now)))
}

// grantAll grants scopes and audience to request.
func grantAll(request fosite.Requester, scopes, audience []string) {
	for _, scope := range scopes {
		request.GrantScope(scope)
	}
	for _, resource := range audience {
		request.GrantAudience(resource)
	}
}

// clientEnd is when a client ends by itself, and its tokens with it; zero: it does not. Nobody is told then, so a token that
// somebody verifies or keeps must not say that it lives on.
func clientEnd(client fosite.Client) time.Time {
	if expiring, ok := client.(ExpiringClient); ok {
		return expiring.GetExpiresAt()
	}
	return time.Time{}
}

func earlier(t, end time.Time) time.Time {
	if !end.IsZero() && end.Before(t) {
		return end
	}
	return t
}

// The uses that end a grant, by the names of their audit events.
const (
	CodeReused    = "authorization_code.reused"
	RefreshReused = "refresh_token.reused"
)

// endReusedGrant ends the grant whose code or refresh token was used twice (RFC 6749 §4.1.2, RFC 9700 §4.14.2): one of
// the two users has stolen it. answer is returned once that is done, an outage otherwise.
func (g Grants) endReusedGrant(ctx context.Context, store grantStore, action string, grant fosite.Requester, signature string, answer error) error {
	var ended bool
	var err error
	if revoker, ok := store.(ReuseRevokingStore); ok {
		ended, err = revoker.RevokeReused(ctx, action, grant, signature)
	} else {
		ended, err = true, revokeAll(ctx, store, grant.GetID())
	}
	if err != nil {
		return unavailable(err)
	}
	if g.Reused != nil {
		g.Reused(ctx, action, grant, signature, ended)
	}
	return answer
}

// checkedOnce returns a context in which strategy, if it can, checks token once and not at each of fosite's steps.
func checkedOnce(ctx context.Context, strategy any, token string) context.Context {
	if s, ok := strategy.(CheckingStrategy); ok {
		ctx, _ = s.WithToken(ctx, token)
	}
	return ctx
}

// inTransaction runs fn in a transaction of the store, if it has any. A store that can repeat a transaction which
// lost against a concurrent one is asked to.
func inTransaction(ctx context.Context, store any, fn func(context.Context) error) error {
	if s, ok := store.(AtomicStore); ok {
		return s.Atomically(ctx, fn)
	}
	ctx, err := storage.MaybeBeginTx(ctx, store)
	if err != nil {
		return err
	}
	if err = fn(ctx); err == nil {
		err = storage.MaybeCommitTx(ctx, store)
	}
	if err == nil {
		return nil
	}
	if rollbackErr := storage.MaybeRollbackTx(ctx, store); rollbackErr != nil {
		return errors.Join(err, rollbackErr)
	}
	return err
}

// validator is a Validate method of a token strategy.
type validator func(ctx context.Context, request fosite.Requester, token string) error

// genuine tells whether the strategy of validate made token, expired or not. A row found by the signature does not prove that:
// in fosite's strategies the signature is the second half of the token, and anybody who has seen it can put another first
// half before it. So a token may end a grant only if it is genuine.
//
// request is what the token was issued for, as far as that is known.
func genuine(ctx context.Context, validate validator, kind fosite.TokenType, request fosite.Requester, token string) bool {
	var session fosite.Session
	if s := request.GetSession(); s != nil {
		session = s.Clone()
	}
	if session == nil {
		session = &fosite.DefaultSession{}
	}
	session.SetExpiresAt(kind, farAway) // fosite's strategies refuse an expired token before they look at it
	return validate(ctx, &fosite.Request{
		ID: request.GetID(), RequestedAt: request.GetRequestedAt(), Client: request.GetClient(),
		RequestedScope: request.GetRequestedScopes(), GrantedScope: request.GetGrantedScopes(),
		RequestedAudience: request.GetRequestedAudience(), GrantedAudience: request.GetGrantedAudience(),
		Form: request.GetRequestForm(), Session: session,
	}, token) == nil
}

var farAway = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)
