package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"

	"fosite-mcp/provider/client/strictjson"
)

// Kind is how the value of a member is written in JSON.
type Kind string

const (
	Text    Kind = "text"
	Words   Kind = "words" // a text: a list that is separated by spaces
	List    Kind = "list"  // an array of texts
	Seconds Kind = "seconds"
	Time    Kind = "time" // RFC 3339
	Object  Kind = "object"
	Keys    Kind = "keys" // a JWK set (RFC 7517 §5)
	Flag    Kind = "flag" // true or false
)

// member is a member of a client's JSON form: how it is read into the client, and how it is shown. Reading checks types
// alone; [Rules] say what a value may be.
type member struct {
	name string
	kind Kind
	read func(c *Client, v strictjson.Value)
	show func(c *Client) any // nil for null
}

// MemberNames are the names of the members of a client's JSON form that can be written.
func MemberNames() []string { return namesOf(clientMembers) }

// KindOf is the kind of a member that can be written.
func KindOf(name string) Kind { return kindOf(clientMembers, name) }

func namesOf(members []member) []string {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.name
	}
	return names
}

func kindOf(members []member, name string) Kind {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	return members[i].kind
}

func text(name string, field func(*Client) *string) member {
	return member{name, Text, func(c *Client, v strictjson.Value) { v.Text(field(c)) }, func(c *Client) any { return *field(c) }}
}

// optional is a text that is null when it is empty.
func optional(name string, field func(*Client) *string) member {
	m := text(name, field)
	m.show = func(c *Client) any { return orNull(*field(c) != "", *field(c)) }
	return m
}

// words is a list that is written as one text, its items separated by spaces.
func words(name string, field func(*Client) *[]string) member {
	return member{name, Words, func(c *Client, v strictjson.Value) { v.Words(field(c)) }, func(c *Client) any { return strings.Join(*field(c), " ") }}
}

func list(name string, field func(*Client) *[]string) member {
	return member{name, List, func(c *Client, v strictjson.Value) { v.List(field(c)) }, func(c *Client) any {
		return append([]string{}, *field(c)...)
	}}
}

func seconds(name string, field func(*Client) *time.Duration) member {
	return member{name, Seconds, func(c *Client, v strictjson.Value) { v.Seconds(field(c)) }, func(c *Client) any {
		return orNull(*field(c) > 0, int64(*field(c)/time.Second))
	}}
}

func instant(name string, field func(*Client) *time.Time) member {
	return member{name, Time, func(c *Client, v strictjson.Value) { v.Time(field(c)) }, func(c *Client) any { return strictjson.TimeOf(*field(c)) }}
}

func object(name string, field func(*Client) *json.RawMessage) member {
	return member{name, Object, func(c *Client, v strictjson.Value) { v.Object(field(c)) }, func(c *Client) any {
		if len(*field(c)) == 0 {
			return json.RawMessage("{}")
		}
		return *field(c)
	}}
}

func keys(name string, field func(*Client) **jose.JSONWebKeySet) member {
	return member{name, Keys, func(c *Client, v strictjson.Value) { readKeys(v, field(c)) }, func(c *Client) any { return *field(c) }}
}

func flag(name string, field func(*Client) *bool) member {
	return member{name, Flag, func(c *Client, v strictjson.Value) { v.Bool(field(c)) }, func(c *Client) any { return *field(c) }}
}

func orNull(set bool, value any) any {
	if set {
		return value
	}
	return nil
}

// readKeys reads a JWK set (RFC 7517 §5) key by key, so that each mistake has its place.
func readKeys(v strictjson.Value, into **jose.JSONWebKeySet) {
	object, ok := v.JSON.(map[string]any)
	array, isArray := object["keys"].([]any)
	if !ok || !isArray {
		v.Wrong(`a JWK set: {"keys":[…]}`)
		return
	}
	for name := range object {
		if name != "keys" {
			v.Mistakes.Add(v.Pointer+"/"+strictjson.Escape(name), "unknown_member", "a JWK set has the member keys alone")
		}
	}
	set := &jose.JSONWebKeySet{}
	for i, item := range array {
		at := v.Pointer + "/keys/" + strconv.Itoa(i)
		var key jose.JSONWebKey
		encoded, err := json.Marshal(item)
		if err == nil {
			err = key.UnmarshalJSON(encoded)
		}
		if err != nil { // which may quote the key
			v.Mistakes.Add(at, "invalid", "is no JSON Web Key (RFC 7517) of type RSA, EC or OKP")
			key = jose.JSONWebKey{}
		}
		set.Keys = append(set.Keys, key) // in its place even so
	}
	*into = set
}

