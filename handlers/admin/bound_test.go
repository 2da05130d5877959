package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/storage/audit"

	"github.com/go-jose/go-jose/v4"
)

// A key for single clients behaves as if there were no others.
func TestAKeyForSingleClientsKnowsNoOthers(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		mine, _ := w.client(`{"client_name":"mine"}`)
		other, otherSecret := w.client(`{"client_name":"other"}`)
		rule := w.issuer(`{"name":"theirs","preset":"github-actions","subject":"repo:org/app:*"}`)
		secretID := w.get("/clients/" + other + "/secrets").items()[0]["id"].(string)
		token := w.mustToken(other, otherSecret)
		header := w.withKey(&audit.AdminKey{Name: "team", Role: audit.RoleClients, Clients: []string{mine}})
		as := func(method, path, body string) *reply {
			return w.do(call{method: method, path: path, body: body, header: map[string]string{"Authorization": header["Authorization"], "If-Match": "*"}})
		}

		for _, list := range []string{"/clients", "/clients?limit=1", "/clients?q=m", "/issuers", "/audit", "/audit?limit=200", "/audit?client_id=" + other, "/audit?action=admin_key.created"} {
			for _, item := range as("GET", list, "").want(t, http.StatusOK).items() {
				if item["client_id"] != mine {
					t.Errorf("GET %s shows %v", list, item)
				}
			}
		}
		if items := as("GET", "/clients", "").items(); len(items) != 1 {
			t.Errorf("%d clients, want the own one", len(items))
		}
		if items := as("GET", "/audit", "").items(); len(items) != 1 {
			t.Errorf("%d events, want that of the own client", len(items))
		}
		for _, c := range []call{
			{"GET", "", "", nil}, {"PATCH", "", `{"owner":"me"}`, nil}, {"DELETE", "", "", nil}, {"POST", "/disable", "", nil}, {"POST", "/enable", "", nil},
			{"GET", "/secrets", "", nil}, {"POST", "/secrets", `{"leaked":true}`, nil}, {"DELETE", "/secrets/" + secretID, "", nil}, {"GET", "/tokens", "", nil},
			{"POST", "/tokens/revoke", `{"all":true}`, nil},
		} {
			as(c.method, "/clients/"+other+c.path, c.body).want(t, http.StatusNotFound)
			if !strings.Contains(c.path, "secrets") {
				as(c.method, "/issuers/"+rule+c.path, c.body).want(t, http.StatusNotFound)
			}
		}
		as("DELETE", "/clients/"+mine+"/secrets/"+secretID, "").want(t, http.StatusNotFound)
		as("POST", "/tokens/revoke", `{"token":"`+token+`"}`).want(t, http.StatusNotFound)
		if !w.active(token) {
			t.Error("the token of another client was revoked")
		}
		for _, c := range []call{
			{"POST", "/clients", `{"client_name":"another"}`, nil}, {"POST", "/issuers", `{"name":"another"}`, nil}, {"GET", "/keys", "", nil},
			{"GET", "/keys/team", "", nil}, {"POST", "/keys", `{"name":"more","role":"admin"}`, nil}, {"DELETE", "/keys/team", "", nil},
		} {
			as(c.method, c.path, c.body).want(t, http.StatusForbidden)
		}

		// It ends what is its own, and nothing that was ended comes back by it.
		as("POST", "/clients/"+mine+"/disable", "").want(t, http.StatusOK)
		as("POST", "/clients/"+mine+"/enable", "").want(t, http.StatusForbidden)
		as("PATCH", "/clients/"+mine, `{"status":"active"}`).want(t, http.StatusForbidden)
		w.post("/clients/"+mine+"/enable", "").want(t, http.StatusOK)
		as("POST", "/clients/"+mine+"/enable", "").want(t, http.StatusOK) // which changes nothing

		// With its own client it does what its role allows.
		as("PATCH", "/clients/"+mine, `{"owner":"team"}`).want(t, http.StatusOK)
		own := w.mustToken(mine, as("POST", "/clients/"+mine+"/secrets", "{}").want(t, http.StatusCreated).str("client_secret"))
		as("POST", "/tokens/revoke", `{"token":"`+own+`"}`).want(t, http.StatusNoContent)
		if w.active(own) {
			t.Error("its own client's token is still active")
		}
	})
}

