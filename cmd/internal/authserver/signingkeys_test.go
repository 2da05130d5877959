package authserver

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/handlers"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/provider"
	"fosite-mcp/storage"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// jwks fetches the JWKS, with If-None-Match unless tag is empty.
func (r *replica) jwks(tag string) (status int, header http.Header, keys jose.JSONWebKeySet) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.PublicURL+"/authed/mcp/oauth/jwks.json", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &keys); err != nil {
			r.t.Fatalf("%s: %v", body, err)
		}
	}
	return response.StatusCode, response.Header, keys
}

// token gets an access token of a machine. Any goroutine may call it.
func (r *replica) token(client *apiClient) string {
	r.t.Helper()
	status, answer := r.post("token", client, "grant_type", "client_credentials")
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		r.t.Errorf("token: %d %v", status, answer)
	}
	return token
}

// verified are the claims of a token that keys verify. Any goroutine may call it.
func verified(t *testing.T, token string, keys jose.JSONWebKeySet) (claims map[string]any) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		err = parsed.Claims(keys, &claims)
	}
	if err != nil {
		t.Errorf("the JWKS does not verify the token %.10s…: %v", token, err)
	}
	return claims
}

const jwtFormat = "FOSITE_MCP_TOKENS_FORMAT=jwt"

func TestAJWTIsIntrospectedListedAndRevokedLikeAnyOtherToken(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		key := admin.NewKey()
		secret := "FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text()
		r := startReplica(t, database, jwtFormat, secret, "FOSITE_MCP_ADMIN_KEY="+key)
		client := r.register(key)
		token := r.token(client)

		status, header, keys := r.jwks("")
		if status != http.StatusOK || header.Get("Cache-Control") != "public, max-age=300" || header.Get("ETag") == "" || len(keys.Keys) != 2 {
			t.Errorf("the JWKS: %d %v, %d keys", status, header, len(keys.Keys))
		}
		for condition, want := range map[string]int{header.Get("ETag"): http.StatusNotModified, `"x", W/` + header.Get("ETag"): http.StatusNotModified, `"other"`: http.StatusOK} {
			if status, _, _ := r.jwks(condition); status != want {
				t.Errorf("If-None-Match %s: %d, want %d", condition, status, want)
			}
		}

		claims := verified(t, token, keys)
		status, answer := r.post("introspect", client, "token", token)
		if status != http.StatusOK || answer["active"] != true {
			t.Fatalf("introspection: %d %v", status, answer)
		}
		for _, name := range []string{"iss", "sub", "client_id", "scope", "iat", "nbf", "exp", "jti"} {
			if claims[name] != answer[name] || claims[name] == nil {
				t.Errorf("%s is %v in the token, and %v in its introspection", name, claims[name], answer[name])
			}
		}
		if claims["aud"] != sharedResource {
			t.Errorf("aud %v", claims["aud"])
		}
		_, list := r.admin(key, http.MethodGet, "/clients/"+client.id+"/tokens", "")
		if !strings.Contains(string(list), fmt.Sprintf(`"token_id":%q`, claims["jti"])) {
			t.Errorf("the list of tokens does not name %v: %s", claims["jti"], list)
		}

		byOwner, byValue, byID := token, r.token(client), r.token(client)
		if status, _ := r.post("revoke", client, "token", byOwner); status != http.StatusOK {
			t.Errorf("revocation: %d", status)
		}
		if status, body := r.admin(key, http.MethodPost, "/tokens/revoke", fmt.Sprintf(`{"token":%q}`, byValue)); status != http.StatusNoContent {
			t.Errorf("revocation by value: %d %s", status, body)
		}
		if status, body := r.admin(key, http.MethodPost, "/clients/"+client.id+"/tokens/revoke", fmt.Sprintf(`{"token_id":%q}`, verified(t, byID, keys)["jti"])); status != http.StatusNoContent {
			t.Errorf("revocation by jti: %d %s", status, body)
		}
		for name, token := range map[string]string{"its client": byOwner, "its value": byValue, "its jti": byID} {
			if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != false {
				t.Errorf("revoked by %s: %d %v", name, status, answer)
			}
		}
		forged := byValue[:len(byValue)-8] + "AAAAAAAA"
		if status, body := r.admin(key, http.MethodPost, "/tokens/revoke", fmt.Sprintf(`{"token":%q}`, forged)); status != http.StatusNotFound {
			t.Errorf("revocation of a forged one: %d %s", status, body)
		}

		// A change of the format, and back: what was issued before counts.
		signed := r.token(client)
		r.stop()
		r = startReplica(t, database, secret, "FOSITE_MCP_ADMIN_KEY="+key)
		opaque := r.token(client)
		if !strings.HasPrefix(opaque, provider.AccessTokenPrefix) {
			t.Errorf("a token of a server without JWTs is %.10s…", opaque)
		}
		for _, token := range []string{signed, opaque} {
			if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != true {
				t.Errorf("without JWTs: %d %v", status, answer)
			}
		}
		r.stop()
		r = startReplica(t, database, jwtFormat, secret, "FOSITE_MCP_ADMIN_KEY="+key)
		for _, token := range []string{signed, opaque, r.token(client)} {
			if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != true {
				t.Errorf("with JWTs again: %d %v", status, answer)
			}
		}
	})
}

