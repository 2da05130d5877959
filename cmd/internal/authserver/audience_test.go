package authserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/handlers/admin"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// A database that is started now takes assertions for the issuer alone. One that an earlier version has started takes what
// it took. The setting goes before that.
func TestTheAudienceOfAssertionsDependsOnTheFirstStart(t *testing.T) {
	onlyIssuer := map[string]int{"issuer": 200, "issuer with a slash": 401, "token URL": 401}
	all := map[string]int{"issuer": 200, "issuer with a slash": 200, "token URL": 200}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	eachDatabase(t, func(t *testing.T, address string) {
		key, data := admin.NewKey(), filepath.Join(t.TempDir(), "data")
		start := func(more ...string) *replica {
			return startReplica(t, address, append(more, "FOSITE_MCP_ADMIN_KEY="+key, "FOSITE_MCP_DATA_DIR="+data)...)
		}
		r := start()
		keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public}}})
		if err != nil {
			t.Fatal(err)
		}
		status, body := r.admin(key, http.MethodPost, "/clients", fmt.Sprintf(`{"client_name":"ci","token_endpoint_auth_method":"private_key_jwt","jwks":%s}`, keys))
		var made struct {
			ID string `json:"client_id"`
		}
		if err := json.Unmarshal(body, &made); err != nil || status != http.StatusCreated {
			t.Fatalf("register a client: %d %s", status, body)
		}
		expect := func(r *replica, want map[string]int) {
			t.Helper()
			got := map[string]int{}
			for name, audience := range map[string]string{
				"issuer": "http://127.0.0.1:9", "issuer with a slash": "http://127.0.0.1:9/", "token URL": r.PublicURL + "/authed/mcp/oauth/token",
			} {
				got[name] = r.tokenForAssertion(made.ID, private, audience)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("audiences (-want +got):\n%s", diff)
			}
			r.stop()
		}
		expect(r, onlyIssuer)
		expect(start(), onlyIssuer)
		expect(start("FOSITE_MCP_TOKENS_ASSERTION_AUDIENCE=any"), all)
		expect(start(), onlyIssuer)

		db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(address), MaxConnections: 2})
		if err != nil {
			t.Fatal(err)
		}
		// An earlier version noted the issuer alone.
		if err := db.Exec("DELETE FROM settings WHERE name = ?", assertionAudienceFact).Error; err != nil {
			t.Fatal(err)
		}
		if err := pool.Close(); err != nil {
			t.Fatal(err)
		}
		expect(start(), all)
		expect(start(), all)
		expect(start("FOSITE_MCP_TOKENS_ASSERTION_AUDIENCE=issuer"), onlyIssuer)
	})
}

// tokenForAssertion is the status of a token request with an assertion for audience.
func (r *replica) tokenForAssertion(id string, key ed25519.PrivateKey, audience string) (status int) {
	r.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	assertion, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: id, Subject: id, Audience: jwt.Audience{audience}, ID: rand.Text(), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.PostForm(r.PublicURL+"/authed/mcp/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
