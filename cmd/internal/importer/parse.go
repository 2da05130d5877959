package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
)

// imported is a client of the file, in the terms of the admin API.
type imported struct {
	id         string
	patch      map[string]any // the body of a PATCH: members that the file leaves out do not change
	usesSecret bool
	secret     *client.Secret
	notes      []string // for the report
}

func (c *imported) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// fileClient holds the members of the file that are converted. The others have the same name and type in Hydra, in RFC 7591
// and here.
type fileClient struct {
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
	// converted members are read by fileClient.
	converted = []string{
		"client_id", "client_secret", "client_secret_expires_at", "scope", "audience", "introspects", "grant_types", "response_types", "jwks",
		"token_endpoint_auth_signing_alg", "client_credentials_grant_access_token_lifespan",
		"authorization_code_grant_access_token_lifespan", "refresh_token_grant_access_token_lifespan",
	}
	// copied members are all others that a client has here. They are taken over unchanged. An empty one means "not set".
	copied = slices.DeleteFunc(client.MemberNames(), func(name string) bool { return slices.Contains(converted, name) })
	// ignored members are dropped without a note.
	ignored = []string{
		"created_at", "updated_at", "last_used_at", "client_id_issued_at", "client_secret_id", "registration_access_token",
		"registration_client_uri", "secrets",
	}
	// validID allows more than the ids that the API generates: Hydra's ids are UUIDs. None of these characters changes in a
	// URL or a Basic header (RFC 3986 §2.3).
	validID = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
)

// parseClient reads one client of the file. With an error, c still has the id that the file gives it.
func (r Rules) parseClient(raw json.RawMessage) (c *imported, err error) {
	var in fileClient
	var members map[string]json.RawMessage
	err = explainType(errors.Join(json.Unmarshal(raw, &in), json.Unmarshal(raw, &members)))
	method := client.Client{TokenEndpointAuthMethod: in.AuthMethod}
	c = &imported{id: in.ID, patch: map[string]any{}, usesSecret: method.UsesSecret()}
	switch {
	case err != nil:
		return c, err
	case in.ID == "":
		return c, errors.New("client_id is missing")
	case len(in.ID) > 128 || !validID.MatchString(in.ID) || strings.Trim(in.ID, ".") == "":
		return c, errors.New("client_id must be 1 to 128 letters, digits and . _ ~ -")
	case client.IsAccountID(in.ID):
		return c, errors.New("client_id must not be like the id of an account: services would take this client for a person")
	}
	for _, name := range copied {
		if value := members[name]; len(value) > 0 && (!isUnset(name, value) || name == "owner") && string(value) != "null" {
			c.patch[name] = value
		}
	}
	if string(members["status"]) == `"expired"` { // which is shown, and follows from expires_at
		delete(c.patch, "status")
	}
	r.convert(c, &in, members)
	c.noteDropped(members)
	if err := in.convertLifespan(c); err != nil {
		return c, err
	}
	c.secret, err = in.parseSecret(c)
	return c, err
}

// explainType names the member that has the wrong type, without its value.
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

// noteDropped notes the members that are set and have no counterpart here.
func (c *imported) noteDropped(members map[string]json.RawMessage) {
	var left []string
	for name, value := range members {
		if !slices.Contains(slices.Concat(copied, converted, ignored), name) && !isUnset(name, value) {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		c.note("not carried over: %s", strings.Join(left, ", "))
	}
}

// isUnset reports whether a value means "not set". Some values that Hydra writes for every client do.
func isUnset(name string, value json.RawMessage) bool {
	text := string(bytes.TrimSpace(value))
	switch name {
	case "subject_type":
		return text == `"public"` || text == `""`
	case "userinfo_signed_response_alg":
		return text == `"none"` || text == `""`
	}
	return slices.Contains([]string{"null", `""`, "[]", "{}", "false", "0"}, text)
}

// parseSecret reads the secret hash of the file; nil: there is none to take over.
func (in *fileClient) parseSecret(c *imported) (*client.Secret, error) {
	if in.Secret == "" {
		return nil, nil
	}
	if !c.usesSecret {
		c.note("its secret is left out: auth method %s has no use for one", in.AuthMethod)
		return nil, nil
	}
	if client.CheckHash(in.Secret) != nil {
		// It may be a secret in clear: the message must not quote it.
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

// convertLifespan sets the lifespan of access tokens. Hydra has one for each grant, we have one: the shortest is safe.
func (in *fileClient) convertLifespan(c *imported) error {
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
		c.note("its access tokens live %s, whatever the grant", terminal.Seconds(seconds))
	}
	return nil
}
