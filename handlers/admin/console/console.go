package console

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/admin"

	"github.com/gorilla/mux"
)

// Console is the admin console. API is required, with a Store that has its own clients and admin keys.
type Console struct {
	API *admin.API
	// Secure says that the listener speaks TLS. Behind a proxy that does so, browsers tell it themselves when somebody logs in.
	Secure bool
	// Provider logs in people of an OpenID Connect provider, too; nil: admin keys alone.
	Provider *Provider
	// Origin is where browsers reach the console. The provider needs it; "": not known.
	Origin string
	// Health is what the overview says of the server.
	Health handlers.Health
	// About are facts for the overview, such as the version of the program.
	About []Fact
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// site is a mounted console.
type site struct {
	*Console
	api     http.Handler // the admin API, for this console alone
	origins *http.CrossOriginProtection
	now     func() time.Time
	log     *slog.Logger
}

// Mount adds the console to r at /console, and a redirect to it at /. r is the root router, with SkipClean(true) and
// UseEncodedPath, as for the API: ids may hold any character.
func (c *Console) Mount(r *mux.Router) error {
	if c.API == nil || c.API.Store == nil || !c.API.Store.KeepsClients() || c.API.Authenticate != nil || c.API.Record != nil {
		return errors.New("console: set Console.API, to an API with the clients and admin keys of its Store")
	}
	inside := mux.NewRouter().SkipClean(true)
	if err := c.API.Mount(inside.PathPrefix("/admin/v1").Subrouter()); err != nil {
		return err
	}
	s := &site{
		Console: c, api: inside, now: c.API.Now, log: c.API.Log,
		origins: http.NewCrossOriginProtection(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	for _, path := range []string{"/", base} {
		r.Path(path).Handler(handlers.Reading(http.RedirectHandler(base+"/", http.StatusFound).ServeHTTP))
	}
	r.Path(base + "/style.css").Handler(handlers.Reading(serveStyle))
	r.Path(base + "/login").Handler(s.endpoint(endpoint{get: (*visit).loginPage, post: (*visit).login, open: true}))
	r.Path(base + "/login/provider").Handler(s.endpoint(endpoint{get: (*visit).startProvider, open: true}))
	r.Path(CallbackPath).Handler(s.endpoint(endpoint{get: (*visit).finishProvider, open: true}))
	for path, e := range endpoints {
		r.Path(base + path).Handler(s.endpoint(e))
	}
	r.PathPrefix(base + "/").Handler(s.endpoint(endpoint{}))
	return nil
}

// base is the path of the console.
const base = "/console"

// endpoint is one path: a page to look at, a form to post, or both.
type endpoint struct {
	get, post func(*visit) error
	needs     string // the operation of the API that the page is for: who may not do it does not see the page
	open      bool   // to those who are not logged in
}

// endpoints are all pages for those who are logged in.
var endpoints = map[string]endpoint{
	"/":       {get: (*visit).overview},
	"/logout": {post: (*visit).logout},

	"/clients":    {get: (*visit).clientsPage, needs: "GET /clients"},
	"/new-client": {get: (*visit).newClientPage, post: (*visit).newClient, needs: "POST /clients"},

	"/clients/{client_id}":           {get: (*visit).clientPage, needs: "GET /clients/{client_id}"},
	"/clients/{client_id}/usage":     {get: (*visit).usagePage, needs: "GET /clients/{client_id}/usage"},
	"/clients/{client_id}/usage.csv": {get: (*visit).usageFile, needs: "GET /clients/{client_id}/usage"},
	"/clients/{client_id}/edit":      {get: (*visit).editPage, post: (*visit).edit, needs: "PATCH /clients/{client_id}"},
	"/clients/{client_id}/rotate":    {get: (*visit).rotatePage, post: (*visit).rotate, needs: "POST /clients/{client_id}/secrets"},

	"/clients/{client_id}/{act:disable|enable|delete|revoke}": {
		get: (*visit).clientActPage, post: (*visit).clientAct, needs: "DELETE /clients/{client_id}",
	},
	"/clients/{client_id}/secrets/{secret_id}/delete": {
		get: (*visit).secretDeletePage, post: (*visit).secretDelete, needs: "DELETE /clients/{client_id}/secrets/{secret_id}",
	},
	"/clients/{client_id}/tokens/{token_id}/revoke": {
		get: (*visit).tokenRevokePage, post: (*visit).tokenRevoke, needs: "POST /clients/{client_id}/tokens/revoke",
	},

	"/people":      {get: (*visit).peoplePage, needs: "GET /users"},
	"/people/{id}": {get: (*visit).personPage, needs: "GET /users/{id}"},
	"/people/{id}/{act:disable|enable|revoke}": {
		get: (*visit).personActPage, post: (*visit).personAct, needs: "POST /users/{id}/revoke",
	},
	"/people/{id}/consents/{client_id}/withdraw": {
		get: (*visit).withdrawPage, post: (*visit).withdraw, needs: "DELETE /users/{id}/consents/{client_id}",
	},
	"/consents": {get: (*visit).consentsPage, needs: "GET /consents"},

	"/keys":      {get: (*visit).keysPage, needs: "GET /keys"},
	"/audit":     {get: (*visit).auditPage, needs: "GET /audit"},
	"/audit.csv": {get: (*visit).auditFile, needs: "GET /audit"},

	"/access":     {get: (*visit).accessPage, needs: "GET /access"},
	"/access.csv": {get: (*visit).accessFile, needs: "GET /access"},
}
