package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"fosite-mcp/provider/client"
)

//go:embed openapi.json
var openAPIDocument []byte

// openAPI is GET /openapi.json: this API, as OpenAPI 3.1.
func (a *api) openAPI(*request) (*answer, error) {
	answer := newAnswer(http.StatusOK, nil)
	answer.header.Set("Content-Type", "application/json")
	answer.raw = a.document
	return answer, nil
}

// An edit of the document says what becomes of the member at the end of path: its new value, or one of the types below; nil: it goes.
type edit struct {
	path  string // members with | between them
	value any
}

type (
	swap     struct{ old, new string } // of words in a text
	addition map[string]any            // a member that is not there yet
)

var (
	// withTheirRecord is what a host that receives the audit events does not have.
	withTheirRecord = []edit{
		{"info|summary", "Clients, their secrets and tokens, of an OAuth 2.1 authorization server for MCP."},
		{"paths|/audit", nil}, {"paths|/audit/verify", nil}, {"components|schemas|AuditVerification", nil},
		{"paths|/clients/{client_id}/usage", nil}, {"components|schemas|ClientUsage", nil}, {"components|schemas|Use", nil},
		{"paths|/access", nil}, {"components|schemas|AccessList", nil}, {"components|schemas|Access", nil},
		{"components|schemas|AuditList", nil}, {"components|schemas|AuditEvent", nil},
		{"components|responses|NotAcceptable", nil}, {"components|headers|Link", nil},
	}
	// withoutCheckpoints is what needs a key.
	withoutCheckpoints = []edit{{"paths|/audit/checkpoint", nil}, {"components|schemas|AuditCheckpoint", nil}}
	// withTheirClients is what a store that keeps tokens alone cannot do.
	withTheirClients = []edit{
		{"paths|/issuers", nil}, {"paths|/issuers/{id}", nil}, {"paths|/issuers/{id}/disable", nil}, {"paths|/issuers/{id}/enable", nil},
		{"paths|/issuers/{id}/tokens", nil}, {"paths|/issuers/{id}/tokens/revoke", nil}, {"components|parameters|RuleID", nil},
		{"components|schemas|Issuer", nil}, {"components|schemas|NewIssuer", nil}, {"components|schemas|IssuerPatch", nil},
		{"components|schemas|IssuerList", nil}, {"components|schemas|IssuerRevocation", nil},
		{"paths|/clients|post|parameters", parameters("DryRun")},
		{"paths|/clients|post|responses|201|headers|Idempotency-Replayed", nil},
		{"paths|/clients|post|responses|422", nil},
		{"paths|/clients/{client_id}/secrets|post|parameters", nil},
		{"paths|/clients/{client_id}/secrets|post|responses|201|headers|Idempotency-Replayed", nil},
		{"paths|/clients/{client_id}/secrets|post|responses|422", nil},
		{"paths|/clients/{client_id}/secrets/{secret_id}|delete|parameters", nil},
		{"components|parameters|IdempotencyKey", nil},
		{"components|headers|IdempotencyReplayed", nil},
		{"components|responses|KeyReused", nil},
		{"components|responses|Conflict|description", "The id is or was taken, or the client cannot have another secret."},
		{"paths|/clients|get|parameters", parameters("Limit", "Cursor", "Status", "Search")},
		{"components|parameters|Status|schema|enum", []client.Status{client.Active, client.Disabled}},
		{"components|parameters|Owner", nil}, {"components|parameters|UnusedFor", nil}, {"components|parameters|ExpiresWithin", nil},
		{"components|schemas|Rotation|properties|end_previous_on_first_use", nil},
		{"components|schemas|Revocation|properties|secret_id", nil},
		{"components|schemas|AllTokens", nil},
		{"paths|/tokens/revoke|post|requestBody|content|application/json|schema", map[string]any{"$ref": "#/components/schemas/TokenValue"}},
		{"paths|/tokens/revoke|post|summary", "Revoke a leaked token by its value"},
		{"paths|/tokens/revoke|post|description", swap{" With all: every access and refresh token and code of every client and person, which needs the role admin; logins in browsers stay.", ""}},
	}
	// withoutKeys is what an API leaves out that no key of the store opens, or whose changes the host records.
	withoutKeys = []edit{
		{"paths|/keys", nil}, {"paths|/keys/{name}", nil}, {"components|parameters|KeyName", nil},
		{"components|schemas|AdminKey", nil}, {"components|schemas|MadeAdminKey", nil}, {"components|schemas|AdminKeyList", nil},
		{"components|schemas|NewAdminKey", nil},
	}
	// withoutPeople is what an API leaves out whose people are a host's, or whose changes the host records.
	withoutPeople = []edit{
		{"paths|/users", nil}, {"paths|/users/{id}", nil}, {"paths|/users/{id}/disable", nil}, {"paths|/users/{id}/enable", nil},
		{"paths|/users/{id}/revoke", nil}, {"paths|/users/{id}/consents", nil}, {"paths|/users/{id}/consents/{client_id}", nil},
		{"paths|/consents", nil}, {"paths|/consents/revoke", nil}, {"components|parameters|UserID", nil},
		{"components|schemas|User", nil}, {"components|schemas|UserList", nil}, {"components|schemas|NewUser", nil},
		{"components|schemas|UserPatch", nil}, {"components|schemas|RevokedUser", nil}, {"components|schemas|Consent", nil},
		{"components|schemas|ConsentList", nil}, {"components|schemas|ConsentsOf", nil}, {"components|schemas|RevokedConsents", nil},
	}
	forbidden = addition{"$ref": "#/components/responses/Forbidden"}
	// withTheirAuthentication is what only the host knows. Its actors may lack the role to read.
	withTheirAuthentication = []edit{
		{"info|description", swap{"needs an admin key. Its role", "is authenticated in this server's own way. The role of the caller"}},
		{"security", nil}, {"components|securitySchemes", nil},
		{"paths|/openapi.json|get|security", nil},
		{"components|headers|WWWAuthenticate|schema|pattern", nil},
		{"components|responses|Unauthorized|description", "The caller is not authenticated."},
		{"components|responses|Forbidden|description", "The role of the caller does not suffice."},
		{"paths|/clients|get|responses|403", forbidden},
		{"paths|/clients/{client_id}|get|responses|403", forbidden},
		{"paths|/clients/{client_id}/secrets|get|responses|403", forbidden},
		{"paths|/clients/{client_id}/tokens|get|responses|403", forbidden},
		{"components|responses|TooManyFailures|description", "Too many requests from this address were refused."},
	}
	// withOurIssuers is what follows from that where the store has rules about issuers.
	withOurIssuers = []edit{
		{"paths|/issuers|get|responses|403", forbidden},
		{"paths|/issuers/{id}|get|responses|403", forbidden},
		{"paths|/issuers/{id}/tokens|get|responses|403", forbidden},
	}
)