// Whoever has got hold of such a key must not make the client one that may do more.
func TestAKeyForSingleClientsGivesThemNothing(t *testing.T) {
	w := newWorld(t)
	end := w.clock.Now().Add(24 * time.Hour).Format(time.RFC3339)
	id, _ := w.client(`{"client_name":"mine","scope":"mcp:search","expires_at":"` + end + `","metadata":{"a":1}}`)
	header := w.withKey(&audit.AdminKey{Name: "team", Role: audit.RoleClients, Clients: []string{id}})
	header["If-Match"] = "*"
	patch := func(body string) *reply {
		return w.do(call{method: "PATCH", path: "/clients/" + id, body: body, header: header})
	}
	for body, pointer := range map[string]string{
		`{"scope":"mcp:search mcp:write"}`: "/scope", `{"audience":["` + otherResource + `"]}`: "/audience", `{"audience":[]}`: "/audience",
		`{"introspects":["` + resource + `"]}`: "/introspects", `{"expires_at":null}`: "/expires_at", `{"access_token_lifespan":1209600}`: "/access_token_lifespan",
		`{"grant_types":["client_credentials","urn:ietf:params:oauth:grant-type:jwt-bearer"]}`: "/grant_types",
	} {
		if refused := patch(body); refused.StatusCode == http.StatusOK || refused.problems()[pointer] == "" {
			t.Errorf("%s is answered %d %s", body, refused.StatusCode, refused.text)
		}
	}
	if after := w.get("/clients/" + id); after.str("scope") != "mcp:search" || after.str("expires_at") == "" {
		t.Errorf("the client is now %s", after.text)
	}
	patch(`{"client_name":"still mine","metadata":{"a":2}}`).want(t, http.StatusOK)
}

// Whoever chooses whose assertions a rule trusts gets tokens in the name of anybody.
func TestAKeyForSingleRulesChangesNotWhomTheyTrust(t *testing.T) {
	w := newWorld(t)
	id := w.issuer(withKeys(`{"name":"theirs","profile":"id-jag","issuer":"https://idp.example.com","jwks":KEYS,"subject":"team-*","access_token_lifespan":600}`))
	header := w.withKey(&audit.AdminKey{Name: "team", Role: audit.RoleClients, Clients: []string{id}})
	header["If-Match"] = "*"
	before := w.get("/issuers/" + id).text
	for body, pointer := range map[string]string{
		`{"issuer":"https://evil.example.com"}`: "/issuer", `{"jwks":` + otherKeys(t) + `}`: "/jwks", `{"jwks":null,"jwks_uri":"https://evil.example.com/keys"}`: "/jwks_uri",
		`{"subject":null}`: "/subject", `{"claims":{"team":"x"}}`: "/claims", `{"audience":["https://evil.example.com"]}`: "/audience",
		`{"profile":"workload"}`: "/profile", `{"resource":["` + otherResource + `"]}`: "/resource", `{"access_token_lifespan":1200}`: "/access_token_lifespan",
		`{"access_token_lifespan":null}`: "/access_token_lifespan",
	} {
		refused := w.do(call{method: "PATCH", path: "/issuers/" + id, body: body, header: header})
		if refused.StatusCode != http.StatusForbidden || refused.problems()[pointer] == "" {
			t.Errorf("%s is answered %d %s, want a mistake at %s", body, refused.StatusCode, refused.text, pointer)
		}
	}
	if after := w.get("/issuers/" + id).text; after != before {
		t.Errorf("the rule is now %s", after)
	}
	w.do(call{method: "PATCH", path: "/issuers/" + id, body: `{"name":"still theirs","access_token_lifespan":300}`, header: header}).want(t, http.StatusOK)
}

// otherKeys are keys that nobody but the caller has.
func otherKeys(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k2", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// A host says the same of its own callers. None at all is not all.
func TestAHostsCallerMayBeForSingleClients(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"mine"}`)
	other, _ := w.client(`{"client_name":"other"}`)
	var clients []string
	w.server.Authenticate = func(*http.Request) (admin.Actor, error) {
		return admin.Actor{Name: "ada", Role: audit.RoleAdmin, Clients: clients}, nil
	}
	w.remount()
	for _, clients = range [][]string{{}, {id}} {
		if items := w.get("/clients").items(); len(items) != len(clients) {
			t.Errorf("with %v the list has %d clients", clients, len(items))
		}
		w.get("/clients/"+other).want(t, http.StatusNotFound)
		w.post("/tokens/revoke", `{"all":true}`).want(t, http.StatusForbidden)
		if status := w.get("/clients/" + id).StatusCode; (status == http.StatusOK) != slices.Contains(clients, id) {
			t.Errorf("with %v the own client is answered with %d", clients, status)
		}
	}
}
