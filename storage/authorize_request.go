package storage

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// authorizeDetails is what an authorization request has beyond any other request.
type authorizeDetails struct {
	ResponseTypes       []string                `json:"response_types,omitempty"`
	RedirectURI         string                  `json:"redirect_uri,omitempty"`
	State               string                  `json:"state,omitempty"`
	ResponseMode        fosite.ResponseModeType `json:"response_mode,omitempty"`
	DefaultResponseMode fosite.ResponseModeType `json:"default_response_mode,omitempty"`
}

// storeAuthorizeRequest stores all of an authorization request except credentials, which fosite leaves in the form.
func (s *AuthorizeSessions) storeAuthorizeRequest(ctx context.Context, kind, key string, request fosite.AuthorizeRequester, until time.Time) error {
	form := url.Values{}
	for name, values := range request.GetRequestForm() {
		if name != "client_secret" && name != "client_assertion" {
			form[name] = values
		}
	}
	details := authorizeDetails{
		ResponseTypes: request.GetResponseTypes(), State: request.GetState(),
		ResponseMode: request.GetResponseMode(), DefaultResponseMode: request.GetDefaultResponseMode(),
	}
	if uri := request.GetRedirectURI(); uri != nil {
		details.RedirectURI = uri.String()
	}
	encoded, err := json.Marshal(details)
	if err != nil {
		return database.Wrap(err, "encode an authorization request")
	}
	return s.storeAuthorizeSession(ctx, kind, key, &requestWithForm{request, form}, until, model.Text(encoded))
}

type requestWithForm struct {
	fosite.Requester
	form url.Values
}

func (r *requestWithForm) GetRequestForm() url.Values { return r.form }

// authorizeRequest puts an authorization request together again.
func (a *authorizeSession) authorizeRequest() (fosite.AuthorizeRequester, error) {
	var details authorizeDetails
	if err := json.Unmarshal([]byte(a.details), &details); err != nil {
		return nil, database.Wrap(err, "decode an authorization request")
	}
	redirectURI, err := url.Parse(details.RedirectURI)
	if err != nil {
		return nil, database.Wrap(err, "decode an authorization request")
	}
	return &fosite.AuthorizeRequest{
		ResponseTypes: details.ResponseTypes, RedirectURI: redirectURI, State: details.State,
		ResponseMode: details.ResponseMode, DefaultResponseMode: details.DefaultResponseMode, Request: *a.Request,
	}, nil
}

// CreatePARSession implements [fosite.PARStorage] (RFC 9126). Credentials that fosite leaves in the form are
// not stored.
func (s *AuthorizeSessions) CreatePARSession(ctx context.Context, requestURI string, request fosite.AuthorizeRequester) error {
	return s.storeAuthorizeRequest(ctx, kindPAR, requestURI, request, expiry(request.GetSession(), fosite.PushedAuthorizeRequestContext))
}

// GetPARSession implements [fosite.PARStorage]. One that has expired is not found, which fosite does not check.
func (s *AuthorizeSessions) GetPARSession(ctx context.Context, requestURI string) (fosite.AuthorizeRequester, error) {
	a, err := s.authorizeSession(ctx, kindPAR, requestURI, nil)
	if err != nil {
		return nil, err
	}
	if end := expiry(a.Session, fosite.PushedAuthorizeRequestContext); !a.valid || !end.IsZero() && !s.now().Before(end) || !s.now().Before(a.expiresAt.Time) {
		return nil, fosite.ErrNotFound
	}
	return a.authorizeRequest()
}

// DeletePARSession implements [fosite.PARStorage]. A request is used once (RFC 9126 §7.3): of any number of concurrent
// calls one succeeds, the others get [fosite.ErrNotFound].
func (s *AuthorizeSessions) DeletePARSession(ctx context.Context, requestURI string) error {
	return s.deleteAuthorizeSession(ctx, kindPAR, requestURI)
}

// SaveAuthorizeRequest keeps an authorization request until the pages for login and consent are done with it, or until a
// time of your choice. key is a secret of this browser, such as the value of a cookie; only its hash is stored. Credentials
// in the form are left out.
func (s *AuthorizeSessions) SaveAuthorizeRequest(ctx context.Context, key string, request fosite.AuthorizeRequester, until time.Time) error {
	if until.IsZero() {
		return errors.New("storage: an authorization request is kept for a while only; give SaveAuthorizeRequest the time until which")
	}
	return s.storeAuthorizeRequest(ctx, kindKept, key, request, until)
}

// TakeAuthorizeRequest gives back what [AuthorizeSessions.SaveAuthorizeRequest] has kept under key, once, with session filled in. It
// answers [fosite.ErrNotFound] to whoever comes second or too late, and if the client may not ask any more.
func (s *AuthorizeSessions) TakeAuthorizeRequest(ctx context.Context, key string, session fosite.Session) (fosite.AuthorizeRequester, error) {
	kept, err := s.authorizeSession(ctx, kindKept, key, session)
	if err != nil {
		return nil, err
	}
	if !kept.valid || !s.now().Before(kept.expiresAt.Time) {
		return nil, fosite.ErrNotFound
	}
	request, err := kept.authorizeRequest()
	if err != nil {
		return nil, err
	}
	if err := s.deleteAuthorizeSession(ctx, kindKept, key); err != nil {
		return nil, err
	}
	return request, nil
}
