package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Discover fills in Endpoint and Revocations from the metadata of the
// authorization server (RFC 8414), whose issuer is an origin such as
// "https://auth.example.com", maybe with a path. Revocations stays as it
// was when the server has no feed. It asks once; call it again when the
// server may not be up yet.
func (c *Config) Discover(ctx context.Context, issuer string) error {
	found, err := c.discover(ctx, issuer)
	if err != nil {
		return fmt.Errorf("resource: cannot find the introspection endpoint: %w", err)
	}
	c.Endpoint = found.Introspection
	if found.Revocations != "" {
		c.Revocations = found.Revocations
	}
	return nil
}

// serverMetadata are the members of RFC 8414 §2 that are used here, and ours.
type serverMetadata struct {
	Issuer        string `json:"issuer"`
	Introspection string `json:"introspection_endpoint"`
	Revocations   string `json:"revocations_endpoint"`
}

func (c *Config) discover(ctx context.Context, issuer string) (*serverMetadata, error) {
	if err := c.endpointProblem("issuer", issuer); err != nil {
		return nil, err
	}
	address, err := wellKnownURL("issuer", issuer, serverWellKnown)
	if err != nil {
		return nil, err
	}
	body, err := fetch(ctx, hardenedClient(c.HTTPClient), address)
	if err != nil {
		return nil, err
	}
	var metadata serverMetadata
	switch err := json.Unmarshal(body, &metadata); {
	case err != nil:
		return nil, fmt.Errorf("%s is not authorization server metadata: %w", address, err)
	case metadata.Issuer != issuer: // RFC 8414 §3.3: identical, or not to be used
		return nil, fmt.Errorf("%s speaks for the issuer %q: use exactly that one, or ask another server", address, metadata.Issuer)
	case metadata.Introspection == "":
		return nil, fmt.Errorf("%s names no introspection_endpoint: the server has none, or set the endpoint yourself", address)
	}
	return &metadata, nil
}

func fetch(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s instead of 200", address, resp.Status)
	}
	return body, nil
}
