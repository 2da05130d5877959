package cmd

import (
	"encoding/json"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/console"
)

// page is one page of a list of the admin API.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// clientView is what is shown of a client.
type clientView struct {
	ID                  string          `json:"client_id"`
	Secret              string          `json:"client_secret"`
	Name                string          `json:"client_name"`
	Status              string          `json:"status"`
	Owner               string          `json:"owner"`
	Scope               string          `json:"scope"`
	Audience            []string        `json:"audience"`
	Introspects         []string        `json:"introspects"`
	GrantTypes          []string        `json:"grant_types"`
	ResponseTypes       []string        `json:"response_types"`
	RedirectURIs        []string        `json:"redirect_uris"`
	AuthMethod          string          `json:"token_endpoint_auth_method"`
	JWKS                keySetView      `json:"jwks"`
	JWKSURI             string          `json:"jwks_uri"`
	AccessTokenLifespan int64           `json:"access_token_lifespan"`
	Metadata            json.RawMessage `json:"metadata"`
	CreatedAt           *time.Time      `json:"created_at"`
	UpdatedAt           *time.Time      `json:"updated_at"`
	ExpiresAt           *time.Time      `json:"expires_at"`
	LastUsedAt          *time.Time      `json:"last_used_at"`
}

// keySetView is what is shown of a client's public keys: how they are called.
type keySetView struct {
	Keys []struct {
		ID   string `json:"kid"`
		Type string `json:"kty"`
	} `json:"keys"`
}

func (v keySetView) String() string {
	names := make([]string, 0, len(v.Keys))
	for _, key := range v.Keys {
		names = append(names, strings.TrimSpace(key.ID+" ("+key.Type+")"))
	}
	return strings.Join(names, ", ")
}

// particulars are the client's members as pairs for [app.block].
func (c *clientView) particulars() []string {
	metadata := string(c.Metadata)
	if metadata == "{}" || metadata == "null" {
		metadata = ""
	}
	return []string{
		"client_id", c.ID,
		"client_secret", c.Secret,
		"client_name", c.Name,
		"status", c.Status,
		"owner", c.Owner,
		"scope", c.Scope,
		"audience", strings.Join(c.Audience, " "),
		"introspects", strings.Join(c.Introspects, " "),
		"grant_types", strings.Join(c.GrantTypes, " "),
		"response_types", strings.Join(c.ResponseTypes, ", "),
		"redirect_uris", strings.Join(c.RedirectURIs, " "),
		"token_endpoint_auth_method", c.AuthMethod,
		"jwks", c.JWKS.String(),
		"jwks_uri", c.JWKSURI,
		"access_token_lifespan", console.Seconds(c.AccessTokenLifespan),
		"metadata", metadata,
		"created_at", console.Time(c.CreatedAt),
		"updated_at", console.Time(c.UpdatedAt),
		"expires_at", console.Time(c.ExpiresAt),
		"last_used_at", console.Time(c.LastUsedAt),
	}
}

// lastUsedLags is a part of the help of commands that show times of last use.
const lastUsedLags = "The server writes times of last use\nevery few minutes: LAST USED may be up to 6 minutes behind."

// secretView is what is known about a client secret: never the secret itself.
type secretView struct {
	ID         string     `json:"id"`
	Hint       string     `json:"hint"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func (a *app) printSecrets(secrets []secretView) error {
	if len(secrets) == 0 {
		return nil
	}
	if _, err := a.Stdout.Write([]byte("\n")); err != nil {
		return err
	}
	t := a.NewTable("SECRET", "HINT", "CREATED", "EXPIRES", "LAST USED")
	for _, s := range secrets {
		t.Row(s.ID, s.Hint, console.Time(s.CreatedAt), console.Time(s.ExpiresAt), console.Time(s.LastUsedAt))
	}
	return t.Close()
}
