package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/provider/client"
)

// clientFields are the members of a client that the console can change, with the values of c.
func (s *site) clientFields(c registration) []field {
	rules := s.API.Rules
	return []field{
		{Name: "client_name", Label: "Name", Hint: "Tells people which client this is.", Kind: text, Value: c.Name, Must: true},
		{Name: "owner", Label: "Owner", Hint: "Who answers for the client.", Kind: text, Value: c.Owner},
		{
			Name: "scope", Label: "Scope", Hint: "What its tokens may allow.", Kind: boxes,
			Options: optionsOf(rules.Scopes, strings.Fields(c.Scope)), Value: c.Scope,
		},
		{
			Name: "audience", Label: "Audience", Hint: "The services that its tokens may be for.", Kind: boxes,
			Options: optionsOf(rules.Resources, c.Audience), Value: strings.Join(c.Audience, " "),
		},
		{
			Name: "expires_at", Label: "The client ends at (UTC)", Hint: "Leave it empty for a client that does not end.", Kind: instant,
			Value: typed(c.ExpiresAt),
		},
		{
			Name: "grant_types", Label: "Grant types", Folded: true, Kind: boxes,
			Hint:    "client_credentials is for machines, authorization_code for people who log in.",
			Options: optionsOf(client.GrantTypes(), c.GrantTypes), Value: strings.Join(c.GrantTypes, " "),
		},
		{
			Name: "redirect_uris", Label: "Redirect URIs", Folded: true, Hint: "One a line; for authorization_code.", Kind: lines,
			Value: strings.Join(c.RedirectURIs, "\n"),
		},
		{
			Name: "token_endpoint_auth_method", Label: "Authenticates by", Folded: true, Kind: choice, Value: c.AuthMethod,
			Options: []option{
				{"client_secret_basic", "a secret"}, {"client_secret_post", "a secret in the form"},
				{"private_key_jwt", "a key of its own (private_key_jwt)"}, {"none", "nothing: a public client"},
			},
		},
		{
			Name: "jwks_uri", Label: "Address of its keys", Folded: true, Kind: text, Value: c.JWKSURI,
			Hint: "https; for private_key_jwt. Keys themselves are set by the API or the command line.",
		},
		{
			Name: "introspects", Label: "Introspects", Folded: true, Kind: boxes,
			Hint:    "The services that it is, and whose tokens it may therefore look up.",
			Options: optionsOf(rules.Resources, c.Introspects), Value: strings.Join(c.Introspects, " "),
		},
		{
			Name: "access_token_lifespan", Label: "Life of access tokens in seconds", Folded: true, Hint: "Leave it empty for the server's.",
			Kind: number, Value: lifespan(c.TokenLifespan),
		},
	}
}

// newClientFields are those of a client that is to be registered, with the defaults of the API.
func (s *site) newClientFields() []field {
	rules := s.API.Rules
	fresh := registration{GrantTypes: []string{"client_credentials"}, AuthMethod: "client_secret_basic"}
	if slices.Contains(rules.Scopes, "mcp:search") {
		fresh.Scope = "mcp:search"
	}
	if rules.DefaultScope != "" {
		fresh.Scope = rules.DefaultScope
	}
	if rules.DefaultResource != "" {
		fresh.Audience = []string{rules.DefaultResource}
	}
	return append(s.clientFields(fresh),
		field{Name: "client_id", Label: "Client id", Folded: true, Hint: "Leave it empty for a random one.", Kind: text},
		field{
			Name: "secret_expires_at", Label: "Its secret ends at (UTC)", Folded: true, Kind: instant,
			Hint: "Leave it empty for a secret that does not end.",
		})
}

// optionsOf are the boxes for what is known here, and for what is ticked and known no more.
func optionsOf(known, ticked []string) (options []option) {
	for _, value := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(known, ticked)))) {
		options = append(options, option{value, value})
	}
	return options
}

// typed is a time as a field has it.
func typed(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(fieldTime)
}

const fieldTime = "2006-01-02T15:04"

func lifespan(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return strconv.FormatInt(seconds, 10)
}

// fill puts what was posted into the fields.
func fill(fields []field, form url.Values) {
	for i := range fields {
		value := strings.Join(form[fields[i].Name], " ")
		if fields[i].Kind != lines {
			value = strings.TrimSpace(value)
		}
		fields[i].Value = strings.ReplaceAll(value, "\r\n", "\n")
	}
}

// json is the field's value as the API takes it; nil for an empty one that has no other form.
func (f field) json() any {
	switch {
	case f.Kind == boxes && f.Name != "scope":
		return append([]string{}, strings.Fields(f.Value)...)
	case f.Kind == lines:
		return append([]string{}, strings.FieldsFunc(f.Value, func(r rune) bool { return r == '\n' })...)
	case f.Kind == instant && f.Value != "":
		if at, err := time.Parse(fieldTime, f.Value); err == nil {
			return at.Format(time.RFC3339)
		}
	case f.Kind == number && f.Value != "":
		if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil {
			return n
		}
	case f.Value == "" && (f.Kind == instant || f.Kind == number):
		return nil
	}
	return f.Value
}
