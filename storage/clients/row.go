package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v3"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"
)

// toRow is the client as it is stored.
func toRow(c *client.Client) (*model.Client, error) {
	row := &model.Client{
		ID: c.ID, Name: c.Name, Owner: c.Owner, Status: string(c.Status), Scope: c.Scope, Audience: c.Audience, Introspects: c.Introspects,
		GrantTypes: c.GrantTypes, ResponseTypes: c.ResponseTypes, RedirectURIs: c.RedirectURIs,
		TokenEndpointAuthMethod: c.TokenEndpointAuthMethod, TokenEndpointAuthSigningAlg: c.TokenEndpointAuthSigningAlg,
		JWKSURI: c.JWKSURI, AccessTokenLifespan: model.Seconds(c.AccessTokenLifespan), Metadata: model.JSON(c.Metadata),
		Version: c.Version, CreatedAt: model.At(c.CreatedAt), UpdatedAt: model.At(c.UpdatedAt), ExpiresAt: model.At(c.ExpiresAt),
	}
	if c.JWKS != nil {
		encoded, err := json.Marshal(c.JWKS)
		if err != nil {
			return nil, fmt.Errorf("storage: encode the jwks of client %s: %w", c.ID, err)
		}
		row.JWKS = encoded
	}
	return row, nil
}

// fromRow puts a client together. It shares nothing with another one.
func fromRow(row *model.Client) (*client.Client, error) {
	c := &client.Client{
		ID: row.ID, Name: row.Name, Owner: row.Owner, Status: client.Status(row.Status), Scope: slices.Clone(row.Scope),
		Audience: slices.Clone(row.Audience), Introspects: slices.Clone(row.Introspects), GrantTypes: slices.Clone(row.GrantTypes),
		ResponseTypes: slices.Clone(row.ResponseTypes), RedirectURIs: slices.Clone(row.RedirectURIs),
		TokenEndpointAuthMethod: row.TokenEndpointAuthMethod, TokenEndpointAuthSigningAlg: row.TokenEndpointAuthSigningAlg,
		JWKSURI: row.JWKSURI, AccessTokenLifespan: time.Duration(row.AccessTokenLifespan), Metadata: json.RawMessage(bytes.Clone(row.Metadata)),
		Epoch: row.Epoch, RevokedBefore: revokedBefore(row.RevokedBefore), Version: row.Version, CreatedAt: row.CreatedAt.Time,
		UpdatedAt: row.UpdatedAt.Time, ExpiresAt: row.ExpiresAt.Time, LastUsedAt: row.LastUsedAt.Time,
	}
	if len(row.JWKS) > 0 {
		c.JWKS = new(jose.JSONWebKeySet)
		if err := json.Unmarshal(row.JWKS, c.JWKS); err != nil {
			return nil, fmt.Errorf("storage: decode the jwks of client %s: %v", c.ID, err) // %v: a corrupt row is an outage, not a malformed token
		}
	}
	return c, nil
}

func revokedBefore(ms int64) time.Time {
	if ms > 0 {
		return model.FromMillis(ms)
	}
	return time.Time{}
}
