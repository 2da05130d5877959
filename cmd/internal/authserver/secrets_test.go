package authserver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"fosite-mcp/handlers/admin"
)

// post calls an OAuth endpoint as a client.
func (r *replica) post(path string, client *apiClient, parameters ...string) (status int, answer map[string]any) {
	form := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.PublicURL+"/authed/mcp/oauth/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.id, client.secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Error(err)
	}
	_ = json.Unmarshal(body, &answer) // a revocation answers nothing
	return response.StatusCode, answer
}

type apiClient struct{ id, secret string }

// register makes a client that also is the resource server of the shared resource.
func (r *replica) register(key string) *apiClient {
	r.t.Helper()
	status, body := r.admin(key, http.MethodPost, "/clients", fmt.Sprintf(`{"client_name":"ci","introspects":[%q]}`, sharedResource))
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &made); err != nil || status != http.StatusCreated {
		r.t.Fatalf("register a client: %d %s", status, body)
	}
	return &apiClient{made.ID, made.Secret}
}

// mint gets an access token and a refresh token.
func (r *replica) mint(client *apiClient, parameters ...string) (access, refresh string) {
	if len(parameters) == 0 {
		parameters = []string{"grant_type", "client_credentials"}
	}
	status, answer := r.post("token", client, parameters...)
	access, _ = answer["access_token"].(string)
	refresh, _ = answer["refresh_token"].(string)
	if status != http.StatusOK || access == "" || refresh == "" {
		r.t.Errorf("%v: %d %v", parameters[1], status, answer)
	}
	return access, refresh
}

// fleet is two replicas that are never down together: a request waits while its replica is restarted.
type fleet struct {
	t        *testing.T
	url      string
	replicas [2]*replica
	locks    [2]sync.RWMutex
	client   *apiClient
}

func (f *fleet) with(i int, do func(r *replica)) {
	f.locks[i].RLock()
	defer f.locks[i].RUnlock()
	do(f.replicas[i])
}

func (f *fleet) restart(i int, environ ...string) {
	f.t.Helper()
	f.locks[i].Lock()
	defer f.locks[i].Unlock()
	if f.replicas[i] != nil {
		f.replicas[i].stop()
	}
	r, err := tryReplica(f.t, f.url, append(environ, "FOSITE_MCP_TOKENS_CLIENT_CREDENTIALS_REFRESH=true")...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.replicas[i] = r
}

// use does at one replica what the other must know of. tokens are checked again and again.
func (f *fleet) use(here int, tokens *[]string) error {
	var problem error
	active := func(i int, token, what string, want bool) {
		f.with(i, func(r *replica) {
			if status, answer := r.post("introspect", f.client, "token", token); status != http.StatusOK || answer["active"] != want {
				problem = errors.Join(problem, fmt.Errorf("introspection of %s: %d %v", what, status, answer))
			}
		})
	}
	there := 1 - here
	var access, refresh string
	f.with(here, func(r *replica) { access, refresh = r.mint(f.client) })
	active(there, access, "a new token", true)
	f.with(there, func(r *replica) {
		access, refresh = r.mint(f.client, "grant_type", "refresh_token", "refresh_token", refresh)
	})
	active(here, access, "a refreshed token", true)
	for _, token := range *tokens {
		active(here, token, "an older token", true)
		active(there, token, "an older token", true)
	}
	if len(*tokens) < 3 {
		*tokens = append(*tokens, access)
		return problem
	}
	f.with(here, func(r *replica) {
		if status, answer := r.post("revoke", f.client, "token", access); status != http.StatusOK {
			problem = errors.Join(problem, fmt.Errorf("revocation: %d %v", status, answer))
		}
	})
	active(there, access, "a revoked token", false)
	return problem
}

// Replaced as docs/operations.md says, replica by replica and under traffic, a system secret costs nobody a token and no
// request an answer.
func TestASystemSecretIsReplacedUnderTraffic(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		before, after := rand.Text()+rand.Text(), rand.Text()+rand.Text()
		key := admin.NewKey()
		environ := func(secret string, previous ...string) []string {
			list, _ := json.Marshal(append([]string{}, previous...)) // strings always encode
			format := "FOSITE_MCP_TOKENS_FORMAT=opaque"
			if strings.HasPrefix(database, "sqlite:") { // one format on each engine
				format = jwtFormat
			}
			return []string{"FOSITE_MCP_ADMIN_KEY=" + key, "FOSITE_MCP_SYSTEM_SECRET=" + secret, "FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS=" + string(list), format}
		}
		f := &fleet{t: t, url: database}
		f.restart(0, environ(before)...)
		f.restart(1, environ(before)...)
		f.client = f.replicas[0].register(key)

		// The tokens of the workers live through all phases but the last, which is for when they have expired.
		tokens := make([][]string, 2)
		traffic := func(during func(used chan struct{})) {
			used, stop := make(chan struct{}), make(chan struct{})
			var workers sync.WaitGroup
			for here := range f.replicas {
				workers.Go(func() {
					for {
						if err := f.use(here, &tokens[here]); err != nil {
							t.Error(err)
						}
						select {
						case used <- struct{}{}:
						case <-stop:
							return
						}
					}
				})
			}
			during(used)
			close(stop)
			workers.Wait()
		}
		const between = 6 // rounds of use after each restart
		phase := func(environ ...string) func(chan struct{}) {
			return func(used chan struct{}) {
				for _, i := range []int{0, 1} {
					f.restart(i, environ...)
					for range between {
						<-used
					}
				}
			}
		}
		traffic(func(used chan struct{}) {
			phase(environ(before, after)...)(used) // accept everywhere
			f.restart(0, environ(after, before)...)
			f.restart(1, environ(before, after)...) // a crash in the middle: each phase's replica starts at any time
			phase(environ(after, before)...)(used)  // then sign
		})
		tokens = make([][]string, 2)
		traffic(phase(environ(after)...)) // and forget
	})
}

