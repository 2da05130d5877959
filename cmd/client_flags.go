package cmd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"

	"github.com/spf13/cobra"
)

// clientFlags are the flags of client create and client update that set members of a client.
type clientFlags struct {
	of                  *memberSet           // nil: a client
	texts, objects      map[string]*string   // by member
	lists               map[string]*[]string // by member
	switches            map[string]*bool     // by member
	jwksFile            string
	expiresAt           string
	expiresIn, lifespan terminal.Span
	public              bool
}

// memberSet is whose members flags set.
type memberSet struct {
	noun   string
	names  []string
	kindOf func(name string) client.Kind
	help   map[string]string // of members' flags
}

var clientMembers = &memberSet{noun: "client", names: client.MemberNames(), kindOf: client.KindOf, help: map[string]string{
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
	"assertion_issuer":           "`iss` of its assertions where its platform makes them, with --auth-method private_key_jwt",
	"assertion_subject":          "`sub` of these assertions",
	"assertion_reusable":         "one of these assertions counts until it expires",
	"metadata":                   "a JSON `object` of your own",
}}

// called is what has the members: a rule is no issuer, and ends by itself.
func (of *memberSet) called() string {
	if of == clientMembers {
		return of.noun
	}
	return "rule"
}

// memberFlag is the name of the flag for a member, and its help.
func (of *memberSet) memberFlag(member string) (name, help string) {
	return strings.TrimPrefix(apiclient.FlagOf("/"+member), "--"), cmp.Or(of.help[member], member+" of the "+of.noun)
}

func (f *clientFlags) register(c *cobra.Command) {
	flags := c.Flags()
	f.texts, f.lists, f.objects, f.switches = map[string]*string{}, map[string]*[]string{}, map[string]*string{}, map[string]*bool{}
	of := f.members()
	for i, member := range of.names {
		name, help := of.memberFlag(member)
		switch kind := of.kindOf(member); {
		case i == 0, member == "status": // the id, and what has commands of its own
		case member == "grant_types", member == "response_types":
			f.lists[member] = flags.StringSlice(name, nil, help)
		case kind == client.List, kind == client.Words:
			f.lists[member] = flags.StringArray(name, nil, help)
		case kind == client.Text:
			f.texts[member] = flags.String(name, "", help)
		case kind == client.Object:
			f.objects[member] = flags.String(name, "", help)
		case kind == client.Flag:
			f.switches[member] = flags.Bool(name, false, help)
		}
	}
	flags.StringVar(&f.jwksFile, "jwks-file", "", "`file` with the "+of.noun+"'s public keys, a JWK set")
	flags.Var(&f.lifespan, "access-token-lifespan", "life of its access tokens, such as 336h or 14d; 0s: the server's")
	flags.StringVar(&f.expiresAt, "expires-at", "", "`time` at which the "+of.called()+" stops working, such as 2027-12-31; never: it does not")
	flags.Var(&f.expiresIn, "expires-in", "the same counted from now, such as 90d")
	if of == clientMembers {
		flags.BoolVar(&f.public, "public", false, "the client cannot keep a secret (auth method none)")
		c.MarkFlagsMutuallyExclusive("public", "auth-method")
	}
	c.MarkFlagsMutuallyExclusive("jwks-file", "jwks-uri")
	c.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
}

func (f *clientFlags) members() *memberSet { return cmp.Or(f.of, clientMembers) }

// fields returns the members of the API's client that were given on the command line. An empty list or text empties
// the member; null takes it back to its default.
func (f *clientFlags) fields(c *cobra.Command, now time.Time) (map[string]any, error) {
	fields := map[string]any{}
	set := func(flag, member string, value any) {
		if c.Flags().Changed(flag) {
			fields[member] = value
		}
	}
	of := f.members()
	for member, text := range f.texts {
		name, _ := of.memberFlag(member)
		set(name, member, *text)
	}
	for member, on := range f.switches {
		name, _ := of.memberFlag(member)
		set(name, member, *on)
	}
	for member, list := range f.lists {
		name, _ := of.memberFlag(member)
		if of.kindOf(member) == client.Words {
			set(name, member, strings.Join(strings.Fields(strings.Join(*list, " ")), " "))
			continue
		}
		set(name, member, given(*list))
	}
	set("access-token-lifespan", "access_token_lifespan", f.lifespan.Seconds())
	set("expires-in", "expires_at", now.Add(time.Duration(f.expiresIn)).UTC().Truncate(time.Second))
	if c.Flags().Changed("public") {
		if !f.public {
			return nil, terminal.BadUsage("--public=false does not say how the client authenticates; use --auth-method")
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
			t, err := terminal.ParseTime(f.expiresAt)
			if err != nil {
				return terminal.BadUsage("--expires-at: %w", err)
			}
			fields["expires_at"] = t
		}
	}
	for _, member := range slices.Sorted(maps.Keys(f.objects)) {
		name, _ := f.members().memberFlag(member)
		if !c.Flags().Changed(name) {
			continue
		}
		text, object := *f.objects[member], map[string]any(nil)
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			return terminal.BadUsage(`--%s: want a JSON object such as {"team":"search"}`, name)
		}
		fields[member] = json.RawMessage(text)
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
