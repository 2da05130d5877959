package admin

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/provider/client"

	"github.com/go-jose/go-jose/v3"
)

// member is one member of a client that can be written: how its JSON value becomes part of the client. Only types are
// checked here; what a value may be is for the rules.
type member struct {
	name   string
	decode func(c *client.Client, v value)
}

// members is every member of a client that can be written. client_id can be written once.
var members = []member{
	{"client_id", func(c *client.Client, v value) { v.text(&c.ID) }},
	{"client_name", func(c *client.Client, v value) { v.text(&c.Name) }},
	{"owner", func(c *client.Client, v value) { v.text(&c.Owner) }},
	{"status", func(c *client.Client, v value) { v.text((*string)(&c.Status)) }},
	{"scope", func(c *client.Client, v value) { v.words(&c.Scope) }},
	{"audience", func(c *client.Client, v value) { v.list(&c.Audience) }},
	{"introspects", func(c *client.Client, v value) { v.list(&c.Introspects) }},
	{"grant_types", func(c *client.Client, v value) { v.list(&c.GrantTypes) }},
	{"response_types", func(c *client.Client, v value) { v.list(&c.ResponseTypes) }},
	{"redirect_uris", func(c *client.Client, v value) { v.list(&c.RedirectURIs) }},
	{"token_endpoint_auth_method", func(c *client.Client, v value) { v.text(&c.TokenEndpointAuthMethod) }},
	{"token_endpoint_auth_signing_alg", func(c *client.Client, v value) { v.text(&c.TokenEndpointAuthSigningAlg) }},
	{"jwks", func(c *client.Client, v value) { v.keys(&c.JWKS) }},
	{"jwks_uri", func(c *client.Client, v value) { v.text(&c.JWKSURI) }},
	{"access_token_lifespan", func(c *client.Client, v value) { v.seconds(&c.AccessTokenLifespan) }},
	{"expires_at", func(c *client.Client, v value) { v.instant(&c.ExpiresAt) }},
	{"metadata", func(c *client.Client, v value) { v.object(&c.Metadata) }},
}

// shownOnly are the members that a client is shown with and that cannot be written.
var shownOnly = []string{
	"client_secret", "client_secret_id", "client_secret_expires_at", "client_id_issued_at", "created_at", "updated_at", "last_used_at",
}

func memberNames() []string {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.name
	}
	return names
}

// value is a JSON value on its way into a field; what does not fit becomes a mistake at its pointer.
type value struct {
	json     any
	pointer  string
	mistakes *mistakes
}

func (v value) wrong(kind string) { v.mistakes.add(v.pointer, "wrong_type", "must be %s", kind) }

func (v value) text(into *string) {
	text, ok := v.json.(string)
	if !ok {
		v.wrong("a string")
		return
	}
	*into = text
}

// words reads a list that is separated by spaces, as RFC 6749 §3.3 writes scopes.
func (v value) words(into *[]string) {
	text, ok := v.json.(string)
	if !ok {
		v.wrong("a string, its words separated by spaces")
		return
	}
	*into = []string{}
	if text != "" {
		*into = strings.Split(text, " ")
	}
}

func (v value) list(into *[]string) {
	array, ok := v.json.([]any)
	if !ok {
		v.wrong("an array of strings")
		return
	}
	list := make([]string, 0, len(array))
	for i, item := range array {
		text, ok := item.(string)
		if !ok {
			v.mistakes.add(v.pointer+"/"+strconv.Itoa(i), "wrong_type", "must be a string")
		}
		list = append(list, text) // in its place even so: later entries keep their pointers
	}
	*into = list
}

func (v value) wholeNumber() (n int64, ok bool) {
	number, ok := v.json.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Int64()
	return n, err == nil
}

const maxSeconds = math.MaxInt64 / int64(time.Second)

func (v value) seconds(into *time.Duration) {
	n, ok := v.wholeNumber()
	if !ok || n < 0 || n > maxSeconds {
		v.wrong("a whole number of seconds, not negative")
		return
	}
	*into = time.Duration(n) * time.Second
}

func (v value) instant(into *time.Time) {
	text, ok := v.json.(string)
	at, valid := parseInstant(text)
	if !ok || !valid {
		v.wrong("a time such as 2026-01-31T12:00:00Z (RFC 3339)")
		return
	}
	*into = at
}

func (v value) boolean(into *bool) {
	b, ok := v.json.(bool)
	if !ok {
		v.wrong("true or false")
		return
	}
	*into = b
}

func (v value) object(into *json.RawMessage) {
	object, ok := v.json.(map[string]any)
	if !ok {
		v.wrong("a JSON object")
		return
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		v.wrong("a JSON object")
		return
	}
	*into = encoded
}

// keys reads a JWK set (RFC 7517 §5) key by key, so that each mistake has its place.
func (v value) keys(into **jose.JSONWebKeySet) {
	object, ok := v.json.(map[string]any)
	array, isArray := object["keys"].([]any)
	if !ok || !isArray {
		v.wrong(`a JWK set: {"keys":[…]}`)
		return
	}
	for name := range object {
		if name != "keys" {
			v.mistakes.add(v.pointer+"/"+escapePointer(name), "unknown_member", "a JWK set has the member keys alone")
		}
	}
	set := &jose.JSONWebKeySet{}
	for i, item := range array {
		at := v.pointer + "/keys/" + strconv.Itoa(i)
		var key jose.JSONWebKey
		encoded, err := json.Marshal(item)
		if err == nil {
			err = key.UnmarshalJSON(encoded)
		}
		if err != nil { // which may quote the key
			v.mistakes.add(at, "invalid", "is no JSON Web Key (RFC 7517) of type RSA, EC or OKP")
			key = jose.JSONWebKey{}
		}
		set.Keys = append(set.Keys, key) // in its place even so
	}
	*into = set
}