// Who verifies does not hear of a revocation, so a long life is worth a warning.
func TestTheStartWarnsOfJWTsThatLiveLong(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{[]string{jwtFormat}, true},
		{[]string{jwtFormat, "FOSITE_MCP_TOKENS_ACCESS_LIFESPAN=24h"}, false},
		{nil, false},
	} {
		r := startReplica(t, "sqlite:"+t.TempDir()+"/x.db", c.environ...)
		if warned := strings.Contains(r.said(), "set tokens.access_lifespan to minutes"); warned != c.want {
			t.Errorf("%v: warned: %v, want %v", c.environ, warned, c.want)
		}
		r.stop()
	}
}

func TestWithoutJWTsTheJWKSIsEmpty(t *testing.T) {
	r := startReplica(t, "sqlite:"+t.TempDir()+"/x.db")
	if status, header, keys := r.jwks(""); status != http.StatusOK || keys.Keys == nil || len(keys.Keys) != 0 || header.Get("ETag") == "" {
		t.Errorf("%d %v %v", status, header, keys)
	}
}

// Replicas that start at once have one set of keys, and each verifies what another has signed.
func TestReplicasThatStartAtOnceHaveTheSameKeys(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		key, secret := admin.NewKey(), rand.Text()+rand.Text()
		environ := []string{jwtFormat, "FOSITE_MCP_ADMIN_KEY=" + key, "FOSITE_MCP_SYSTEM_SECRET=" + secret}
		startReplica(t, database, "FOSITE_MCP_ADMIN_KEY="+key, "FOSITE_MCP_SYSTEM_SECRET="+secret).stop() // migrates
		replicas := make([]*replica, 4)
		var starts sync.WaitGroup
		for i := range replicas {
			starts.Go(func() {
				r, err := tryReplica(t, database, environ...)
				if err != nil {
					t.Error(err)
				}
				replicas[i] = r
			})
		}
		starts.Wait()
		if t.Failed() {
			return
		}
		client := replicas[0].register(key)
		_, header, keys := replicas[0].jwks("")
		for _, r := range replicas {
			if _, other, _ := r.jwks(""); other.Get("ETag") != header.Get("ETag") {
				t.Error("two replicas have different keys")
			}
			token := r.token(client)
			verified(t, token, keys)
			for _, r := range replicas {
				if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != true {
					t.Errorf("introspection at another replica: %d %v", status, answer)
				}
			}
		}
	})
}

