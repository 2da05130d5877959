package login

import (
	"html/template"
	"time"
)

// Page is what every page knows. Each page is the template of its name inside layout.html, and defines "title" and
// "main". Text from strangers has been cleaned of what is invisible and cut to a length; html/template escapes it.
type Page struct {
	Style    template.CSS // style.css; it must be in the page as it is, because the page's CSP names its hash
	Base     string       // path of the endpoints: forms post to {{.Base}}/login and so on
	CSRF     string       // every form carries it as the hidden field csrf
	Username string       // who is logged in; empty: nobody, or it does not matter here
}

// LoginPage is the data of login.html. The password form posts csrf, continue, username and password to
// /login; the button of the proxy posts csrf, continue and method=header there.
type LoginPage struct {
	Page
	Continue        string // to be sent back as it is
	Problem         string // what went wrong with the last attempt
	Again           bool   // the client asks for a fresh login
	Local           bool   // there are local accounts
	EnteredUsername string
	Header          string // who the proxy says is there; empty: nobody
	HeaderOnly      bool   // only a proxy could log anybody in, and there was none
	OIDC            string // link that leads to the OpenID Connect provider; empty: there is none
	OIDCName        string
}

// ConsentPage is the data of consent.html. Its form posts csrf, request and answer=allow or answer=deny to /consent;
// the link "not you" is a form that posts csrf and continue to /logout.
type ConsentPage struct {
	Page
	Client    ClientView
	Redirect  RedirectView
	Scopes    []ScopeView
	Resources []ResourceView
	Offline   bool // access lasts until it is withdrawn
	Request   string
	Continue  string
}

// ContinuePage is the data of continue.html, which a browser shows for a moment: the header Refresh leads it on. The page
// stays where that is switched off, or where an application was opened in its place.
type ContinuePage struct {
	Page
	Continue string // where it goes on
}

// GrantsPage is the data of grants.html.
type GrantsPage struct {
	Page
	Grants    []GrantView
	Withdrawn string // the client whose access was withdrawn just now
}

// WithdrawPage is the data of withdraw.html. Its form posts csrf and client_id to /grants/withdraw.
type WithdrawPage struct {
	Page
	Grant GrantView
}

// SignedOutPage is the data of signedout.html. With a Username somebody is still logged in: its form posts csrf to
// /logout.
type SignedOutPage struct{ Page }

// ErrorPage is the data of error.html. Code and Detail are those of OAuth and may be empty.
type ErrorPage struct {
	Page
	Title, Message string
	Code, Detail   string
	Status         int
}

// ClientView is an application. Its name is its own claim.
type ClientView struct {
	Name           string // empty: it gave none
	ID             string
	SelfRegistered bool   // nobody here has looked at it
	DocumentHost   string // where it describes itself; empty: it is registered
}

// Title is how to call the application.
func (c ClientView) Title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

// RedirectView is where the answer goes.
type RedirectView struct {
	Host     string // of an http or https URI, with its port
	Scheme   string // a custom one, such as cursor; then there is no host
	Loopback bool   // Host is this device
	Unproven bool   // nobody can tell whether it is really this client
}

// ScopeView is one permission. Description is empty for a scope that has none.
type ScopeView struct{ Name, Description string }

// ResourceView is one service. Name is empty for a resource that has none.
type ResourceView struct{ Identifier, Name string }

// GrantView is what one client may do in the person's name.
type GrantView struct {
	Client    ClientView
	ClientID  string // as it is, for the form and the link
	Scopes    []ScopeView
	Resources []ResourceView
	Offline   bool
	Since     time.Time
	LastUsed  time.Time // zero: not known
}

// samples are the pages with data that uses every part of them: a template that does not fit is found at start.
func samples() map[string][]any {
	page := Page{Style: "*{}", Base: "/oauth", CSRF: "csrf", Username: "alice"}
	client := ClientView{Name: "Editor", ID: "mcp_1", SelfRegistered: true, DocumentHost: "example.com"}
	scopes := []ScopeView{{"mcp:search", "Search the documentation"}, {"mcp:other", ""}}
	resources := []ResourceView{{"https://docs.example.com/mcp", "Documentation"}, {"https://example.com/mcp", ""}}
	grant := GrantView{client, "mcp_1", scopes, resources, true, time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 0)}
	return map[string][]any{
		"login": {
			&LoginPage{page, "/c", "Wrong.", true, true, "alice", "alice", false, "/oidc", "example.com"},
			&LoginPage{Page: page, HeaderOnly: true},
		},
		"consent": {
			&ConsentPage{page, client, RedirectView{Host: "127.0.0.1:1", Loopback: true, Unproven: true}, scopes, resources, true, "r", "/c"},
			&ConsentPage{Page: page, Redirect: RedirectView{Scheme: "cursor"}},
		},
		"continue":  {&ContinuePage{page, "/c"}, &ContinuePage{}},
		"grants":    {&GrantsPage{page, []GrantView{grant, {}}, "Editor"}, &GrantsPage{Page: page}},
		"withdraw":  {&WithdrawPage{page, grant}, &WithdrawPage{Page: page}},
		"signedout": {&SignedOutPage{page}, &SignedOutPage{}},
		"error":     {&ErrorPage{page, "Title", "Message.", "invalid_request", "Detail.", 400}, &ErrorPage{Page: page}},
	}
}
