package admin

import (
	"net/http"

	"fosite-mcp/storage/audit"
)

// operation is one method of one path. Who may do it is said here and nowhere else: what says nothing, nobody may do.
type operation struct {
	of     *kind      // nil: clients
	open   bool       // no key needed
	role   audit.Role // that the key needs
	reach  reach      // what is left of it to a key for single clients
	query  []string   // parameters that may be given
	body   bodyKind
	once   bool // an Idempotency-Key is honoured
	handle func(*api, *request) (*answer, error)
}

// reach says what a key for single clients may do with an operation.
type reach int

const (
	reachAll   reach = iota // nothing: the operation is about more than single clients
	reachNamed              // do it with the client that the path names, if it is one of them; all others are not found
	reachOwn                // do it: handle looks at request.caller.Clients and leaves out all others
)

// dryRun is the parameter of operations that can tell what they would do.
const dryRun = "dry_run"

// routes is the whole API.
var routes = map[string]map[string]operation{
	"/clients": {
		http.MethodGet: {
			role: audit.RoleRead, reach: reachOwn,
			query:  []string{"limit", "cursor", "status", "q", "owner", "unused_for", "expires_within"},
			handle: (*api).listClients,
		},
		http.MethodPost: {role: audit.RoleClients, query: []string{dryRun}, body: bodyRequired, once: true, handle: (*api).createClient},
	},
	"/clients/{client_id}": {
		http.MethodGet:    {role: audit.RoleRead, reach: reachNamed, handle: (*api).getClient},
		http.MethodPatch:  {role: audit.RoleClients, reach: reachNamed, query: []string{dryRun}, body: bodyPatch, handle: (*api).patchClient},
		http.MethodDelete: {role: audit.RoleClients, reach: reachNamed, handle: (*api).deleteClient},
	},
	"/clients/{client_id}/disable": {http.MethodPost: {role: audit.RoleClients, reach: reachNamed, handle: (*api).disableClient}},
	"/clients/{client_id}/enable":  {http.MethodPost: {role: audit.RoleClients, reach: reachNamed, handle: (*api).enableClient}},
	"/clients/{client_id}/secrets": {
		http.MethodGet:  {role: audit.RoleRead, reach: reachNamed, handle: (*api).listSecrets},
		http.MethodPost: {role: audit.RoleClients, reach: reachNamed, body: bodyOptional, once: true, handle: (*api).createSecret},
	},
	"/clients/{client_id}/secrets/{secret_id}": {
		http.MethodDelete: {role: audit.RoleClients, reach: reachNamed, query: []string{"revoke_tokens"}, handle: (*api).deleteSecret},
	},
	"/clients/{client_id}/tokens": {
		http.MethodGet: {role: audit.RoleRead, reach: reachNamed, query: []string{"active", "limit", "cursor"}, handle: (*api).listTokens},
	},
	"/clients/{client_id}/tokens/revoke": {http.MethodPost: {role: audit.RoleClients, reach: reachNamed, body: bodyRequired, handle: (*api).revokeTokens}},
	"/clients/{client_id}/usage": {
		http.MethodGet: {role: audit.RoleRead, reach: reachNamed, query: []string{"since", "until", "secret_id", "limit"}, handle: (*api).clientUsage},
	},
	"/issuers": {
		http.MethodGet:  {of: ofIssuers, role: audit.RoleRead, reach: reachOwn, query: []string{"limit", "cursor", "status", "q"}, handle: (*api).listClients},
		http.MethodPost: {of: ofIssuers, role: audit.RoleClients, body: bodyRequired, once: true, handle: (*api).createClient},
	},
	"/issuers/{id}": {
		http.MethodGet:    {of: ofIssuers, role: audit.RoleRead, reach: reachNamed, handle: (*api).getClient},
		http.MethodPatch:  {of: ofIssuers, role: audit.RoleClients, reach: reachNamed, body: bodyPatch, handle: (*api).patchClient},
		http.MethodDelete: {of: ofIssuers, role: audit.RoleClients, reach: reachNamed, handle: (*api).deleteClient},
	},
	"/issuers/{id}/disable": {http.MethodPost: {of: ofIssuers, role: audit.RoleClients, reach: reachNamed, handle: (*api).disableClient}},
	"/issuers/{id}/enable":  {http.MethodPost: {of: ofIssuers, role: audit.RoleClients, reach: reachNamed, handle: (*api).enableClient}},
	"/issuers/{id}/tokens": {
		http.MethodGet: {of: ofIssuers, role: audit.RoleRead, reach: reachNamed, query: []string{"active", "subject", "limit", "cursor"}, handle: (*api).listTokens},
	},
	"/issuers/{id}/tokens/revoke": {http.MethodPost: {of: ofIssuers, role: audit.RoleClients, reach: reachNamed, body: bodyRequired, handle: (*api).revokeTokens}},
	"/tokens/revoke":              {http.MethodPost: {role: audit.RoleClients, reach: reachOwn, body: bodyRequired, handle: (*api).revokeAnyTokens}},
	"/users": {
		http.MethodGet:  {of: ofUsers, role: audit.RoleRead, query: []string{"limit", "cursor", "status", "q", "username"}, handle: (*api).listUsers},
		http.MethodPost: {of: ofUsers, role: audit.RolePeople, body: bodyRequired, handle: (*api).createUser},
	},
	"/users/{id}": {
		http.MethodGet:    {of: ofUsers, role: audit.RoleRead, handle: (*api).getUser},
		http.MethodPatch:  {of: ofUsers, role: audit.RolePeople, body: bodyPatch, handle: (*api).patchUser},
		http.MethodDelete: {of: ofUsers, role: audit.RolePeople, handle: (*api).deleteUser},
	},
	"/users/{id}/disable":  {http.MethodPost: {of: ofUsers, role: audit.RolePeople, handle: (*api).disableUser}},
	"/users/{id}/enable":   {http.MethodPost: {of: ofUsers, role: audit.RolePeople, handle: (*api).enableUser}},
	"/users/{id}/revoke":   {http.MethodPost: {of: ofUsers, role: audit.RolePeople, handle: (*api).revokeUser}},
	"/users/{id}/consents": {http.MethodGet: {of: ofUsers, role: audit.RoleRead, query: []string{"limit", "cursor"}, handle: (*api).listConsents}},
	"/users/{id}/consents/{client_id}": {
		http.MethodDelete: {of: ofUsers, role: audit.RolePeople, handle: (*api).deleteConsent},
	},
	"/consents": {
		http.MethodGet: {of: ofUsers, role: audit.RoleRead, query: []string{"subject", "username", "client_id", "limit", "cursor"}, handle: (*api).listConsents},
	},
	"/consents/revoke": {http.MethodPost: {of: ofUsers, role: audit.RolePeople, body: bodyRequired, handle: (*api).revokeConsents}},
	"/keys": {
		http.MethodGet:  {of: ofAdminKeys, role: audit.RoleRead, query: []string{"limit", "cursor"}, handle: (*api).listKeys},
		http.MethodPost: {of: ofAdminKeys, role: audit.RoleAdmin, body: bodyRequired, once: true, handle: (*api).createKey},
	},
	"/keys/{name}": {
		http.MethodGet:    {of: ofAdminKeys, role: audit.RoleRead, handle: (*api).getKey},
		http.MethodDelete: {of: ofAdminKeys, role: audit.RoleAdmin, handle: (*api).revokeKey},
	},
	"/access": {
		http.MethodGet: {role: audit.RoleRead, reach: reachOwn, query: []string{"since", "until", "client_id", "limit", "cursor"}, handle: (*api).listAccess},
	},
	"/audit": {
		http.MethodGet: {
			role: audit.RoleRead, reach: reachOwn,
			query:  []string{"since", "until", "client_id", "action", "actor", "after", "order", "limit", "cursor"},
			handle: (*api).listAudit,
		},
	},
	"/audit/verify":     {http.MethodGet: {role: audit.RoleRead, query: []string{"checkpoint", "cursor"}, handle: (*api).verifyAudit}},
	"/audit/checkpoint": {http.MethodGet: {role: audit.RoleRead, handle: (*api).auditCheckpoint}},
	"/openapi.json":     {http.MethodGet: {open: true, handle: (*api).openAPI}},
}
