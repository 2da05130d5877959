package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// clockSkew is how far this machine's clock may be off before the local check
// of nbf and exp contradicts the authorization server.
const clockSkew = time.Minute

// answer is an introspection response (RFC 7662 §2.2) and the members that
// MCP servers use beyond it.
type answer struct {
	Active     *bool           `json:"active"`
	Scope      string          `json:"scope"`
	ClientID   string          `json:"client_id"`
	ClientName string          `json:"client_name"`
	Username   string          `json:"username"`
	TokenType  string          `json:"token_type"`
	TokenUse   string          `json:"token_use"`
	Expires    numericDate     `json:"exp"`
	Issued     numericDate     `json:"iat"`
	NotBefore  numericDate     `json:"nbf"`
	Subject    string          `json:"sub"`
	SubjectID  json.RawMessage `json:"sub_id"`
	Audience   stringOrStrings `json:"aud"`
	Issuer     string          `json:"iss"`
	ID         string          `json:"jti"`
	Groups     stringOrStrings `json:"groups"`
	Bound      json.RawMessage `json:"cnf"`
	MCP        struct {
		Tools []string `json:"tools"`
	} `json:"mcp"`
}

// parseAnswer turns the body of a 200 answer into a token for resource. A body
// that says neither yes nor no is an error of its own, never ErrInactive.
func parseAnswer(body []byte, resource string, now time.Time) (*Token, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("the answer is not an introspection response (RFC 7662): %w", err)
	}
	if a.Active == nil {
		return nil, errors.New(`the answer is not an introspection response (RFC 7662): it lacks "active"`)
	}
	if !*a.Active {
		return nil, ErrInactive
	}
	if err := a.check(resource, now); err != nil {
		return nil, err
	}
	return a.token(body)
}

// token is what the members say; raw holds all of them.
func (a *answer) token(raw []byte) (*Token, error) {
	subjectIssuer, err := SubjectIssuer(a.SubjectID, a.Subject, a.Issuer)
	if err != nil {
		return nil, err
	}
	return &Token{
		ID: a.ID, ClientID: a.ClientID, ClientName: a.ClientName,
		Subject: a.Subject, SubjectIssuer: subjectIssuer, Username: a.Username, Issuer: a.Issuer,
		Scope: strings.Fields(a.Scope), Audience: a.Audience, Groups: a.Groups, Tools: a.MCP.Tools,
		IssuedAt: a.Issued.Time, ExpiresAt: a.Expires.Time,
		raw: raw,
	}, nil
}

var errOtherResource = fmt.Errorf("%w: it was not issued for this resource (aud)", ErrInactive)

// check repeats what the authorization server has checked already, so that one
// that is too generous does not open this resource.
func (a *answer) check(resource string, now time.Time) error {
	rules := []struct {
		bad bool
		why string
	}{
		{!a.Expires.IsZero() && !now.Before(a.Expires.Add(clockSkew)), "it has expired (exp)"},
		{now.Add(clockSkew).Before(a.NotBefore.Time), "its time has not come (nbf)"},
		{a.TokenType != "" && !strings.EqualFold(a.TokenType, "Bearer"), "it is not a bearer token (token_type)"},
		{a.TokenUse != "" && a.TokenUse != "access_token", "it is not an access token (token_use)"},
		// RFC 7800 §3.1: who cannot check the proof of possession must not accept the token.
		{len(a.Bound) > 0 && !bytes.Equal(a.Bound, []byte("null")), "it is bound to a key (cnf), which cannot be checked here"},
	}
	for _, rule := range rules {
		if rule.bad {
			return fmt.Errorf("%w: %s", ErrInactive, rule.why)
		}
	}
	if !slices.Contains(a.Audience, resource) { // RFC 8707 §3
		return errOtherResource
	}
	return nil
}

// stringOrStrings is one string or a list of them, as in "aud" (RFC 7519 §4.1.3).
type stringOrStrings []string

func (s *stringOrStrings) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		err := json.Unmarshal(data, &one)
		*s = stringOrStrings{one}
		return err
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// numericDate is seconds since 1970, maybe with a fraction (RFC 7519 §2).
type numericDate struct{ time.Time }

const year9999 = 253402300799

func (d *numericDate) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	if seconds < 0 || seconds > year9999 {
		return fmt.Errorf("time %v is not within the years 1970 to 9999", seconds)
	}
	d.Time = time.Unix(int64(seconds), 0).UTC()
	return nil
}
