package handlers

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// RevocationPage is what has ended after a cursor. Unless it says More, whatever was acknowledged before it was asked for is in
// it, or in a page before it.
type RevocationPage struct {
	Cursor      string            `json:"cursor"`
	Revocations []RevocationEntry `json:"revocations"`
	More        bool              `json:"more,omitempty"`
	Reset       bool              `json:"reset,omitempty"` // nobody knows what has ended after the cursor: forget all that is kept
}

// Kinds of a [RevocationEntry]: the token whose jti is ID has ended. What is known of the tokens that the client ID was issued
// before Time, or of all, is no longer sure.
const (
	TokenEnded    = "token"
	ClientChanged = "client"
	AllChanged    = "all"
)

// RevocationEntry says what has ended.
type RevocationEntry struct {
	Kind string
	ID   string // of no use with AllChanged
	Time time.Time
}

// MarshalJSON writes the time as a NumericDate with milliseconds.
func (e RevocationEntry) MarshalJSON() ([]byte, error) {
	return encodePlain(struct {
		Kind string  `json:"kind"`
		ID   string  `json:"id,omitempty"`
		Time float64 `json:"time"`
	}{e.Kind, e.ID, float64(e.Time.UnixMilli()) / 1000}), nil
}

// encodePlain writes JSON that is no part of a page in HTML: an "&" stays one byte.
func encodePlain(value any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // strings and numbers always encode
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// tooLong tells whether the entries may take more than maxFeedPage as JSON.
func (p *RevocationPage) tooLong() bool {
	const members = `{"kind":"client","id":"","time":1764143060.456},`
	bytes := 0
	for _, entry := range p.Revocations {
		bytes += len(members) + len(entry.ID)
		for i := range len(entry.ID) {
			if c := entry.ID[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
				bytes += len(`\u0000`) - 1
			}
		}
		if bytes > maxFeedPage {
			return true
		}
	}
	return false
}

// concerns tells whether the client itself has changed.
func (p *RevocationPage) concerns(clientID string) bool {
	return slices.ContainsFunc(p.Revocations, func(e RevocationEntry) bool { return e.Kind == ClientChanged && e.ID == clientID })
}

// forCaller says that all has changed where the resource server itself has: it may speak for other resources now.
func (p RevocationPage) forCaller(clientID string) RevocationPage {
	var changed time.Time // for the last time
	for _, e := range p.Revocations {
		if e.Kind == ClientChanged && e.ID == clientID && e.Time.After(changed) {
			changed = e.Time
		}
	}
	if !changed.IsZero() {
		p.Revocations = append(p.Revocations, RevocationEntry{Kind: AllChanged, Time: changed})
	}
	return p
}
