package provider

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/storage"
)

// Grants says what grants may be for and how long they last. [ClientCredentialsFactory], [AuthorizationCodeFactory] and
// [RefreshTokenFactory] of one composition share it.
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
	Now    func() time.Time // nil: time.Now
}

// grantStore is what a store must be for grants of people.
type grantStore interface {
	oauth2.CoreStorage
	oauth2.TokenRevocationStorage
	pkce.PKCERequestStorage
}

// grantConfig is the part of fosite.Configurator that grants need.
type grantConfig interface {
	fosite.AccessTokenLifespanProvider
	fosite.RefreshTokenLifespanProvider
	fosite.AuthorizeCodeLifespanProvider
}

// grantRules is what the three grants have in common.
type grantRules struct {
	Grants
	config grantConfig
}

// grantHandler is what the code grant and the refresh grant have in common.
type grantHandler struct {
	grantRules
	store    grantStore
	strategy oauth2.CoreStrategy
}

func newGrantHandler(g Grants, config fosite.Configurator, store, strategy any) grantHandler {
	return grantHandler{grantRules{g, config}, store.(grantStore), strategy.(oauth2.CoreStrategy)}
}

// narrow grants to request what is left of grant: what the client may still have today, less what this request
// leaves out. The whole grant stays what is requested, and goes on into the refresh token (RFC 6749 §6).
func (h *grantHandler) narrow(request fosite.AccessRequester, grant fosite.Requester, scope string) error {
	client, grantedScopes, grantedAudience := request.GetClient(), grant.GetGrantedScopes(), grant.GetGrantedAudience()
	// The whole grant first: of one that is lost no part can be asked for, and invalid_grant ends it, whatever is named.
	scopes, audience := h.Resources.Narrow(client, grantedScopes, grantedAudience)
	if lost(scopes, grantedScopes) || lost(audience, grantedAudience) {
		return errNothingLeft
	}
	if named := requestedResources(request.GetRequestForm()); len(named) > 0 {
		var err error
		if audience, err = h.narrowAudience(client, grantedAudience, named); err != nil {
			return err
		}
		// Not invalid_grant here: a client would throw away tokens that are good for another resource.
		if scopes, audience = h.Resources.Narrow(client, scopes, audience); lost(scopes, grantedScopes) {
			return fosite.ErrInvalidScope.WithHintf("None of the granted scopes means anything to the resource %s; name another resource, or none.",
				strings.Join(named, " "))
		}
	}
	if wanted := strings.Fields(scope); len(wanted) > 0 {
		if !containsAll(scopes, wanted) {
			return fosite.ErrInvalidScope.WithHint("The scope goes beyond what was granted.")
		}
		scopes = wanted
	}
	request.SetRequestedScopes(grantedScopes)
	request.SetRequestedAudience(grantedAudience)
	grantAll(request, scopes, audience)
	return nil
}

var errNothingLeft = fosite.ErrInvalidGrant.WithHint("Nothing is left of what was granted: the client or the resource has lost it since. Start again at the authorization endpoint.")

