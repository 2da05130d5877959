package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Discover fills in Issuer, Endpoint and Revocations from the metadata of the
// authorization server (RFC 8414), whose issuer is an origin such as
// "https://auth.example.com", maybe with a path. Revocations stays as it
// was when the server has no feed. It asks once; call it again when the
// server may not be up yet.
func (c *Config) Discover(ctx context.Context, issuer string) error {
	found, err := c.discover(ctx, issuer)
	if err == nil && found.Introspection == "" {
		err = errors.New("the metadata name no introspection_endpoint: the server has none, or set the endpoint yourself")
	}
	if err != nil {
		return fmt.Errorf("resource: cannot find the introspection endpoint: %w", err)
	}
	c.take(found)
	return nil
}

// take fills in what the server has.
func (c *Config) take(found *serverMetadata) {
	c.Issuer = found.Issuer
	c.Endpoint = cmp.Or(found.Introspection, c.Endpoint)
	c.Revocations = cmp.Or(found.Revocations, c.Revocations)
}

// serverMetadata are the members of RFC 8414 §2 that are used here, and ours.
type serverMetadata struct {
	Issuer        string `json:"issuer"`
	Introspection string `json:"introspection_endpoint"`
	Revocations   string `json:"revocations_endpoint"`
	JWKS          string `json:"jwks_uri"`
}

func (c *Config) discover(ctx context.Context, issuer string) (*serverMetadata, error) {
	if err := c.endpointProblem("issuer", issuer); err != nil {
		return nil, err
	}
	address, err := wellKnownURL("issuer", issuer, serverWellKnown)
	if err != nil {
		return nil, err
	}
	body, _, err := fetch(ctx, hardenedClient(c.HTTPClient), address)
	if err != nil {
		return nil, err
	}
	var metadata serverMetadata
	switch err := json.Unmarshal(body, &metadata); {
	case err != nil:
		return nil, fmt.Errorf("%s is not authorization server metadata: %w", address, err)
	case metadata.Issuer != issuer: // RFC 8414 §3.3: identical, or not to be used
		return nil, fmt.Errorf("%s speaks for the issuer %q: use exactly that one, or ask another server", address, metadata.Issuer)
	}
	return &metadata, nil
}

func fetch(ctx context.Context, client *http.Client, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %s instead of 200", address, resp.Status)
	}
	return body, resp.Header, nil
}
