package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// ToolScopes says which scopes the tools of an MCP server need, by the name
// of the tool. A tool that is not in it needs none; one without a scope is a
// mistake.
type ToolScopes map[string][]string

// Allows reports whether token may call tool. An MCP server leaves out of its
// answer to tools/list what the token may not call. A nil token may call
// nothing.
func (s ToolScopes) Allows(token *Token, tool string) bool {
	return token != nil && !slices.ContainsFunc(s[tool], func(scope string) bool { return !token.HasScope(scope) })
}

// scopes are all scopes of all tools.
func (s ToolScopes) scopes() (all []string) {
	for _, scopes := range s {
		all = append(all, scopes...)
	}
	return all
}

// What a request may hold in which a tool is looked for.
const (
	maxCall     = 4 << 20 // bytes
	maxMessages = 100     // of a batch
)

// readCalls are the tools that a request calls. The body is read, and put back.
func readCalls(w http.ResponseWriter, r *http.Request) ([]string, *refusal) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions: // they carry no message
		if r.Header.Get("X-Http-Method-Override") == "" {
			return nil, nil
		}
	}
	if !readable(r.Header) {
		return nil, &refusal{status: http.StatusUnsupportedMediaType, message: "Send the request in UTF-8, without Content-Encoding."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("The request is larger than %d MiB.", maxCall>>20)}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, message: "The request could not be read to its end."}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	calls, err := calledTools(body)
	if errors.Is(err, errTooMany) {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, message: "The request is too much to look into: " + err.Error() + "."}
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, message: "The request is no JSON-RPC message: " + err.Error() + "."}
	}
	return calls, nil
}

// allow refuses a request that calls a tool for which token has too few scopes.
// The challenge names all scopes of the calls, and those of the token that
// other tools need: a client that asks for exactly these gets a token with
// which it can go on (step-up).
func (g *gate) allow(token *Token, calls []string) *refusal {
	needed := slices.Clone(g.scopes)
	allowed := true
	for _, tool := range calls {
		needed = append(needed, g.tools[tool]...)
		allowed = allowed && g.tools.Allows(token, tool)
	}
	if allowed {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(needed), token.HasScope)
	relevant := g.tools.scopes()
	for _, scope := range token.Scope {
		if slices.Contains(relevant, scope) {
			needed = append(needed, scope)
		}
	}
	stepUp := *g
	stepUp.challenge.scope = strings.Join(distinct(needed), " ")
	return stepUp.insufficient(strings.Join(distinct(missing), " "))
}

// readable reports whether the body is what every reader takes it for.
func readable(h http.Header) bool {
	if strings.Join(h.Values("Content-Encoding"), "") != "" || len(h.Values("Content-Type")) > 1 {
		return false
	}
	_, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return h.Get("Content-Type") == ""
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

func distinct(list []string) (once []string) {
	for _, item := range list {
		if !slices.Contains(once, item) {
			once = append(once, item)
		}
	}
	return once
}

// calledTools are the tools that a JSON-RPC message calls, or a batch of them.
func calledTools(body []byte) (tools []string, err error) {
	messages := []json.RawMessage{body}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		if messages, err = batch(body); err != nil {
			return nil, err
		}
	}
	for _, message := range messages {
		found, err := exactMembers(message, "method", "params")
		if err != nil {
			return nil, err
		}
		var method, tool string
		if err := decode(found, map[string]any{"method": &method}); err != nil {
			return nil, err
		}
		if method != "tools/call" {
			continue
		}
		params, err := exactMembers(found["params"], "name")
		if err != nil {
			return nil, err
		}
		if err := decode(params, map[string]any{"name": &tool}); err != nil {
			return nil, err
		}
		if tool == "" {
			return nil, errors.New("it names no tool")
		}
		tools = append(tools, tool)
	}
	return tools, nil
}

// batch are the messages of a JSON array. It stops reading where there are too
// many.
func batch(body []byte) (messages []json.RawMessage, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	_, err = decoder.Token() // the bracket
	for err == nil && decoder.More() {
		if len(messages) == maxMessages {
			return nil, fmt.Errorf("%w: it holds more than %d messages", errTooMany, maxMessages)
		}
		var message json.RawMessage
		err = decoder.Decode(&message)
		messages = append(messages, message)
	}
	if err == nil {
		_, err = decoder.Token() // the other bracket
	}
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the batch")
	}
	return messages, nil
}

// exactMembers are those of a JSON object, none of which differs from one of
// names in capitals alone: some readers would take it for that.
func exactMembers(object json.RawMessage, names ...string) (map[string]json.RawMessage, error) {
	found, err := members(object)
	if err != nil {
		return nil, err
	}
	for member := range found {
		if strings.ContainsFunc(member, unicode.IsControl) {
			return nil, fmt.Errorf("the name of a member, %q, holds control characters", member)
		}
		for _, name := range names {
			if member != name && strings.EqualFold(member, name) {
				return nil, fmt.Errorf("member %q is written %q", member, name)
			}
		}
	}
	return found, nil
}
