package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/provider/client"

	"github.com/spf13/cobra"
)

// clientFlags are the flags of client create and client update that set members of a client.
type clientFlags struct {
	texts               map[string]*string   // by member
	lists               map[string]*[]string // by member
	metadata, jwksFile  string
	expiresAt           string
	expiresIn, lifespan console.Span
	public              bool
}

// memberHelp is the help of members' flags.
var memberHelp = map[string]string{
	"client_name":                "name for people (client_name)",
	"owner":                      "who answers for the client",
	"scope":                      "`scopes` it may ask for, separated by spaces; repeatable",
	"audience":                   "resource `URI` that its tokens may be for; repeatable",
	"introspects":                "resource `URI` that it may introspect tokens for; repeatable",
	"grant_types":                "`grant`, such as client_credentials or authorization_code; repeatable",
	"response_types":             "response `type` of the authorization endpoint; repeatable",
	"redirect_uris":              "`URI` that a login may return to; repeatable",
	"token_endpoint_auth_method": "token_endpoint_auth_method, such as client_secret_basic or private_key_jwt",
	"jwks_uri":                   "`URI` of the client's public keys",
}

// memberFlag is the name of the flag for a member of a client, and its help.
func memberFlag(member string) (name, help string) {
	return strings.TrimPrefix(apiclient.FlagOf("/"+member), "--"), cmp.Or(memberHelp[member], member+" of the client")
}

func (f *clientFlags) register(c *cobra.Command) {
	flags := c.Flags()
	f.texts, f.lists = map[string]*string{}, map[string]*[]string{}
	for _, member := range client.MemberNames() {
		name, help := memberFlag(member)
		switch kind := client.KindOf(member); {
		case member == "client_id", member == "status": // have arguments and commands of their own
		case member == "grant_types", member == "response_types":
			f.lists[member] = flags.StringSlice(name, nil, help)
		case kind == client.List, kind == client.Words:
			f.lists[member] = flags.StringArray(name, nil, help)
		case kind == client.Text:
			f.texts[member] = flags.String(name, "", help)
		}
	}
	flags.BoolVar(&f.public, "public", false, "the client cannot keep a secret (auth method none)")
	flags.StringVar(&f.jwksFile, "jwks-file", "", "`file` with the client's public keys, a JWK set")
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
	for member, text := range f.texts {
		name, _ := memberFlag(member)
		set(name, member, *text)
	}
	for member, list := range f.lists {
		name, _ := memberFlag(member)
		if client.KindOf(member) == client.Words {
			set(name, member, strings.Join(strings.Fields(strings.Join(*list, " ")), " "))
			continue
		}
		set(name, member, given(*list))
	}
	set("access-token-lifespan", "access_token_lifespan", f.lifespan.Seconds())
	set("expires-in", "expires_at", now.Add(time.Duration(f.expiresIn)).UTC().Truncate(time.Second))
	if c.Flags().Changed("public") {
		if !f.public {
			return nil, console.BadUsage("--public=false does not say how the client authenticates; use --auth-method")
		}
		fields["token_endpoint_auth_method"] = "none"
	}
	return fields, f.parse(c, fields)
}

// parse adds the members whose flags need parsing.
func (f *clientFlags) parse(c *cobra.Command, fields map[string]any) error {
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
