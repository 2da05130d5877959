package admin

import (
	"cmp"

	"fosite-mcp/provider/client"
)

// kind is what an operation is about: clients, or rules about issuers. Both are kept and changed in one way.
type kind struct {
	noun     string // as errors name one
	path     string // of one, up to its id
	idVar    string // the variable of the path, and the id's member in JSON
	events   string // what the names of its audit events begin with
	nothing  string // what a 404 says
	registry func(*api) registry
	make     func(client.Rules, map[string]any) (*client.Client, error)
}

var ofClients = &kind{
	noun: "client", path: "/admin/v1/clients/", idVar: "client_id", events: "client.",
	nothing:  "There is no such client, secret or token.",
	registry: func(a *api) registry { return a.clients },
	make:     client.Rules.New,
}

var ofIssuers = &kind{
	noun: "issuer", path: "/admin/v1/issuers/", idVar: "id", events: "issuer.",
	nothing:  "There is no such issuer or token.",
	registry: func(a *api) registry { return a.Store.Issuers() },
	make:     client.Rules.NewIssuer,
}

// People and admin keys are kept in ways of their own.
var ofUsers = &kind{noun: "account", path: "/admin/v1/users/", idVar: "id", nothing: "There is no such account or consent."}

var ofAdminKeys = &kind{noun: "admin key", path: "/admin/v1/keys/", idVar: "name", nothing: "There is no such admin key, or it was revoked before."}

// kind is what the request is about; clients where it is about neither.
func (r *request) kind() *kind { return cmp.Or(r.of, ofClients) }

// named is the id in the path.
func (r *request) named() string { return r.vars[r.kind().idVar] }

// registry is where the API keeps what the request is about.
func (a *api) registry(r *request) registry { return r.kind().registry(a) }