// parameters refers to parameters of the document.
func parameters(names ...string) []any {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = map[string]any{"$ref": "#/components/parameters/" + name}
	}
	return list
}

// describe makes the document of what this API can do.
func (a *api) describe() error {
	var edits []edit
	if a.Record != nil {
		edits = append(edits, withTheirRecord...)
	}
	if a.Record != nil || a.CheckpointKey == nil {
		edits = append(edits, withoutCheckpoints...)
	}
	if a.hosted != nil {
		edits = append(edits, withTheirClients...)
	}
	if !a.offersPeople() {
		edits = append(edits, withoutPeople...)
	}
	if !a.offersKeys() {
		edits = append(edits, withoutKeys...)
	}
	if a.says != ofKeys {
		edits = append(edits, withTheirAuthentication...)
		if a.hosted == nil {
			edits = append(edits, withOurIssuers...)
		}
	}
	if a.document = openAPIDocument; edits == nil {
		return nil
	}
	var document map[string]any
	if err := json.Unmarshal(openAPIDocument, &document); err != nil {
		return fmt.Errorf("admin: read openapi.json: %w", err)
	}
	for _, e := range edits {
		if !e.apply(document) {
			return fmt.Errorf("admin: openapi.json has nothing at %s", e.path)
		}
	}
	var err error
	a.document, err = encodeJSON(document)
	return err
}

func (e edit) apply(document map[string]any) bool {
	members := strings.Split(e.path, "|")
	last := len(members) - 1
	for _, name := range members[:last] {
		inner, ok := document[name].(map[string]any)
		if !ok {
			return false
		}
		document = inner
	}
	name := members[last]
	old, found := document[name]
	switch value := e.value.(type) {
	case nil:
		delete(document, name)
	case addition:
		document[name], found = value, !found
	case swap:
		text, _ := old.(string)
		document[name], found = strings.Replace(text, value.old, value.new, 1), strings.Contains(text, value.old)
	default:
		document[name] = value
	}
	return found
}
