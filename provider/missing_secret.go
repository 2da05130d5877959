package provider

import (
	"context"
	"errors"
	"reflect"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
)

// While a system secret is replaced, a replica may meet a token that another one has made with a secret which is missing
// here. It cannot check such a token, and must not call it inactive: clients throw away what is called so. The database
// tells it from what somebody has invented: it knows signatures of real tokens alone, the name of the secret included. So
// one that it knows is an outage, and everything else is no token of this server. A token that names a secret which is
// here, as every altered one does, is checked without a look at the database, as ever.

// UnverifiedSignature is the kind and the signature of a token that says that it was made with a secret which is missing
// here; "" for every other one. Anybody can write such a text: use it to look whether the database knows the token, and
// never to act on what is found.
func (s *TokenStrategy) UnverifiedSignature(token string) (kind fosite.TokenType, signature string) {
	if checked := s.check(context.Background(), token); !checked.ours() {
		return checked.kind, checked.signature
	}
	return "", ""
}

var errMissingSecret = errors.New("a token was made with a system secret that this replica does not have: " +
	"every replica needs each secret in use, as system_secret or among system_secrets_previous")

// MissingSecret notes that a token of this server cannot be checked here, and is the answer: an outage, 503.
func (s *TokenStrategy) MissingSecret(ctx context.Context, kind fosite.TokenType) error {
	s.onMissingSecret(ctx, kind)
	return unavailable(errMissingSecret)
}

// missingSecret answers an outage for a token that strategy cannot check, when the store, by get, knows it, alive and as
// one of the client of request if that has one. It answers nil for every other token.
func missingSecret(ctx context.Context, strategy any, kind fosite.TokenType, token string, request fosite.Requester,
	get func(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error)) error {
	s, ok := strategy.(CheckingStrategy)
	if !ok {
		return nil
	}
	checked := s.checked(ctx, token)
	if checked.ours() {
		return nil
	}
	if checked.outage != nil && kind == fosite.AccessToken {
		return unavailable(checked.outage)
	}
	if checked.signature == "" || checked.kind != kind {
		return nil
	}
	session := request.GetSession()
	if session != nil {
		session = session.Clone()
	}
	owner := request.GetClient().GetID()
	known, err := get(ctx, checked.signature, session)
	switch {
	case errors.Is(err, fosite.ErrNotFound), errors.Is(err, fosite.ErrInactiveToken), errors.Is(err, fosite.ErrInvalidatedAuthorizeCode):
		return nil
	case err != nil:
		return unavailable(err)
	case owner != "" && known.GetClient().GetID() != owner, known.GetSession() != nil && s.expired(known, kind, 0):
		return nil
	}
	return s.MissingSecret(ctx, kind)
}

// MissingSecretFactory answers the introspection of a token with an outage when the database knows the token and a
// secret to check it is missing here, and when the keys of JWTs cannot be read. Put it before compose.OAuth2TokenIntrospectionFactory, which would call the token
// inactive. It takes a [TokenStrategy]; with another strategy it does nothing.
func MissingSecretFactory(config fosite.Configurator, store, strategy any) any {
	if err := refuseRival(config, "MissingSecretFactory", reflect.TypeFor[*oauth2.CoreValidator]()); err != nil {
		panic("provider: MissingSecretFactory stands behind compose.OAuth2TokenIntrospectionFactory, which would call the token inactive; put it before that")
	}
	return composed(config, "MissingSecretFactory", &missingSecretHandler{store: store.(oauth2.AccessTokenStorage), strategy: strategy}, nil)
}

type missingSecretHandler struct {
	placed
	store    oauth2.AccessTokenStorage
	strategy any
}

// IntrospectToken implements [fosite.TokenIntrospector]. A token that can be checked here is left to the core validator.
func (h *missingSecretHandler) IntrospectToken(ctx context.Context, token string, _ fosite.TokenUse, request fosite.AccessRequester, _ []string) (fosite.TokenUse, error) {
	if err := missingSecret(ctx, h.strategy, fosite.AccessToken, token, request, h.store.GetAccessTokenSession); err != nil {
		return "", err
	}
	return "", fosite.ErrUnknownRequest
}