// MarshalJSON implements [json.Marshaler]: every member, null where it is not set, and the client's times. Secrets are left out.
// Its status is the stored one, see [Client.ShownAt].
func (c *Client) MarshalJSON() ([]byte, error) { return encode(c.shown()) }

// ShownAt is the client for JSON at a time: with [Client.StatusAt].
func (c *Client) ShownAt(now time.Time) json.Marshaler {
	shown := *c
	shown.Status = c.StatusAt(now)
	return &shown
}

// Registered is the answer to the registration of a client (RFC 7591 §3.2.1).
type Registered struct {
	Client *Client
	Secret string // empty: the client has none, or it is not shown again
}

// MarshalJSON implements [json.Marshaler].
func (r Registered) MarshalJSON() ([]byte, error) {
	var first []shownMember
	if r.Secret != "" {
		first = append(first, shownMember{"client_secret", r.Secret})
	}
	if len(r.Client.Secrets) > 0 {
		end := int64(0) // never
		if at := r.Client.Secrets[0].ExpiresAt; !at.IsZero() {
			end = at.Unix()
		}
		first = append(first, shownMember{"client_secret_id", r.Client.Secrets[0].ID}, shownMember{"client_secret_expires_at", end})
	}
	first = append(first, shownMember{"client_id_issued_at", r.Client.CreatedAt.Unix()})
	return encode(append(first, r.Client.shown()...))
}

type shownMember struct {
	name  string
	value any
}

func (c *Client) shown() []shownMember {
	members := c.members()
	all := make([]shownMember, 0, len(members)+4)
	for _, member := range members {
		all = append(all, shownMember{member.name, member.show(c)})
	}
	all = append(all,
		shownMember{"created_at", strictjson.TimeOf(c.CreatedAt)},
		shownMember{"updated_at", strictjson.TimeOf(c.UpdatedAt)},
		shownMember{"last_used_at", strictjson.TimeOf(c.LastUsedAt)},
	)
	if c.RegisteredBy != "" {
		all = append(all, shownMember{"registered_by", c.RegisteredBy})
	}
	return all
}

// encode writes members in their order.
func encode(all []shownMember) ([]byte, error) {
	var b bytes.Buffer
	separator := "{"
	for _, member := range all {
		value, err := json.Marshal(member.value)
		if err != nil {
			return nil, fmt.Errorf("encode %s of a client: %w", member.name, err)
		}
		fmt.Fprintf(&b, "%s%q:%s", separator, member.name, value)
		separator = ","
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// document is the client as the members that can be written and are set; nil for no client.
func (c *Client) document() (map[string]any, error) {
	writable := map[string]any{}
	if c == nil {
		return writable, nil
	}
	encoded, err := c.MarshalJSON()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	for _, member := range c.members() {
		if value := all[member.name]; value != nil {
			writable[member.name] = value
		}
	}
	return writable, nil
}

// Differences are the members in which two clients differ, as audit events tell them: {"owner":{"before":…,"after":…}}. It
// is nil if there are none. A nil client has no members.
func Differences(before, after *Client) (json.RawMessage, error) {
	old, err := before.document()
	if err != nil {
		return nil, err
	}
	now, err := after.document()
	if err != nil {
		return nil, err
	}
	type change struct {
		Before any `json:"before"`
		After  any `json:"after"`
	}
	changes, members := map[string]change{}, after.members()
	if after == nil {
		members = before.members()
	}
	for _, member := range members {
		before, err := json.Marshal(old[member.name])
		if err != nil {
			return nil, err
		}
		after, err := json.Marshal(now[member.name])
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(before, after) {
			changes[member.name] = change{json.RawMessage(before), json.RawMessage(after)}
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return json.Marshal(changes)
}