// Whoever replaces it in one step, replica by replica, gets answers that say so: the tokens of the replica that was
// first cannot be checked by the other, and are not inactive for that.
func TestASystemSecretThatOneReplicaLacksIsSaid(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		before, after := rand.Text()+rand.Text(), rand.Text()+rand.Text()
		key := admin.NewKey()
		environ := []string{"FOSITE_MCP_ADMIN_KEY=" + key, "FOSITE_MCP_SYSTEM_SECRET=" + after, fmt.Sprintf("FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS=[%q]", before)}
		f := &fleet{t: t, url: database}
		f.restart(0, "FOSITE_MCP_ADMIN_KEY="+key, "FOSITE_MCP_SYSTEM_SECRET="+before)
		f.client = f.replicas[0].register(key)
		f.restart(1, environ...)
		old, first := f.replicas[0], f.replicas[1]
		access, refresh := first.mint(f.client)
		for path, parameters := range map[string][]string{
			"introspect": {"token", access},
			"token":      {"grant_type", "refresh_token", "refresh_token", refresh},
			"revoke":     {"token", refresh},
		} {
			if status, answer := old.post(path, f.client, parameters...); status != http.StatusServiceUnavailable || answer["error"] != "temporarily_unavailable" {
				t.Errorf("%s: %d %v", path, status, answer)
			}
		}
		status, body := old.admin(key, http.MethodPost, "/tokens/revoke", fmt.Sprintf(`{"token":%q}`, access))
		if status != http.StatusServiceUnavailable || !strings.Contains(string(body), "nothing was revoked") {
			t.Errorf("revocation by an admin: %d %s", status, body)
		}
		if said := old.said(); strings.Count(said, "made with a system secret that this replica does not have") != 4 {
			t.Errorf("the log: %s", said)
		}
		_, metrics := old.metrics()
		for _, want := range []string{
			`fosite_mcp_missing_secret_tokens_total{kind="access_token"} 2`, `fosite_mcp_missing_secret_tokens_total{kind="refresh_token"} 2`,
			`fosite_mcp_missing_secret_tokens_total{kind="authorize_code"} 0`,
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
		f.restart(0, environ...)
		if status, answer := f.replicas[0].post("introspect", f.client, "token", access); status != http.StatusOK || answer["active"] != true {
			t.Errorf("with the secret: %d %v", status, answer)
		}
		// A replica that knows neither the secret in use nor the one before does not start.
		if _, err := tryReplica(t, database, "FOSITE_MCP_SYSTEM_SECRET="+rand.Text()+rand.Text()); err == nil || !strings.Contains(err.Error(), "system_secrets_previous") {
			t.Errorf("with another secret: %v", err)
		}
	})
}

func (r *replica) metrics() (status int, text string) {
	r.t.Helper()
	response, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
