package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
)

// importedClient is a client of the file, in the terms of the admin API.
type importedClient struct {
	id         string
	patch      map[string]any // what PATCH would be sent; what the file does not mention stays as it is
	usesSecret bool
	secret     *client.Secret
	notes      []string // what is left behind, and why
}

func (c *importedClient) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// foreignClient is what needs a look of its own: the rest has the same name and type in Hydra, in RFC 7591 and here.
type foreignClient struct {
	ID              string   `json:"client_id"`
	Secret          string   `json:"client_secret"`            // a hash
	SecretExpiresAt int64    `json:"client_secret_expires_at"` // RFC 7591 §3.2.1: seconds, 0: never
	Scope           *string  `json:"scope"`
	Audience        []string `json:"audience"`
	Introspects     []string `json:"introspects"`
	GrantTypes      []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types"`
	AuthMethod      string   `json:"token_endpoint_auth_method"`
	JWKS            struct {
		Keys []json.RawMessage `json:"keys"`
	} `json:"jwks"`

	// Hydra has one lifespan for each grant, as Go durations.
	ClientCredentialsLifespan string `json:"client_credentials_grant_access_token_lifespan"`
	CodeLifespan              string `json:"authorization_code_grant_access_token_lifespan"`
	RefreshLifespan           string `json:"refresh_token_grant_access_token_lifespan"`
}

var (
	// sameHere are the members that are taken over as they are. Empty ones mean "not set".
	sameHere = []string{"client_name", "owner", "status", "redirect_uris", "token_endpoint_auth_method", "jwks_uri", "metadata", "expires_at", "access_token_lifespan"}
	// translated are those that foreignClient reads.
	translated = []string{
		"client_id", "client_secret", "client_secret_expires_at", "scope", "audience", "introspects", "grant_types", "response_types", "jwks",
		"token_endpoint_auth_signing_alg", "client_credentials_grant_access_token_lifespan",
		"authorization_code_grant_access_token_lifespan", "refresh_token_grant_access_token_lifespan",
	}
	// ofNoUse need no mention when they are left behind.
	ofNoUse = []string{
		"created_at", "updated_at", "last_used_at", "client_id_issued_at", "client_secret_id", "registration_access_token",
		"registration_client_uri", "secrets",
	}
	// importedID is wider than what the API gives out: Hydra's ids are UUIDs. None of these characters changes in a URL or a
	// Basic header (RFC 3986 §2.3).
	importedID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)
)

// parseClient reads one client of the file. client has an id, where the file has one, even if there is an error.
func (r importRules) parseClient(raw json.RawMessage) (client *importedClient, err error) {
	var in foreignClient
	var members map[string]json.RawMessage
	err = explainType(errors.Join(json.Unmarshal(raw, &in), json.Unmarshal(raw, &members)))
	client = &importedClient{id: in.ID, patch: map[string]any{}, usesSecret: in.AuthMethod != "none" && in.AuthMethod != "private_key_jwt"}
	switch {
	case err != nil:
		return client, err
	case in.ID == "":
		return client, errors.New("client_id is missing")
	case !importedID.MatchString(in.ID) || strings.Trim(in.ID, ".") == "":
		return client, errors.New("client_id must be 1 to 128 letters, digits and . _ ~ -")
	}
	for _, name := range sameHere {
		if value := members[name]; len(value) > 0 && (!saysNothing(name, value) || name == "owner") && string(value) != "null" {
			client.patch[name] = value
		}
	}
	r.translate(client, &in, members)
	client.leftBehind(members)
	if err := in.lifespan(client); err != nil {
		return client, err
	}
	client.secret, err = in.parsedSecret(client)
	return client, err
}

// explainType says which member has the wrong type, without its value.
func explainType(err error) error {
	var mistake *json.UnmarshalTypeError
	if !errors.As(err, &mistake) {
		return err
	}
	if mistake.Field == "" {
		return errors.New("it is not a JSON object")
	}
	kind, _, _ := strings.Cut(mistake.Value, " ")
	return fmt.Errorf("%s must not be a JSON %s", mistake.Field, kind)
}

// leftBehind notes the members that say something and have no counterpart here.
func (c *importedClient) leftBehind(members map[string]json.RawMessage) {
	var left []string
	for name, value := range members {
		if !slices.Contains(slices.Concat(sameHere, translated, ofNoUse), name) && !saysNothing(name, value) {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		c.note("not carried over: %s", strings.Join(left, ", "))
	}
}

// saysNothing tells values that mean "not set", and those that Hydra writes for every client.
func saysNothing(name string, value json.RawMessage) bool {
	text := string(bytes.TrimSpace(value))
	switch name {
	case "subject_type":
		return text == `"public"` || text == `""`
	case "userinfo_signed_response_alg":
		return text == `"none"` || text == `""`
	}
	return slices.Contains([]string{"null", `""`, "[]", "{}", "false", "0"}, text)
}

// parsedSecret is the file's secret hash, nil when there is none to take over.
func (in *foreignClient) parsedSecret(c *importedClient) (*client.Secret, error) {
	if in.Secret == "" {
		return nil, nil
	}
	if !c.usesSecret {
		c.note("its secret is left out: auth method %s has no use for one", in.AuthMethod)
		return nil, nil
	}
	if provider.CheckHash(in.Secret) != nil {
		// What was refused may be a secret in clear: the reason must not quote it.
		return nil, errors.New("client_secret is not a hash that is understood (bcrypt, $pbkdf2-sha256$, $pbkdf2-sha512$ or $argon2id$, with parameters within bounds). Leave it out, and give the client a new secret with client rotate")
	}
	const endOfTime = 253402300799 // of the year 9999
	secret := &client.Secret{Hash: []byte(in.Secret)}
	switch {
	case in.SecretExpiresAt < 0 || in.SecretExpiresAt > endOfTime:
		return nil, errors.New("client_secret_expires_at is not a time in seconds since 1970")
	case in.SecretExpiresAt > 0:
		secret.ExpiresAt = time.Unix(in.SecretExpiresAt, 0).UTC()
	}
	return secret, nil
}

// lifespan is the life of access tokens: ours is one, Hydra has one for each grant. The shortest is the safe choice.
func (in *foreignClient) lifespan(c *importedClient) error {
	grants, _ := c.patch["grant_types"].([]string)
	perGrant := map[string]string{"client_credentials": in.ClientCredentialsLifespan, "authorization_code": in.CodeLifespan, "refresh_token": in.RefreshLifespan}
	var shortest time.Duration
	alike := true
	for i, grant := range grants {
		if perGrant[grant] != perGrant[grants[0]] {
			alike = false
		}
		if perGrant[grant] == "" {
			continue
		}
		d, err := time.ParseDuration(perGrant[grant])
		if err != nil || d < time.Second || d%time.Second != 0 {
			return fmt.Errorf("the access token lifespan of %s is not a duration in whole seconds, such as 336h0m0s", grants[i])
		}
		if shortest == 0 || d < shortest {
			shortest = d
		}
	}
	if shortest == 0 {
		return nil
	}
	seconds := int64(shortest / time.Second)
	c.patch["access_token_lifespan"] = seconds
	if !alike {
		c.note("its access tokens live %s, whatever the grant", shownSeconds(seconds))
	}
	return nil
}
