package provider

import (
	"context"
	"encoding/json"
)

// introspectionType is the typ of a signed introspection answer (RFC 9701 §5), which nobody takes for an access token.
const introspectionType = "token-introspection+jwt"

type introspectionClaims struct {
	Issuer   string          `json:"iss"`
	Audience string          `json:"aud"`
	IssuedAt int64           `json:"iat"`
	Answer   json.RawMessage `json:"token_introspection"`
}

// SignIntrospection makes a JWT of an introspection answer, which is a JSON object, for the client who has asked (RFC 9701 §5): whoever
// it hands the answer on to knows from whom it is. It is for handlers.SignedIntrospection. An error is an outage.
func (k *SigningKeys) SignIntrospection(ctx context.Context, issuer, clientID string, answer []byte) ([]byte, error) {
	key, err := k.signer(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	header, err := json.Marshal(jwtHeader{key.algorithm, key.id, introspectionType})
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(introspectionClaims{issuer, clientID, clock(k.o.Now).Unix(), answer})
	if err != nil {
		return nil, err
	}
	message := tokenEncoding.AppendEncode(nil, header)
	message = tokenEncoding.AppendEncode(append(message, '.'), payload)
	signed, err := key.sign(message)
	if err != nil {
		return nil, unavailable(err)
	}
	return tokenEncoding.AppendEncode(append(message, '.'), signed), nil
}
