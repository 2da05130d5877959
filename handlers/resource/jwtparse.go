package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// parsedJWT is a JWT whose signature has not been verified.
type parsedJWT struct {
	algorithm string
	keyID     string
	signed    string // header and payload, as signed
	signature []byte
	claims    answer
	payload   []byte
}

// looksLikeJWT tells a JWT from an opaque token.
func looksLikeJWT(token string) bool { return strings.Count(token, ".") == 2 }

// headersThatChange are parameters that would tell a verifier where its key
// is, or that the token is not what it looks like. They are refused, although
// they would not be followed.
var headersThatChange = []string{"crit", "jwk", "jku", "x5u", "b64", "zip", "enc"}

// parseJWT reads an access token (RFC 9068) without trusting it. Its errors
// wrap ErrInactive.
func parseJWT(token string) (*parsedJWT, error) {
	no := func(why string, arguments ...any) (*parsedJWT, error) {
		return nil, fmt.Errorf("%w: %s", ErrInactive, fmt.Sprintf(why, arguments...))
	}
	if len(token) > maxToken {
		return no("it is longer than %d bytes", maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return no("it is not a JWT")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = decodePart(part); err != nil {
			return no("a part of the JWT is not base64url")
		}
	}
	j := &parsedJWT{signed: token[:len(parts[0])+1+len(parts[1])], payload: decoded[1], signature: decoded[2]}
	if err := j.parseHeader(decoded[0]); err != nil {
		return no("the header of the JWT: %s", err)
	}
	if err := j.parseClaims(); err != nil {
		return no("the claims of the JWT: %s", err)
	}
	return j, nil
}

func (j *parsedJWT) parseHeader(header []byte) error {
	found, err := members(header)
	if err != nil {
		return err
	}
	for _, name := range headersThatChange {
		if _, ok := found[name]; ok {
			return fmt.Errorf("it has a member %q", name)
		}
	}
	var typ string
	err = decode(found, map[string]any{"typ": &typ, "alg": &j.algorithm, "kid": &j.keyID})
	switch {
	case err != nil:
		return err
	case typ != "at+jwt": // RFC 9068 §4
		return fmt.Errorf("typ is not at+jwt")
	case j.keyID == "":
		return fmt.Errorf("kid is missing")
	}
	return nil
}

func (j *parsedJWT) parseClaims() error {
	found, err := members(j.payload)
	if err != nil {
		return err
	}
	c := &j.claims
	return decode(found, map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "client_id": &c.ClientID, "scope": &c.Scope, "jti": &c.ID,
		"iat": &c.Issued, "nbf": &c.NotBefore, "exp": &c.Expires, "sub_id": &c.SubjectID, "groups": &c.Groups, "cnf": &c.Bound,
	})
}

// check applies RFC 9068 §2.2 and §4. Nobody else looks at exp, so that the
// clock has no leeway there.
func (j *parsedJWT) check(issuer, resource string, algorithms []string, now time.Time) error {
	c := &j.claims
	rules := []struct {
		bad bool
		why string
	}{
		{!slices.Contains(algorithms, j.algorithm), "its algorithm is not one that is accepted (alg)"},
		{c.Issuer != issuer, "it comes from another issuer (iss)"},
		{c.Expires.IsZero() || !now.Before(c.Expires.Time), "it has expired, or never would (exp)"},
		{c.Issued.IsZero() || now.Add(clockSkew).Before(c.Issued.Time), "it was issued in the future, or does not say when (iat)"},
		{c.ClientID == "", "it names no client (client_id)"},
		{c.Subject == "", "it names no subject (sub)"},
		{c.ID == "", "it has no id (jti)"},
	}
	for _, rule := range rules {
		if rule.bad {
			return fmt.Errorf("%w: %s", ErrInactive, rule.why)
		}
	}
	return c.check(resource, now)
}

// token is what the claims say; tools holds the tools that each scope allows.
func (j *parsedJWT) token(tools map[string][]string) (*Token, error) {
	t, err := j.claims.token(j.payload)
	if err != nil {
		return nil, err
	}
	for _, scope := range t.Scope {
		for _, tool := range tools[scope] {
			if !slices.Contains(t.Tools, tool) {
				t.Tools = append(t.Tools, tool)
			}
		}
	}
	return t, nil
}
