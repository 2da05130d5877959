package login

import (
	"net/http"
	"time"
)

// grantsPage shows a person which applications have access in their name.
func (s *Pages) grantsPage(w http.ResponseWriter, r *http.Request) {
	p := s.loggedIn(w, r)
	if p == nil {
		return
	}
	page := &GrantsPage{Page: s.page(w, r, p.token)}
	page.Username = clean(p.Username, nameLimit)
	var withdrawn string
	if s.sign.open("withdrawn "+p.id(), r.URL.Query().Get("withdrawn"), &withdrawn) {
		page.Withdrawn = withdrawn
	}
	views, err := s.grants(r, p)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page.Grants = views
	s.render(w, r, http.StatusOK, "grants", page)
}

// withdrawPage asks before a client loses its access.
func (s *Pages) withdrawPage(w http.ResponseWriter, r *http.Request) {
	p := s.loggedIn(w, r)
	if p == nil {
		return
	}
	view, err := s.findGrant(r, p, r.URL.Query().Get("client_id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if view == nil {
		s.tell(w, r, http.StatusNotFound, sayNoGrant)
		return
	}
	page := &WithdrawPage{Page: s.page(w, r, p.token), Grant: *view}
	page.Username = clean(p.Username, nameLimit)
	s.render(w, r, http.StatusOK, "withdraw", page)
}

// withdraw takes a client's access away. A second click finds nothing left to do, and says the same, by the name that the
// form had for the client.
func (s *Pages) withdraw(w http.ResponseWriter, r *http.Request) {
	p := s.loggedIn(w, r)
	if p == nil {
		return
	}
	clientID := r.PostForm.Get("client_id")
	if clientID == "" {
		s.tell(w, r, http.StatusBadRequest, sayBadForm)
		return
	}
	view, err := s.findGrant(r, p, clientID)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	name := clean(r.PostForm.Get("client_name"), nameLimit)
	if view != nil {
		name = view.Client.Title()
		if err := s.Consents.Withdraw(r.Context(), p.Subject, clientID); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	seeOther(w, r, s.grantsPath()+"?withdrawn="+s.sign.seal("withdrawn "+p.id(), name))
}

// loggedIn returns who is there; when it is nobody, it has sent the browser to the login page and returns nil.
func (s *Pages) loggedIn(w http.ResponseWriter, r *http.Request) *person {
	p, err := s.currentOrByHeader(w, r)
	if err != nil {
		s.fail(w, r, err)
		return nil
	}
	if p == nil {
		seeOther(w, r, s.loginURL(destination{path: s.grantsPath()}))
	}
	return p
}

func (s *Pages) grants(r *http.Request, p *person) ([]GrantView, error) {
	var views []GrantView
	err := s.Consents.Each(r.Context(), p.Subject, func(clientID, clientName string, scopes, resources []string, since, lastUsed time.Time) {
		view := GrantView{
			Client:   ClientView{ID: clean(clientID, identifierLimit), Name: clean(clientName, nameLimit)},
			ClientID: clientID, Since: since.UTC(), LastUsed: lastUsed.UTC(),
		}
		view.Scopes, view.Offline = s.describeScopes(scopes)
		for _, resource := range resources {
			view.Resources = append(view.Resources, s.describeResource(resource))
		}
		views = append(views, view)
	})
	return views, err
}

// findGrant is p's grant to a client, or nil.
func (s *Pages) findGrant(r *http.Request, p *person, clientID string) (*GrantView, error) {
	views, err := s.grants(r, p)
	for i := range views {
		if views[i].ClientID == clientID {
			return &views[i], err
		}
	}
	return nil, err
}
