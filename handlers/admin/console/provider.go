package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/login"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// Provider logs in whom an OpenID Connect provider has named, if they are in a group that may administer.
type Provider struct {
	// Login sends browsers back to /console/login/callback.
	Login *login.Provider
	// Roles are what groups may do. The first one counts that somebody is in.
	Roles []GroupRole
}

// GroupRole is what the people of a group may do.
type GroupRole struct {
	Group string
	Role  audit.Role
}

// role is what somebody in these groups may do; "": nothing.
func (p *Provider) role(groups []string) audit.Role {
	for _, rule := range p.Roles {
		if slices.Contains(groups, rule.Group) {
			return rule.Role
		}
	}
	return ""
}

// personActor is who a session of a provider is today; nil: nobody. The groups are those of the login, and what they may do is looked up.
func (v *visit) personActor(s *session) *admin.Actor {
	if v.Provider == nil || !v.Provider.Login.Owns(s.Subject) {
		return nil
	}
	role := v.Provider.role(s.Groups)
	if role == "" {
		return nil
	}
	return &admin.Actor{Name: s.Subject, Role: role} // not the user name: somebody else may take the same
}

// personLife is how long somebody whom a provider has named stays logged in. The provider does not tell when they leave a group, so
// it is asked again soon.
const personLife = time.Hour

// CallbackPath is the path of the redirect URI.
const CallbackPath = base + "/login/callback"

const providerCookie = "fosite_mcp_console_oidc" // a login that is under way at the provider

// startProvider sends the browser to the provider. It is a link and not a form, because form-action would have to name every host
// that the provider may pass the browser on to.
func (v *visit) startProvider() error {
	if v.Provider == nil {
		return notFound()
	}
	address, kept, err := v.Provider.Login.Begin(v.r.Context(), ownPage(v.r.URL.Query().Get("continue")))
	if err != nil {
		return v.providerFailed(err)
	}
	jar := jar(v.https())
	jar.SameSite = http.SameSiteLaxMode // the provider's page leads back here
	jar.Set(v.w, providerCookie, kept, login.AttemptLife)
	return v.redirect(address)
}

// finishProvider is where the provider sends the browser back to.
func (v *visit) finishProvider() error {
	if v.Provider == nil {
		return notFound()
	}
	kept := v.cookie(providerCookie)
	v.clearCookie(providerCookie)
	who, proceed, err := v.Provider.Login.Finish(v.r.Context(), v.r.URL.Query(), kept)
	if err != nil {
		return v.providerFailed(err)
	}
	if v.Provider.role(who.Groups) == "" {
		return v.refusePerson(who, "You are logged in at "+v.Provider.Login.Name()+", and in no group that may administer this server.")
	}
	data := &session{Subject: who.Subject, Username: who.Username, Groups: who.Groups}
	err = v.begin(data, func(token string, encoded []byte) error {
		return v.API.Store.ConsoleSessions().CreateForPerson(v.r.Context(), token, who.Subject, who.Username, encoded, v.now().Add(personLife))
	})
	if errors.Is(err, fosite.ErrAccessDenied) {
		return v.refusePerson(who, "An administrator keeps you out.")
	}
	if err != nil {
		return err
	}
	// Not a redirect: the provider's site has led here, so that the browser would leave out the cookie, which is for this site alone.
	to := ownPage(proceed)
	v.w.Header().Set("Refresh", "0;url="+to)
	return v.render(http.StatusOK, "continue", v.page("You are logged in", "", to))
}

func notFound() error {
	return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "There is no such page."}
}

// providerFailed tells an outage of the provider from an answer that proves nothing.
func (v *visit) providerFailed(err error) error {
	name := v.Provider.Login.Name()
	if !errors.Is(err, login.ErrProviderRefused) {
		v.log.ErrorContext(v.r.Context(), "the OpenID Connect provider does not answer", "request_id", handlers.RequestID(v.r), "cause", err.Error())
		v.w.Header().Set("Retry-After", handlers.RetryAfter)
		down := loginData{Problem: name + " does not answer at the moment. Try again in a few seconds."}
		return v.showLogin(http.StatusServiceUnavailable, down)
	}
	v.log.WarnContext(v.r.Context(), "refused a login to the console", "request_id", handlers.RequestID(v.r), "cause", err.Error())
	v.noteFailed(nil)
	return v.showLogin(http.StatusForbidden, loginData{Problem: name + " did not log you in, or its answer could not be verified. Try again."})
}

func (v *visit) refusePerson(who login.Identity, problem string) error {
	v.log.WarnContext(v.r.Context(), "refused a login to the console", "request_id", handlers.RequestID(v.r), "subject", who.Subject)
	v.noteFailed(map[string]any{"subject": who.Subject, "username": who.Username})
	return v.showLogin(http.StatusForbidden, loginData{Problem: problem})
}

// noteFailed puts a failed login on record, as a sample of them.
func (v *visit) noteFailed(changes map[string]any) {
	if v.API.Recorder == nil {
		return
	}
	event := audit.Event{Actor: "unknown", Action: "admin.login_failed"}
	members := map[string]any{"method": map[string]string{"after": "oidc"}}
	for name, value := range changes {
		members[name] = map[string]any{"after": value}
	}
	event.Changes, _ = json.Marshal(members) // texts always encode
	v.API.Recorder.Note(v.r.Context(), event)
}

// https tells whether the browser sees https: a proxy may end TLS in front of this listener, which the Origin of a form tells.
func (v *visit) https() bool {
	return v.certainlyHTTPS() || strings.HasPrefix(v.r.Header.Get("Origin"), "https://")
}

// certainlyHTTPS tells whether each request for this page comes by https, forms or not: the listener speaks TLS, or the page is at the
// address that the provider knows. A login at the provider is there, whatever Host the proxy sends.
func (v *visit) certainlyHTTPS() bool {
	if v.Secure {
		return true
	}
	return strings.HasPrefix(v.Origin, "https://") && ("https://"+v.r.Host == v.Origin || strings.HasPrefix(v.r.URL.Path, base+"/login/"))
}
