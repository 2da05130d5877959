package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/config"
)

// mostMachines is how many clients get tokens.
const mostMachines = 20

// credentials are what a registration answers.
type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

func (c *credentials) basic() string {
	return base64.StdEncoding.EncodeToString([]byte(c.ID + ":" + c.Secret))
}

// clients are those of the run.
type clients struct {
	server   *server
	caller   credentials // of the resource server, which introspects
	machines []credentials
	issue    [][]byte // requests of the machines for tokens
}

// register registers a resource server and n machines, through the admin API.
func (s *server) register(ctx context.Context, n int) (*clients, error) {
	api, err := apiclient.NewAdmin(config.Config{DataDir: s.dataDir}, &apiclient.Flags{URL: s.admin})
	if err != nil {
		return nil, err
	}
	c := &clients{server: s, machines: make([]credentials, n)}
	caller := map[string]any{"client_name": "resource server", "introspects": []string{resource}}
	if _, err := api.Decode(ctx, apiclient.Post(caller, "clients"), &c.caller); err != nil {
		return nil, err
	}
	for i := range c.machines {
		machine := map[string]any{"client_name": fmt.Sprint("machine ", i+1)}
		if _, err := api.Decode(ctx, apiclient.Post(machine, "clients"), &c.machines[i]); err != nil {
			return nil, err
		}
	}
	c.address()
	return c, nil
}

// address makes the requests for tokens anew, for a server that has started on another port.
func (c *clients) address() {
	c.issue = nil
	for i := range c.machines {
		c.issue = append(c.issue, c.server.request("token", &c.machines[i], url.Values{"grant_type": {"client_credentials"}, "scope": {"mcp:search"}}))
	}
}

// introspections ask about tokens, as the resource server.
func (c *clients) introspections(tokens []token) (requests [][]byte) {
	for _, t := range tokens {
		requests = append(requests, c.server.request("introspect", &c.caller, url.Values{"token": {t.text}}))
	}
	return requests
}

// revocations revoke tokens, each as its own machine.
func (c *clients) revocations(tokens []token) (requests [][]byte) {
	for _, t := range tokens {
		machine := &c.machines[t.machine%len(c.machines)]
		requests = append(requests, c.server.request("revoke", machine, url.Values{"token": {t.text}}))
	}
	return requests
}
