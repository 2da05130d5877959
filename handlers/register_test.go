package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

const registerURL = issuer + basePath + "/register"

// registering is a server at which clients register themselves. Edits change how.
func registering(t *testing.T, edits ...func(*handlers.Registration)) *fixture {
	f := newFixture(t)
	registration := &handlers.Registration{
		Clients: f.store.Clients(),
		Rules: client.DynamicRules{
			Rules:         client.Rules{Scopes: []string{"mcp:search", "mcp:write"}, Resources: []string{other, docs}, DefaultScope: "mcp:search", DefaultResource: docs},
			RedirectHosts: []string{"claude.ai", "vscode.dev"}, RedirectSchemes: []string{"cursor"},
		},
		Endpoint: registerURL, MaxUnused: 100,
	}
	for _, edit := range edits {
		edit(registration)
	}
	router := mux.NewRouter()
	server := &handlers.Server{Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: issuer, Login: f, Registration: registration,
		Now: func() time.Time { return f.clock }}
	err := errors.Join(server.Mount(router.PathPrefix(basePath).Subrouter()), handlers.MountWellKnown(router, handlers.Metadata{Server: server, Endpoints: issuer + basePath}))
	if err != nil {
		t.Fatal(err)
	}
	f.router = router
	return f
}

func (f *fixture) register(body string, authorization ...string) answer {
	f.t.Helper()
	return f.manage(http.MethodPost, "/register", body, authorization...)
}

// manage calls a path below the base path with a JSON body.
func (f *fixture) manage(method, path, body string, authorization ...string) answer {
	f.t.Helper()
	r := &request{method: method, path: basePath + path, contentType: contentJSON, body: body, header: http.Header{}}
	for _, value := range authorization {
		r.header.Add("Authorization", value)
	}
	return f.do(r)
}

// What the published clients send, and what they go on with.
func TestPublishedClientsRegisterThemselves(t *testing.T) {
	f := registering(t)
	if document := f.get(http.MethodGet, "/.well-known/oauth-authorization-server"); document.json["registration_endpoint"] != registerURL {
		t.Errorf("registration_endpoint: %v", document.json["registration_endpoint"])
	}
	for name, c := range map[string]struct{ body, redirect, scope, method string }{
		"mcp-remote": {`{"redirect_uris":["http://localhost:3334/oauth/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_name":"MCP CLI Proxy","client_uri":"https://github.com/modelcontextprotocol/mcp-cli","software_id":"2e6dc280-f3c3-4e01-99a7-8181dbd1d23d","software_version":"0.1.15","scope":"openid email profile"}`,
			"http://localhost:3334/oauth/callback", "mcp:search", "none"},
		"Inspector": {`{"redirect_uris":["http://127.0.0.1:6276/oauth/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_name":"MCP Inspector","client_uri":null,"logo_uri":"","contacts":null,"jwks":null}`,
			"http://127.0.0.1:6276/oauth/callback", "mcp:search", "none"},
		"Cursor":  {`{"client_name":"Cursor","redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback"],"token_endpoint_auth_method":"none"}`, "cursor://anysphere.cursor-mcp/oauth/callback", "mcp:search", "none"},
		"VS Code": {`{"client_name":"Visual Studio Code","redirect_uris":["http://127.0.0.1:33418/","https://vscode.dev/redirect"],"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"application_type":"native","token_endpoint_auth_method":"none","scope":"mcp:search mcp:write"}`, "http://127.0.0.1:33418/", "mcp:search mcp:write", "none"},
		"Claude":  {`{"client_name":"Claude","redirect_uris":["https://claude.ai/api/mcp/auth_callback"],"token_endpoint_auth_method":"client_secret_post"}`, "https://claude.ai/api/mcp/auth_callback", "mcp:search", "client_secret_post"},
		"no name": {`{"redirect_uris":["http://127.0.0.1/"]}`, "http://127.0.0.1/", "mcp:search", "client_secret_basic"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.register(c.body)
			if a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.text, "null") || strings.Contains(a.text, `""`) {
				t.Fatalf("%d %s", a.status, a.text)
			}
			id, _ := a.json["client_id"].(string)
			uris, _ := a.json["redirect_uris"].([]any)
			if uris[0] != c.redirect || a.json["scope"] != c.scope || a.json["token_endpoint_auth_method"] != c.method || a.json["registration_client_uri"] != registerURL+"/"+id {
				t.Errorf("%s", a.text)
			}
			if _, secret := a.json["client_secret"]; secret != (c.method != "none") || secret && a.json["client_secret_expires_at"] != 0.0 {
				t.Errorf("client_secret: %s", a.text)
			}
			// Somebody logs in with it, and names no resource.
			query := authorizeQuery("client_id", id, "redirect_uri", c.redirect, "resource", "-")
			code := f.visit(query.Encode()).sentBack(t, c.redirect).Get("code")
			r := redeem(code, "client_id", id, "redirect_uri", c.redirect)
			if secret, ok := a.json["client_secret"].(string); ok {
				r = redeem(code, "client_id", id, "redirect_uri", c.redirect, "client_secret", secret)
			}
			if told := f.inspect(f.tokens(r).access); told.json["active"] != true || fmt.Sprint(told.json["aud"]) != "["+docs+"]" {
				t.Errorf("its token: %s", told.text)
			}
		})
	}
	events := f.events()
	if last := events[len(events)-1]; last.Actor != client.DynamicRegistration || last.Action != "client.registered" {
		t.Errorf("the audit log has %+v", last)
	}
}

