package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
)

// firstSecret are the members of a registration that say when the client's first secret ends, as those of a rotation do.
const firstSecret = "secret_"

// newClient makes what a registration asks for, and says when its secret ends; zero: never.
func (a *api) newClient(kind *kind, body map[string]any, now time.Time) (c *client.Client, secretEnd time.Time, err error) {
	var m strictjson.Mistakes
	if kind == ofClients {
		secretEnd = newSecretEnd(body, firstSecret, now, &m)
		body = maps.Clone(body)
		delete(body, firstSecret+"expires_at")
		delete(body, firstSecret+"expires_in")
	}
	c, err = kind.make(a.Rules, body)
	if found := (strictjson.Mistakes)(nil); errors.As(err, &found) {
		m = append(m, found...)
	} else if err != nil {
		return nil, secretEnd, err
	}
	if !secretEnd.IsZero() && !c.UsesSecret() {
		m.Add("/token_endpoint_auth_method", "conflict", "%s has no use for a secret, and so for an end of one", c.TokenEndpointAuthMethod)
	}
	return c, secretEnd, m.Err()
}

// firstDifferences is what an audit event tells of a new client.
func firstDifferences(c *client.Client, secretEnd time.Time) (json.RawMessage, error) {
	changes, err := client.Differences(nil, c)
	if err != nil || secretEnd.IsZero() {
		return changes, err
	}
	members := map[string]any{}
	var told map[string]json.RawMessage
	if err := json.Unmarshal(changes, &told); err != nil {
		return nil, err
	}
	for name, change := range told {
		members[name] = change
	}
	members[firstSecret+"expires_at"] = map[string]any{"before": nil, "after": strictjson.TimeOf(secretEnd)}
	return json.Marshal(members)
}
