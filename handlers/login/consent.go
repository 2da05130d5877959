package login

import (
	"net/http"
	"net/url"
	"slices"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"

	"github.com/ory/fosite"
)

// offer is what a consent page has shown to whom. It travels through the page's form, signed, so that exactly this is
// granted and nothing that was swapped in the meantime.
type offer struct {
	Session    string   `json:"session"`
	Query      string   `json:"query"` // the authorization request
	ClientID   string   `json:"client_id"`
	ClientName string   `json:"client_name,omitempty"`
	Scopes     []string `json:"scopes,omitempty"`
	Resources  []string `json:"resources,omitempty"`
}

// consentPage asks p for what the client requests. It stands at the authorize URL itself.
func (s *Pages) consentPage(w http.ResponseWriter, r *http.Request, p *person, request handlers.AuthorizationRequest, here destination) {
	client := describe(request.Client)
	page := &ConsentPage{
		Page:     s.page(w, r, p.token),
		Client:   client,
		Redirect: describeRedirect(request),
		Continue: here.String(),
		Request: s.sign.seal("offer", offer{
			Session: p.id(), Query: here.query.Encode(), ClientID: request.Client.GetID(), ClientName: client.Name,
			Scopes: asked(request), Resources: request.Resources,
		}),
	}
	page.Username = clean(p.Username, nameLimit)
	page.Scopes, page.Offline = s.describeScopes(asked(request))
	for _, resource := range request.Resources {
		page.Resources = append(page.Resources, s.describeResource(resource))
	}
	s.render(w, r, http.StatusOK, "consent", page)
}

// consent takes the answer to a consent page.
func (s *Pages) consent(w http.ResponseWriter, r *http.Request) {
	var shown offer
	if !s.sign.open("offer", r.PostForm.Get("request"), &shown) {
		s.outdated(w, r)
		return
	}
	query, err := url.ParseQuery(shown.Query)
	if err != nil {
		s.outdated(w, r)
		return
	}
	back := destination{s.authorizePath(), query}
	p, err := s.current(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if p == nil || p.id() != shown.Session {
		// The session ended, or became somebody else's, while the page was open: nothing is granted, ask again.
		seeOther(w, r, back.String())
		return
	}
	given := answers{LoggedIn: s.answers(r, p, back).LoggedIn}
	switch r.PostForm.Get("answer") {
	case "allow":
		err := s.Consents.Remember(r.Context(), p.Subject, p.Username, shown.ClientID, shown.ClientName, shown.Resources, shown.Scopes)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		given.Allowed = true
	case "deny":
		given.Denied = true
	default:
		s.tell(w, r, http.StatusBadRequest, sayBadForm)
		return
	}
	s.setAnswers(w, p, back, given)
	seeOther(w, r, back.String())
}

// DynamicClient tells whether a client has registered itself (RFC 7591): the pages then say that nobody has looked at its name.
// Without it an operator has registered the client.
type DynamicClient interface {
	IsDynamicallyRegistered() bool
}

// DocumentedClient tells at which host the metadata document of a client is: the pages then say that it speaks for itself. It is
// empty for a client without a document.
type DocumentedClient interface {
	DocumentHost() string
}

func describe(client fosite.Client) ClientView {
	view := ClientView{ID: clean(client.GetID(), identifierLimit)}
	if named, ok := client.(handlers.NamedClient); ok {
		view.Name = clean(named.GetName(), nameLimit)
	}
	view.SelfRegistered = selfRegistered(client)
	if documented, ok := client.(DocumentedClient); ok {
		view.DocumentHost = clean(documented.DocumentHost(), identifierLimit)
	}
	return view
}

func describeRedirect(request handlers.AuthorizationRequest) RedirectView {
	redirect := request.RedirectURI
	view := RedirectView{Unproven: unproven(request.Client, redirect)}
	switch {
	case redirect == nil:
	case redirect.Scheme == "http" || redirect.Scheme == "https":
		view.Host, view.Loopback = shownHost(redirect), client.IsLoopback(redirect.Hostname())
	default:
		view.Scheme = clean(redirect.Scheme, nameLimit)
	}
	return view
}

// describeScopes puts scopes into words. Lasting access is told apart, because it is about time rather than extent.
func (s *Pages) describeScopes(scopes []string) (views []ScopeView, offline bool) {
	for _, scope := range scopes {
		if scope == offlineScope {
			offline = true
			continue
		}
		views = append(views, ScopeView{Name: clean(scope, identifierLimit), Description: clean(s.Scopes[scope], sentenceLimit)})
	}
	return slices.Clip(views), offline
}

func (s *Pages) describeResource(identifier string) ResourceView {
	return ResourceView{Identifier: clean(identifier, identifierLimit), Name: clean(s.Resources[identifier], nameLimit)}
}