func TestRefusedRegistrations(t *testing.T) {
	f := registering(t)
	big := strings.Repeat("x", 17<<10)
	for name, c := range map[string]struct{ body, code, says string }{
		"no JSON":                   {`redirect_uris=x`, "invalid_client_metadata", ""},
		"a list":                    {`[]`, "invalid_client_metadata", ""},
		"a member twice":            {`{"client_name":"a","client_name":"b"}`, "invalid_client_metadata", "client_name"},
		"no redirect URI":           {`{"client_name":"a"}`, "invalid_redirect_uri", "redirect_uris"},
		"javascript:":               {`{"redirect_uris":["javascript:alert(1)"],"token_endpoint_auth_method":"none"}`, "invalid_redirect_uri", ""},
		"data:":                     {`{"redirect_uris":["data:text/html,x"],"token_endpoint_auth_method":"none"}`, "invalid_redirect_uri", ""},
		"a host of somebody":        {`{"redirect_uris":["https://evil.example.com/callback"]}`, "invalid_redirect_uri", "registration.redirect_hosts"},
		"a host that begins alike":  {`{"redirect_uris":["https://claude.ai.evil.example.com/callback"]}`, "invalid_redirect_uri", "registration.redirect_hosts"},
		"a host with a user":        {`{"redirect_uris":["https://claude.ai@evil.example.com/callback"]}`, "invalid_redirect_uri", ""},
		"a scheme of somebody":      {`{"redirect_uris":["evil://callback/x"],"token_endpoint_auth_method":"none"}`, "invalid_redirect_uri", "registration.redirect_schemes"},
		"one of two":                {`{"redirect_uris":["https://claude.ai/c","https://evil.example.com/"]}`, "invalid_redirect_uri", "evil.example.com"},
		"another port of a host":    {`{"redirect_uris":["https://claude.ai:8443/callback"]}`, "invalid_redirect_uri", "claude.ai"},
		"a host with a dot":         {`{"redirect_uris":["https://claude.ai./callback"]}`, "invalid_redirect_uri", ""},
		"too many":                  {`{"redirect_uris":["http://127.0.0.1/a"` + strings.Repeat(`,"http://127.0.0.1/b"`, 10) + `]}`, "invalid_redirect_uri", "10"},
		"http beyond this machine":  {`{"redirect_uris":["http://claude.ai/callback"]}`, "invalid_redirect_uri", ""},
		"a machine":                 {`{"redirect_uris":["https://claude.ai/c"],"grant_types":["client_credentials"]}`, "invalid_client_metadata", "administrator"},
		"a key of its own":          {`{"redirect_uris":["https://claude.ai/c"],"token_endpoint_auth_method":"private_key_jwt"}`, "invalid_client_metadata", "jwks"},
		"a name that turns around":  {`{"redirect_uris":["https://claude.ai/c"],"client_name":"\u202eedualC"}`, "invalid_client_metadata", "client_name"},
		"a name of another type":    {`{"redirect_uris":["https://claude.ai/c"],"client_name":7}`, "invalid_client_metadata", "client_name"},
		"an authentication unknown": {`{"redirect_uris":["https://claude.ai/c"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata", "token_endpoint_auth_method"},
		"too large":                 {`{"redirect_uris":["https://claude.ai/c"],"x":"` + big + `"}`, "invalid_request", "16 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.register(c.body)
			described, _ := a.json["error_description"].(string)
			if a.status < 400 || a.status >= 500 || a.json["error"] != c.code || !strings.Contains(described, c.says) {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	if n := f.rows("clients"); n != 0 {
		t.Errorf("%d clients were stored", n)
	}
	if a := f.do(&request{method: http.MethodPost, path: basePath + "/register", contentType: contentForm, body: "client_name=a", header: http.Header{}}); a.status != http.StatusBadRequest || a.json["error"] != "invalid_client_metadata" {
		t.Errorf("a form: %d %s", a.status, a.text)
	}
	if a := f.get(http.MethodGet, basePath+"/register"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.status)
	}
}

func TestAnInitialAccessTokenIsNeeded(t *testing.T) {
	f := registering(t, func(r *handlers.Registration) { r.InitialAccessToken = "let-me-in-0123456789" })
	const body = `{"redirect_uris":["https://claude.ai/c"]}`
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer let-me-in-012345678", "Basic let-me-in-0123456789", "Bearer let-me-in-0123456789x"} {
		a := f.register(body, authorization)
		if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") || a.json["error"] != "invalid_token" {
			t.Errorf("%q: %d %s", authorization, a.status, a.text)
		}
	}
	if n := f.rows("clients"); n != 0 {
		t.Errorf("%d clients were stored", n)
	}
	if a := f.register(body, "Bearer let-me-in-0123456789"); a.status != http.StatusCreated {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// RFC 7592.
func TestAClientManagesItsRegistration(t *testing.T) {
	f := registering(t)
	made := f.register(`{"client_name":"app","redirect_uris":["` + "http://127.0.0.1/callback" + `"],"token_endpoint_auth_method":"none"}`)
	id, token := made.json["client_id"].(string), "Bearer "+made.json["registration_access_token"].(string)
	another := f.register(`{"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"none"}`)
	f.client("of_an_admin")
	for name, c := range map[string]struct{ id, authorization string }{
		"no token":              {id, ""},
		"a wrong one":           {id, "Bearer mcp_rt_x"},
		"that of another":       {id, "Bearer " + another.json["registration_access_token"].(string)},
		"an admin's client":     {"of_an_admin", token},
		"an admin's, with none": {"of_an_admin", "Bearer "},
		"nobody":                {"nobody", token},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			if a := f.manage(method, "/register/"+c.id, `{"redirect_uris":["http://127.0.0.1/"]}`, c.authorization); a.status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s", method, name, a.status, a.text)
			}
		}
	}
	if a := f.manage(http.MethodGet, "/register/"+id, "", token); a.status != http.StatusOK || a.json["client_name"] != "app" || "Bearer "+a.json["registration_access_token"].(string) != token {
		t.Errorf("GET: %d %s", a.status, a.text)
	}
	if a := f.manage(http.MethodPut, "/register/"+id, `{"client_id":"`+id+`","client_name":"renamed","redirect_uris":["http://127.0.0.1/other"],"token_endpoint_auth_method":"none"}`, token); a.status != http.StatusOK || a.json["client_name"] != "renamed" {
		t.Errorf("PUT: %d %s", a.status, a.text)
	}
	for name, body := range map[string]string{
		"another redirect":       `{"redirect_uris":["https://evil.example.com/"],"token_endpoint_auth_method":"none"}`,
		"another authentication": `{"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"client_secret_basic"}`,
	} {
		if a := f.manage(http.MethodPut, "/register/"+id, body, token); a.status != http.StatusBadRequest {
			t.Errorf("PUT with %s: %d %s", name, a.status, a.text)
		}
	}
	if a := f.authorize("client_id", id, "redirect_uri", "-"); a.status != http.StatusBadRequest || !strings.Contains(a.text, "redirect_uri") {
		t.Errorf("an authorization request without a redirect URI: %d %s", a.status, a.text)
	}
	query := authorizeQuery("client_id", id, "redirect_uri", "http://127.0.0.1/other")
	access := f.tokens(redeem(f.visit(query.Encode()).sentBack(t, "http://127.0.0.1/other").Get("code"), "client_id", id, "redirect_uri", "http://127.0.0.1/other")).access
	if a := f.manage(http.MethodDelete, "/register/"+id, "", token); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", a.status, a.text)
	}
	if f.alive(access) {
		t.Error("a token of the client is alive after its registration has ended")
	}
	if a := f.manage(http.MethodGet, "/register/"+id, "", token); a.status != http.StatusUnauthorized {
		t.Errorf("GET afterwards: %d", a.status)
	}
}

// What an administrator has taken from a client it does not give itself again.
func TestAnAdministratorTakesARegistrationOver(t *testing.T) {
	f := registering(t)
	made := f.register(`{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none","scope":"mcp:search mcp:write"}`)
	id, token := made.json["client_id"].(string), "Bearer "+made.json["registration_access_token"].(string)
	before, err := f.store.Clients().Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := client.Rules{Scopes: []string{"mcp:search", "mcp:write"}, Resources: []string{other, docs}}.Change(before, map[string]any{"scope": "mcp:search"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.Clients().Update(t.Context(), patched); err != nil {
		t.Fatal(err)
	}
	if a := f.manage(http.MethodPut, "/register/"+id, `{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none","scope":"mcp:search mcp:write"}`, token); a.status != http.StatusUnauthorized {
		t.Errorf("PUT: %d %s", a.status, a.text)
	}
	if after, err := f.store.Clients().Find(t.Context(), id); err != nil || len(after.Scope) != 1 || after.RegisteredBy != client.DynamicRegistration {
		t.Errorf("%+v, %v", after, err)
	}
}

// Whoever has registered a client does not make it count as used.
func TestARegistrationIsUsedOnceSomebodyHasConsented(t *testing.T) {
	f := registering(t)
	public := f.register(`{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`).json["client_id"].(string)
	a := f.register(`{"redirect_uris":["http://127.0.0.1/callback"]}`)
	secret, _ := a.json["client_secret"].(string)
	withSecret := a.json["client_id"].(string)
	f.do(redeem("junk", "client_id", public))
	f.do(post("/revoke", "token", "junk").basic(withSecret, secret))
	if err := f.store.FlushUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{public, withSecret} {
		if c, err := f.store.Clients().Find(t.Context(), id); err != nil || !c.LastUsedAt.IsZero() {
			t.Errorf("%s was used at %v, %v", id, c.LastUsedAt, err)
		}
	}
}

func TestThereIsAnEndToRegistrations(t *testing.T) {
	f := registering(t, func(r *handlers.Registration) { r.MaxUnused = 3 })
	const body = `{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`
	used := ""
	for i := range 3 {
		a := f.register(body)
		if a.status != http.StatusCreated {
			t.Fatalf("%d: %d %s", i, a.status, a.text)
		}
		used = a.json["client_id"].(string)
	}
	if a := f.register(body); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", a.status, a.text)
	}
	query := authorizeQuery("client_id", used, "redirect_uri", "http://127.0.0.1/callback")
	access := f.tokens(redeem(f.visit(query.Encode()).sentBack(t, "http://127.0.0.1/callback").Get("code"), "client_id", used, "redirect_uri", "http://127.0.0.1/callback")).access
	if err := f.store.FlushUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := f.register(body); a.status != http.StatusCreated {
		t.Errorf("after one was used: %d %s", a.status, a.text)
	}
	f.clock = f.clock.Add(48 * time.Hour)
	if err := f.store.Maintain(t.Context(), storage.Maintenance{UnusedRegistrations: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if n := f.rows("clients"); n != 1 {
		t.Errorf("%d clients are left, want the one that was used", n)
	}
	if !f.alive(access) {
		t.Error("its token is dead")
	}
}

// A limit of its own, whoever invents clients.
func TestAnAddressRegistersSoManyClients(t *testing.T) {
	var mu sync.Mutex
	left := 2
	f := registering(t, func(r *handlers.Registration) {
		r.Allow = func(http.ResponseWriter, *http.Request) *fosite.RFC6749Error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left < 0 {
				return &fosite.RFC6749Error{ErrorField: "temporarily_unavailable", DescriptionField: "Too many.", CodeField: http.StatusTooManyRequests}
			}
			return nil
		}
	})
	for i := range 5 {
		want := http.StatusCreated
		if i >= 2 {
			want = http.StatusTooManyRequests
		}
		if a := f.register(`{"redirect_uris":["http://127.0.0.1/"]}`); a.status != want {
			t.Errorf("%d: %d", i, a.status)
		}
	}
}

// failingRegistrations are those of a database that is down.
type failingRegistrations struct{}

var errDown = errors.New("the database is down")

func (failingRegistrations) Register(context.Context, *client.Client, int) error { return errDown }
func (failingRegistrations) Find(context.Context, string) (*client.Client, error) {
	return nil, errDown
}
func (failingRegistrations) Reregister(context.Context, *client.Client) error { return errDown }
func (failingRegistrations) Deregister(context.Context, string) error         { return errDown }

func TestAnOutageIsNoRefusalOfARegistration(t *testing.T) {
	f := registering(t, func(r *handlers.Registration) { r.Clients = failingRegistrations{} })
	for method, path := range map[string]string{http.MethodPost: "/register", http.MethodGet: "/register/x", http.MethodDelete: "/register/x"} {
		if a := f.manage(method, path, `{"redirect_uris":["http://127.0.0.1/"]}`, "Bearer x"); a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", method, a.status, a.text)
		}
	}
}
