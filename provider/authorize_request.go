package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fosite-mcp/internal/params"
	registration "fosite-mcp/provider/client"

	"github.com/google/uuid"
	"github.com/ory/fosite"
)

// maxState is more than any client packs into state; it has to fit into the Location header of an answer.
const maxState = 4 << 10

// AuthorizePolicy reads authorization requests (RFC 6749 §4.1.1), in place of fosite's own reader. It checks the
// whole request, so that nobody is asked to log in for one that will fail: client, redirect URI, PKCE, scope and
// resource. It allows what MCP clients need: a state of any length or none, loopback redirects to any port, and
// scopes that the client does not have, which are dropped. A scope that it has, and no requested resource understands, is
// refused.
type AuthorizePolicy struct {
	Clients   fosite.ClientManager
	Resources Resources
	Documents *ClientDocuments // nil: the server fetches no metadata documents
	// TrustedHosts are hosts to which errors may be sent before a person has answered, though the client has said itself that it
	// is answered there, see handlers.UncheckedRedirect.
	TrustedHosts []string
	Now          func() time.Time // nil: time.Now
}

// authorizeRequest is one whose redirect URI, if it has one, is valid: fosite would check it again by rules that
// know no localhost.
type authorizeRequest struct {
	*fosite.AuthorizeRequest
	unchecked bool // nobody has checked where the redirect URI leads
}

// ChecksAuthorizationRequests implements handlers.CheckedRequest.
func (r *authorizeRequest) ChecksAuthorizationRequests() {}

// IsRedirectURIValid implements [fosite.AuthorizeRequester].
func (r *authorizeRequest) IsRedirectURIValid() bool { return r.RedirectURI != nil }

// RedirectIsUnchecked implements handlers.UncheckedRedirect.
func (r *authorizeRequest) RedirectIsUnchecked() bool { return r.unchecked }

// ChecksAuthorizationRequests implements handlers.AuthorizationChecker.
func (p *AuthorizePolicy) ChecksAuthorizationRequests() {}

// NewAuthorizeRequest returns a request that is valid in every respect; or an error together with as much of the
// request as is known. Errors may be sent to the client when IsRedirectURIValid says so, and must be shown to the
// person otherwise (RFC 6749 §4.1.2.1). The requested scopes and audience are what a person is to be asked for.
func (p *AuthorizePolicy) NewAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	request := &authorizeRequest{AuthorizeRequest: fosite.NewAuthorizeRequest()}
	request.SetDefaultResponseMode(fosite.ResponseModeQuery)
	if err := r.ParseForm(); err != nil {
		return request, fosite.ErrInvalidRequest.WithHint("The parameters cannot be decoded.")
	}
	request.Form = params.WithoutEmpty(r.Form)
	if len(request.Form["client_id"]) > 1 || len(request.Form["redirect_uri"]) > 1 {
		return request, fosite.ErrInvalidRequest.WithHint("The parameters client_id and redirect_uri must not be given more than once.")
	}
	client, err := p.client(ctx, request.Form.Get("client_id"))
	if err != nil {
		return request, err
	}
	request.Client = client
	if registersItself(client) && request.Form.Get("redirect_uri") == "" {
		return request, fosite.ErrInvalidRequest.WithHint("The redirect_uri is missing.") // what is registered may change until a person has answered
	}
	target, exact, err := registration.MatchRedirectURI(request.Form.Get("redirect_uri"), client.GetRedirectURIs(), client.IsPublic())
	if err != nil {
		return request, fosite.ErrInvalidRequest.WithHintf("The redirect_uri %s.", err)
	}
	// From here on the client hears of its mistakes, where it is known who that is.
	request.RedirectURI, request.unchecked = target, registersItself(client) && !p.trusts(target)
	request.Form.Set("redirect_uri", exact)
	return request, p.check(ctx, request.AuthorizeRequest)
}

func (p *AuthorizePolicy) client(ctx context.Context, id string) (fosite.Client, error) {
	// RFC 6749 appendix A.1: printable ASCII. Databases disagree about the rest.
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errUnknownClient
	}
	if p.Documents != nil && registration.IsDocumentURL(id) {
		return p.Documents.Client(ctx, id)
	}
	client, err := p.Clients.GetClient(ctx, id)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, errUnknownClient
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if c := registration.Of(client); p.Documents == nil && c != nil && c.DocumentHost() != "" {
		return nil, errUnknownClient // documents are no longer read, so nobody knows what it says now
	}
	return client, nil
}

// trusts tells that a redirect URI leads to a program on the person's own device, or to a host that the operator has named.
func (p *AuthorizePolicy) trusts(target *url.URL) bool {
	return target.Scheme != "https" || registration.IsLoopback(target.Hostname()) ||
		target.Port() == "" && slices.Contains(p.TrustedHosts, strings.ToLower(target.Hostname()))
}

