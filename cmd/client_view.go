package cmd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
)

// clientView is a client as the admin API shows it: the members that commands look at, and all of them by name.
type clientView struct {
	ID          string     `json:"client_id"`
	Secret      string     `json:"client_secret"`
	SecretEnd   int64      `json:"client_secret_expires_at"`
	Name        string     `json:"client_name"`
	Status      string     `json:"status"`
	Owner       string     `json:"owner"`
	Scope       string     `json:"scope"`
	Introspects []string   `json:"introspects"`
	GrantTypes  []string   `json:"grant_types"`
	CreatedAt   *time.Time `json:"created_at"`
	LastUsedAt  *time.Time `json:"last_used_at"`

	members map[string]json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *clientView) UnmarshalJSON(body []byte) error {
	type fields clientView
	if err := json.Unmarshal(body, (*fields)(c)); err != nil {
		return err
	}
	return json.Unmarshal(body, &c.members)
}

// particulars are the client's members as pairs for [terminal.Terminal.Fields]: what it is called, all others, and its times.
func (c *clientView) particulars() ([]string, error) {
	first := []string{"client_name", "status"}
	last := []string{"created_at", "updated_at", "expires_at", "last_used_at"}
	others := slices.DeleteFunc(client.MemberNames(), func(name string) bool {
		return name == "client_id" || slices.Contains(first, name) || slices.Contains(last, name)
	})
	secret := []string{"client_id", c.ID, "client_secret", c.Secret}
	if c.SecretEnd > 0 {
		end := time.Unix(c.SecretEnd, 0)
		secret = append(secret, "client_secret_expires_at", terminal.Time(&end))
	}
	return memberPairs(secret, slices.Concat(first, others, last), c.members)
}

// memberPairs adds members by name, each in one line, to pairs.
func memberPairs(pairs, names []string, members map[string]json.RawMessage) ([]string, error) {
	for _, name := range names {
		text, err := memberText(name, members[name])
		if err != nil {
			return nil, fmt.Errorf("the server shows %s in a way that this version does not understand: %w", name, err)
		}
		pairs = append(pairs, name, text)
	}
	return pairs, nil
}

// memberText is a member of a client in one line; empty: it is not set.
func memberText(name string, raw json.RawMessage) (string, error) {
	var value any
	if len(raw) == 0 {
		return "", nil
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", err
	}
	switch v := value.(type) {
	case string:
		if strings.HasSuffix(name, "_at") {
			at, err := time.Parse(time.RFC3339, v)
			return terminal.Time(&at), err
		}
		return v, nil
	case float64:
		if strings.HasSuffix(name, "_lifespan") {
			return terminal.Seconds(int64(v)), nil
		}
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = fmt.Sprint(item)
		}
		return strings.Join(items, " "), nil
	case map[string]any:
		if name == "jwks" {
			return keyNames(raw)
		}
		if len(v) == 0 {
			return "", nil
		}
	case nil:
		return "", nil
	}
	return string(raw), nil
}

// keyNames is what is shown of a client's public keys: how they are called.
func keyNames(jwks json.RawMessage) (string, error) {
	var set struct {
		Keys []struct {
			ID   string `json:"kid"`
			Type string `json:"kty"`
		} `json:"keys"`
	}
	err := json.Unmarshal(jwks, &set)
	names := make([]string, 0, len(set.Keys))
	for _, key := range set.Keys {
		names = append(names, strings.TrimSpace(key.ID+" ("+key.Type+")"))
	}
	return strings.Join(names, ", "), err
}

// printClient prints what is known of a client.
func printClient(out *terminal.Terminal, c *clientView) error {
	pairs, err := c.particulars()
	if err != nil {
		return err
	}
	return out.Fields(pairs...)
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

func printSecrets(out *terminal.Terminal, secrets []secretView) error {
	if len(secrets) == 0 {
		return nil
	}
	if _, err := out.Stdout.Write([]byte("\n")); err != nil {
		return err
	}
	t := out.NewTable("SECRET", "HINT", "CREATED", "EXPIRES", "LAST USED")
	for _, s := range secrets {
		t.Row(s.ID, s.Hint, terminal.Time(s.CreatedAt), terminal.Time(s.ExpiresAt), terminal.Time(s.LastUsedAt))
	}
	return t.Close()
}
