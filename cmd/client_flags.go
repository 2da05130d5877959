package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/console"

	"github.com/spf13/cobra"
)

// clientFlags are the particulars of a client that create and update take, named after RFC 7591.
type clientFlags struct {
	name, owner, authMethod, metadata string
	scope, audience, introspects      []string
	grantTypes, responseTypes         []string
	redirectURIs                      []string
	jwksFile, jwksURI                 string
	expiresAt                         string
	expiresIn, lifespan               console.Span
	public                            bool
}

func (f *clientFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.name, "name", "", "name for people (client_name)")
	flags.StringVar(&f.owner, "owner", "", "who answers for the client")
	flags.StringArrayVar(&f.scope, "scope", nil, "`scopes` it may ask for, separated by spaces; repeatable")
	flags.StringArrayVar(&f.audience, "audience", nil, "resource `URI` that its tokens may be for; repeatable")
	flags.StringArrayVar(&f.introspects, "introspects", nil, "resource `URI` that it may introspect tokens for; repeatable")
	flags.StringSliceVar(&f.grantTypes, "grant-type", nil, "`grant`, such as client_credentials or authorization_code; repeatable")
	flags.StringSliceVar(&f.responseTypes, "response-type", nil, "response `type` of the authorization endpoint; repeatable")
	flags.StringArrayVar(&f.redirectURIs, "redirect-uri", nil, "`URI` that a login may return to; repeatable")
	flags.StringVar(&f.authMethod, "auth-method", "", "token_endpoint_auth_method, such as client_secret_basic or private_key_jwt")
	flags.BoolVar(&f.public, "public", false, "the client cannot keep a secret (auth method none)")
	flags.StringVar(&f.jwksFile, "jwks-file", "", "`file` with the client's public keys, a JWK set")
	flags.StringVar(&f.jwksURI, "jwks-uri", "", "`URI` of the client's public keys")
	flags.Var(&f.lifespan, "access-token-lifespan", "life of its access tokens, such as 336h or 14d; 0s: the server's")
	flags.StringVar(&f.expiresAt, "expires-at", "", "`time` at which the client stops working, such as 2027-12-31; never: it does not")
	flags.Var(&f.expiresIn, "expires-in", "the same counted from now, such as 90d")
	flags.StringVar(&f.metadata, "metadata", "", "a JSON `object` of your own")
	c.MarkFlagsMutuallyExclusive("public", "auth-method")
	c.MarkFlagsMutuallyExclusive("jwks-file", "jwks-uri")
	c.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
}

// fields returns the members of the API's client that were given on the command line. An empty list or text empties
// the member; null takes it back to its default.
func (f *clientFlags) fields(c *cobra.Command, now time.Time) (map[string]any, error) {
	fields := map[string]any{}
	set := func(flag, member string, value any) {
		if c.Flags().Changed(flag) {
			fields[member] = value
		}
	}
	set("name", "client_name", f.name)
	set("owner", "owner", f.owner)
	set("scope", "scope", strings.Join(strings.Fields(strings.Join(f.scope, " ")), " "))
	set("audience", "audience", given(f.audience))
	set("introspects", "introspects", given(f.introspects))
	set("grant-type", "grant_types", given(f.grantTypes))
	set("response-type", "response_types", given(f.responseTypes))
	set("redirect-uri", "redirect_uris", given(f.redirectURIs))
	set("auth-method", "token_endpoint_auth_method", f.authMethod)
	set("jwks-uri", "jwks_uri", f.jwksURI)
	set("access-token-lifespan", "access_token_lifespan", f.lifespan.Seconds())
	set("expires-in", "expires_at", now.Add(time.Duration(f.expiresIn)).UTC().Truncate(time.Second))
	if c.Flags().Changed("public") {
		if !f.public {
			return nil, console.BadUsage("--public=false does not say how the client authenticates; use --auth-method")
		}
		fields["token_endpoint_auth_method"] = "none"
	}
	return fields, f.parsed(c, fields)
}

// parsed adds the members whose flags hold something to read.
func (f *clientFlags) parsed(c *cobra.Command, fields map[string]any) error {
	if c.Flags().Changed("expires-at") {
		fields["expires_at"] = nil
		if f.expiresAt != "never" {
			t, err := console.ParseTime(f.expiresAt)
			if err != nil {
				return console.BadUsage("--expires-at: %w", err)
			}
			fields["expires_at"] = t
		}
	}
	if c.Flags().Changed("metadata") {
		var object map[string]any
		if err := json.Unmarshal([]byte(f.metadata), &object); err != nil || object == nil {
			return console.BadUsage(`--metadata: want a JSON object such as {"team":"search"}`)
		}
		fields["metadata"] = json.RawMessage(f.metadata)
	}
	if f.jwksFile != "" {
		content, err := os.ReadFile(f.jwksFile)
		if err != nil {
			return fmt.Errorf("read the keys: %w", err)
		}
		if !json.Valid(content) {
			return fmt.Errorf("read the keys: %s is not JSON", f.jwksFile)
		}
		fields["jwks"] = json.RawMessage(content)
	}
	return nil
}

// given drops empty entries, so that --audience "" means none.
func given(list []string) []string {
	kept := []string{}
	for _, entry := range list {
		if entry != "" {
			kept = append(kept, entry)
		}
	}
	return kept
}