// registersItself tells that the client says itself where it may be answered.
func registersItself(client fosite.Client) bool {
	if c := registration.Of(client); c != nil && c.DocumentHost() != "" {
		return true
	}
	d, ok := client.(SelfRegisteredClient)
	return ok && d.IsDynamicallyRegistered()
}

var errUnknownClient = fosite.ErrInvalidClient.WithHint("The application is not registered here, or has been disabled. Remove this server from the application and add it again, so that it registers anew.")

// check fills in what follows from the parameters, and finds the first thing wrong with them.
func (p *AuthorizePolicy) check(ctx context.Context, request *fosite.AuthorizeRequest) error {
	form := request.Form
	if len(form["state"]) == 1 && len(form.Get("state")) <= maxState {
		request.State = form.Get("state")
	}
	for _, rule := range []func(url.Values) error{onceEach, bounded, noRequestObject, forCode, checkChallenge} {
		if err := rule(form); err != nil {
			return err
		}
	}
	request.ResponseTypes = fosite.Arguments{"code"}
	client := request.Client
	types := client.GetResponseTypes()
	// RFC 7591 §2: a client that names no response types has code.
	if !client.GetGrantTypes().Has("authorization_code") || len(types) > 0 && !types.Has("code") {
		return fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the authorization_code grant.")
	}
	resources, err := p.Resources.current(ctx)
	if err != nil {
		return err
	}
	audience, err := resources.resolve(client, requestedResources(form))
	if err != nil {
		return err
	}
	scopes, err := resources.scopes(client, audience, resources.registered(client, form.Get("scope")))
	if err != nil {
		return err
	}
	if len(scopes) == 0 {
		return fosite.ErrInvalidScope.WithHint("The client is registered without any scope.")
	}
	request.SetRequestedScopes(scopes)
	request.SetRequestedAudience(audience)
	form.Set("scope", strings.Join(scopes, " ")) // what is stored with the code
	if id, err := uuid.NewV7(); err == nil {     // ordered ids keep the database's index compact
		request.SetID(id.String())
	}
	request.RequestedAt = clock(p.Now).UTC()
	return nil
}

func onceEach(form url.Values) error {
	if name := params.Repeated(form); name != "" {
		return fosite.ErrInvalidRequest.WithHintf("The parameter %q is given more than once.", name)
	}
	return nil
}

func bounded(form url.Values) error {
	if len(form.Get("state")) > maxState {
		return fosite.ErrInvalidRequest.WithHint("The state is longer than 4 KiB.")
	}
	return nil
}

// noRequestObject refuses requests that come by reference or as an object (RFC 9101 §7, OpenID Connect Core §6.1):
// what counts is in the URL, where it was checked.
func noRequestObject(form url.Values) error {
	switch {
	case form.Get("request") != "":
		return fosite.ErrRequestNotSupported
	case form.Get("request_uri") != "":
		return fosite.ErrRequestURINotSupported
	case form.Get("registration") != "":
		return fosite.ErrRegistrationNotSupported
	}
	return nil
}

// forCode allows the authorization code in the query, and nothing else.
func forCode(form url.Values) error {
	switch form.Get("response_type") {
	case "code":
	case "":
		return fosite.ErrInvalidRequest.WithHint("The parameter response_type is missing.")
	default:
		return fosite.ErrUnsupportedResponseType.WithHint("Only response_type=code is supported.")
	}
	if mode := form.Get("response_mode"); mode != "" && mode != "query" {
		return fosite.ErrInvalidRequest.WithHint("Only response_mode=query is supported.")
	}
	return nil
}

// checkChallenge demands PKCE with S256 of every client (OAuth 2.1 §4.1.1, RFC 7636 §4.4.1): the challenge is the
// base64url of a SHA-256, 43 characters.
func checkChallenge(form url.Values) error {
	challenge := form.Get("code_challenge")
	switch {
	case challenge == "":
		return fosite.ErrInvalidRequest.WithHint("PKCE is required: send code_challenge and code_challenge_method=S256.")
	case form.Get("code_challenge_method") != "S256":
		return fosite.ErrInvalidRequest.WithHint("Only code_challenge_method=S256 is supported; without the parameter it would be plain.")
	case !isSHA256(challenge):
		return fosite.ErrInvalidRequest.WithHint("The code_challenge is not the base64url encoding of a SHA-256, which has 43 characters and no padding.")
	}
	return nil
}

func isSHA256(challenge string) bool {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(decoded) == 32 && len(challenge) == 43
}

// registered are the requested scopes that the client is registered for; none left counts as none requested. Clients ask
// for scopes that they cannot know to exist here (RFC 6749 §3.3 allows to ignore those).
func (r Resources) registered(client fosite.Client, requested string) (scopes []string) {
	may := r.included(client.GetScopes())
	for _, scope := range strings.Fields(requested) {
		if slices.Contains(may, scope) && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}