// narrowAudience is what a request names of the granted audience.
func (h *grantHandler) narrowAudience(client fosite.Client, granted, named []string) ([]string, error) {
	var audience []string
	for _, identifier := range named {
		known, ok := find(granted, identifier)
		switch {
		case !ok: // RFC 8707 §2.2
			return nil, ErrInvalidTarget.WithHintf("The resource %q goes beyond what was granted.", identifier)
		case h.Resources.unknown(known), !slices.Contains(client.GetAudience(), known):
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

// sessionWithGrantEnd is a session that says when its whole grant ends; [Session] is one.
type sessionWithGrantEnd interface {
	GetGrantExpiresAt() time.Time
	SetGrantExpiresAt(time.Time)
}

// setExpiries sets when the access token and the refresh token of request expire: after their lifespans, and never after
// the grant.
func (r *grantRules) setExpiries(ctx context.Context, request fosite.AccessRequester, grantType fosite.GrantType) {
	now, session := clock(r.Now), request.GetSession()
	var end time.Time
	if s, ok := session.(sessionWithGrantEnd); ok {
		if s.GetGrantExpiresAt().IsZero() {
			s.SetGrantExpiresAt(now.Add(r.absoluteLifespan()))
		}
		end = s.GetGrantExpiresAt()
	}
	r.setAccessExpiry(ctx, request, grantType, end)
	lifespan := fosite.GetEffectiveLifespan(request.GetClient(), grantType, fosite.RefreshToken, r.config.GetRefreshTokenLifespan(ctx))
	switch {
	case lifespan >= 0:
		session.SetExpiresAt(fosite.RefreshToken, earlier(now.Add(lifespan), end))
	case !end.IsZero(): // fosite's -1: the token itself does not expire
		session.SetExpiresAt(fosite.RefreshToken, end)
	}
}

// setAccessExpiry sets when the access token of request expires: after its lifespan, not after end (zero: no end), and
// with the groups in it.
func (r *grantRules) setAccessExpiry(ctx context.Context, request fosite.AccessRequester, grantType fosite.GrantType, end time.Time) {
	now, session := clock(r.Now), request.GetSession()
	lifespan := r.config.GetAccessTokenLifespan(ctx)
	if session.GetSubject() != "" && r.AccessTokenLifespan > 0 {
		lifespan = r.AccessTokenLifespan
	}
	lifespan = fosite.GetEffectiveLifespan(request.GetClient(), grantType, fosite.AccessToken, lifespan)
	if groupsEnded(session, r.GroupsMaxAge, now) { // between the login and now
		session.(agingSession).DropGroups()
	}
	session.SetExpiresAt(fosite.AccessToken, earlier(earlier(now.Add(lifespan), end), groupsEnd(session, r.GroupsMaxAge)))
}

// setExpiresIn corrects the lifetime in response, which fosite counts by the clock of the machine.
func (r *grantRules) setExpiresIn(request fosite.AccessRequester, response fosite.AccessResponder) {
	response.SetExpiresIn(request.GetSession().GetExpiresAt(fosite.AccessToken).Sub(clock(r.Now)))
}

// grantAll grants scopes and audience to request.
func grantAll(request fosite.AccessRequester, scopes, audience []string) {
	for _, scope := range scopes {
		request.GrantScope(scope)
	}
	for _, resource := range audience {
		request.GrantAudience(resource)
	}
}

func (g Grants) absoluteLifespan() time.Duration {
	if g.AbsoluteLifespan == 0 {
		return 365 * 24 * time.Hour
	}
	return g.AbsoluteLifespan
}

func earlier(t, end time.Time) time.Time {
	if !end.IsZero() && end.Before(t) {
		return end
	}
	return t
}

// issue makes an access token, and a refresh token if wanted, in one transaction with consume, which uses up what
// they are issued for. The errors of consume come back as they are.
func (h *grantHandler) issue(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder, withRefresh bool, consume func(context.Context) error) error {
	access, accessSignature, err := h.strategy.GenerateAccessToken(ctx, request)
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	var refresh, refreshSignature string
	if withRefresh {
		if refresh, refreshSignature, err = h.strategy.GenerateRefreshToken(ctx, request); err != nil {
			return fosite.ErrServerError.WithWrap(err)
		}
	}
	narrowed := request.Sanitize(nil)
	err = inTransaction(ctx, h.store, func(ctx context.Context) error {
		if err := consume(ctx); err != nil {
			return err
		}
		if err := h.store.CreateAccessTokenSession(ctx, accessSignature, narrowed); err != nil || refresh == "" {
			return err
		}
		return h.store.CreateRefreshTokenSession(ctx, refreshSignature, accessSignature, wholeGrant(narrowed))
	})
	if err != nil {
		return err
	}
	response.SetAccessToken(access)
	response.SetTokenType("bearer")
	h.setExpiresIn(request, response)
	response.SetScopes(request.GetGrantedScopes())
	if refresh != "" {
		response.SetExtra("refresh_token", refresh)
	}
	return nil
}

// wholeGrant is request with everything granted that the grant holds: a refresh token never gets narrower.
func wholeGrant(request fosite.Requester) fosite.Requester {
	return &fosite.Request{
		ID: request.GetID(), RequestedAt: request.GetRequestedAt(), Client: request.GetClient(),
		RequestedScope: request.GetRequestedScopes(), GrantedScope: request.GetRequestedScopes(),
		RequestedAudience: request.GetRequestedAudience(), GrantedAudience: request.GetRequestedAudience(),
		Form: request.GetRequestForm(), Session: request.GetSession(),
	}
}

// The uses that end a grant, by the names of their audit events.
const (
	CodeReused    = "authorization_code.reused"
	RefreshReused = "refresh_token.reused"
)

// reuseRevoker is implemented by stores that end a grant in one durable step, and keep a record of why. ended tells
// whether anything was alive until now.
type reuseRevoker interface {
	RevokeReused(ctx context.Context, action string, grant fosite.Requester, signature string) (ended bool, err error)
}

// punishReuse ends the grant whose code or refresh token was used twice (RFC 6749 §4.1.2, RFC 9700 §4.14.2): one of
// the two users has stolen it. answer is returned once that is done, an outage otherwise.
func (h *grantHandler) punishReuse(ctx context.Context, action string, grant fosite.Requester, signature string, answer error) error {
	var ended bool
	var err error
	if store, ok := h.store.(reuseRevoker); ok {
		ended, err = store.RevokeReused(ctx, action, grant, signature)
	} else {
		ended, err = true, revokeAll(ctx, h.store, grant.GetID())
	}
	if err != nil {
		return unavailable(err)
	}
	if h.Reused != nil {
		h.Reused(ctx, action, grant, signature, ended)
	}
	return answer
}

// inTransaction runs fn in a transaction of the store, if it has any. A store that can repeat a transaction which
// lost against a concurrent one is asked to.
func inTransaction(ctx context.Context, store any, fn func(context.Context) error) error {
	if s, ok := store.(interface {
		Atomically(context.Context, func(context.Context) error) error
	}); ok {
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
