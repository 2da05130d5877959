package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// workload is a kind of request, and how its answer has to be.
type workload struct {
	name  string
	wrong func(status int, body []byte) string // what is wrong with an answer; empty: nothing
	keep  bool                                 // the token in each answer
}

var (
	issue = workload{name: "issue", keep: true, wrong: func(status int, body []byte) string {
		return wants(status, body, "no access_token", len(tokenIn(body)) > 0)
	}}
	introspect = workload{name: "introspect", wrong: func(status int, body []byte) string {
		return wants(status, body, "a live token is not active", bytes.Contains(body, []byte(`"active":true`)))
	}}
	introspectRevoked = workload{name: "introspect", wrong: func(status int, body []byte) string {
		return wants(status, body, "a revoked token is active", string(bytes.TrimSpace(body)) == `{"active":false}`)
	}}
	revoke = workload{name: "revoke", wrong: func(status int, body []byte) string {
		return wants(status, body, "", true)
	}}
)

// wants says what is wrong with an answer, without its body: that may hold a token.
func wants(status int, body []byte, otherwise string, fulfilled bool) string {
	if status != http.StatusOK {
		var refusal struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(body, &refusal) // a body that is no JSON has no error to name
		if refusal.Error == "" {
			return fmt.Sprint("status ", status)
		}
		return fmt.Sprintf("status %d, %.100q", status, refusal.Error)
	}
	if !fulfilled {
		return otherwise
	}
	return ""
}

// tokenIn is the access token of an answer.
func tokenIn(body []byte) []byte {
	_, rest, _ := bytes.Cut(body, []byte(`"access_token":"`))
	token, _, found := bytes.Cut(rest, []byte(`"`))
	if !found {
		return nil
	}
	return token
}

// token is a live token, and which machine has it.
type token struct {
	text    string
	machine int
}
