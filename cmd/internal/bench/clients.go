package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/config"
)

// machines is how many clients get tokens.
const machines = 20

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
	resource credentials // introspects
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
	resource := map[string]any{"client_name": "resource server", "introspects": []string{s.origin + "/authed/mcp"}}
	if _, err := api.Decode(ctx, apiclient.Post(resource, "clients"), &c.resource); err != nil {
		return nil, err
	}
	for i := range c.machines {
		machine := map[string]any{"client_name": fmt.Sprint("machine ", i+1)}
		if _, err := api.Decode(ctx, apiclient.Post(machine, "clients"), &c.machines[i]); err != nil {
			return nil, err
		}
		c.issue = append(c.issue, s.request("token", &c.machines[i], url.Values{"grant_type": {"client_credentials"}, "scope": {"mcp:search"}}))
	}
	return c, nil
}

// introspections ask about tokens, as the resource server.
func (c *clients) introspections(tokens []token) (requests [][]byte) {
	for _, t := range tokens {
		requests = append(requests, c.server.request("introspect", &c.resource, url.Values{"token": {t.text}}))
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