// Keys are rotated in the database, under traffic and without a failure: each replica and each verifier that has the JWKS of
// before takes the tokens of after.
func TestARotationFailsNobody(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		key, secret := admin.NewKey(), rand.Text()+rand.Text()
		environ := []string{jwtFormat, "FOSITE_MCP_ADMIN_KEY=" + key, "FOSITE_MCP_SYSTEM_SECRET=" + secret}
		replicas := []*replica{startReplica(t, url, environ...), startReplica(t, url, environ...)}
		client := replicas[0].register(key)
		_, _, before := replicas[0].jwks("")

		cfg := config.Default()
		cfg.Database.URL, cfg.Database.MaxConnections, cfg.SystemSecret = config.DatabaseURL(url), 2, config.Secret(secret)
		db, pool, err := database.Open(cfg.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		later := time.Now().Add(provider.KeyLead)
		keys, err := provider.NewSigningKeys(storage.New(db), provider.SigningKeyOptions{SystemSecret: []byte(secret), Now: func() time.Time { return later }})
		if err != nil {
			t.Fatal(err)
		}

		stop := make(chan struct{})
		var workers sync.WaitGroup
		for i, r := range replicas {
			workers.Go(func() {
				for {
					token := r.token(client)
					verified(t, token, before)
					if status, answer := replicas[1-i].post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != true {
						t.Errorf("introspection: %d %v", status, answer)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		old := replicas[0].token(client)
		signs, err := keys.Rotate(t.Context())
		if err != nil {
			t.Error(err)
		}
		// The replicas learn of it when a token of the new key comes, or at their next look. A third one starts with it.
		third := startReplica(t, url, environ...)
		fresh := third.token(client)
		close(stop)
		workers.Wait()
		if parsed, err := jwt.ParseSigned(fresh, []jose.SignatureAlgorithm{jose.ES256}); err != nil || parsed.Headers[0].KeyID != signs.ID {
			t.Errorf("a replica that starts after the rotation signs with another key (%v)", err)
		}
		_, _, after := third.jwks("")
		for _, token := range []string{old, fresh} {
			verified(t, token, before)
			verified(t, token, after)
			for _, r := range append(slices.Clone(replicas), third) {
				if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != true {
					t.Errorf("introspection: %d %v", status, answer)
				}
			}
		}
	})
}

// A verifier knows a key before it signs, however long it keeps the JWKS and a replica the keys.
func TestAKeyIsPublishedForLongerThanTheJWKSIsKept(t *testing.T) {
	const replicaKeeps = time.Minute
	if provider.KeyLead < handlers.KeysMaxAge+replicaKeeps {
		t.Errorf("a key is published %s before it signs, the JWKS may be kept %s", provider.KeyLead, handlers.KeysMaxAge)
	}
}

// A key that no secret opens stops the start, and stays.
func TestAServerDoesNotStartWithoutTheSecretOfItsKeys(t *testing.T) {
	url := "sqlite:" + t.TempDir() + "/x.db"
	first, second := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	key := "FOSITE_MCP_ADMIN_KEY=" + admin.NewKey()
	startReplica(t, url, jwtFormat, key, "FOSITE_MCP_SYSTEM_SECRET="+first).stop()
	r := startReplica(t, url, jwtFormat, key, "FOSITE_MCP_SYSTEM_SECRET="+second, fmt.Sprintf("FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS=[%q]", first))
	_, header, _ := r.jwks("")
	r.stop()
	r = startReplica(t, url, jwtFormat, key, "FOSITE_MCP_SYSTEM_SECRET="+second) // which the keys are sealed with by now
	if _, again, _ := r.jwks(""); again.Get("ETag") != header.Get("ETag") {
		t.Error("the keys are others")
	}
	r.stop()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(url), MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := storage.New(db)
	sealed, revision, err := store.KeySet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.ReplaceAll(string(sealed), `"private":"`, `"private":"AAAA`)
	if done, err := store.ReplaceKeySet(t.Context(), revision, []byte(broken)); err != nil || !done {
		t.Fatal(done, err)
	}
	if _, err := tryReplica(t, url, jwtFormat, key, "FOSITE_MCP_SYSTEM_SECRET="+second); err == nil || !strings.Contains(err.Error(), "system_secrets_previous") || !strings.Contains(err.Error(), "key rotate --now") {
		t.Errorf("with keys that cannot be opened: %v", err)
	}
	if kept, _, err := store.KeySet(t.Context()); err != nil || string(kept) != broken {
		t.Errorf("the keys were replaced (%v)", err)
	}
}
