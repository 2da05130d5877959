package provider

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
)

// JWTAccessTokens say which access tokens are JWTs (RFC 9068), for gateways that verify tokens and do not introspect them. Such
// a token is stored, introspected and revoked as any other; a gateway that only verifies it learns nothing of a revocation.
type JWTAccessTokens struct {
	// Keys sign the tokens. Required.
	Keys *SigningKeys
	// Issuer is the iss of the tokens. [New] takes Options.Issuer where it is empty.
	Issuer string
	// For tells whether a resource wants JWTs. A token with such a resource in its audience is a JWT, and every other one is
	// opaque; a token without an audience is. nil: no resource wants JWTs, and what was issued before goes on working.
	For func(resource string) bool

	macKeys []tokenKey // the newest system secret's first
}

// UseJWT makes access tokens for some resources JWTs. Call it before the first request.
func (s *TokenStrategy) UseJWT(j JWTAccessTokens) error {
	if j.Keys == nil || j.Issuer == "" {
		return errors.New("provider: set JWTAccessTokens.Keys and JWTAccessTokens.Issuer")
	}
	if j.For == nil {
		j.For = func(string) bool { return false }
	}
	j.macKeys = s.jwtMAC.keys
	s.jwt = &j
	return nil
}

// jwtHeader is the first part of a token. Each of our keys has one, and a token begins with exactly that: no other algorithm, type
// or parameter gets as far as a signature.
type jwtHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// jwtClaims are those of RFC 9068 §2.2.
type jwtClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience any    `json:"aud"` // one text, or a list of several (RFC 7519 §4.1.3)
	ClientID string `json:"client_id"`
	// SubjectID is there when another issuer has named the subject, so that nobody takes it for one of this server's (RFC 9493).
	SubjectID map[string]string `json:"sub_id,omitempty"`
	Scope     string            `json:"scope,omitempty"`
	IssuedAt  int64             `json:"iat"`
	NotBefore int64             `json:"nbf"`
	ExpiresAt int64             `json:"exp"`
	ID        string            `json:"jti"`
}

// MaximumToken is the length of the longest access token, in bytes: what the endpoints, and package handlers/resource, take.
const MaximumToken = 8 << 10

var errTokenTooLong = fosite.ErrInvalidScope.WithHint("The token would be longer than 8 KiB, which no resource server takes; ask for fewer scopes, or for fewer resources.")

// jtiBytes is the length of a jti: the time, as in other tokens, and random bytes. The token is stored under it.
const jtiBytes = 32

// generate makes a token for r. Its signature, under which it is stored, is "~" and its jti: that is what the storage package
// calls the token, so that the token, its introspection and the admin API agree. Nobody can make a token of it, see addMAC.
func (j *JWTAccessTokens) generate(ctx context.Context, r fosite.Requester, now time.Time, lifespan time.Duration) (token, signature string, err error) {
	key, err := j.Keys.signer(ctx)
	if err != nil {
		return "", "", unavailable(err)
	}
	jti, err := newJTI(now)
	if err != nil {
		return "", "", err
	}
	session, issued := r.GetSession(), r.GetRequestedAt()
	end := session.GetExpiresAt(fosite.AccessToken)
	if end.IsZero() { // a JWT has an end (RFC 9068 §2.2), and its row has the same one
		end = issued.Add(lifespan)
		session.SetExpiresAt(fosite.AccessToken, end)
	}
	claims := jwtClaims{
		Issuer: j.Issuer, Subject: session.GetSubject(), ClientID: r.GetClient().GetID(), Scope: strings.Join(r.GetGrantedScopes(), " "),
		IssuedAt: issued.Unix(), NotBefore: issued.Unix(), ExpiresAt: end.Unix(), ID: jti,
	}
	if claims.Subject == "" {
		claims.Subject = claims.ClientID
	}
	if named, ok := session.(SessionWithSubjectID); ok {
		claims.SubjectID = named.SubjectID()
	}
	claims.Audience = r.GetGrantedAudience()
	if audience := r.GetGrantedAudience(); len(audience) == 1 {
		claims.Audience = audience[0]
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", "", err
	}
	payload = j.addMAC(payload)
	message := make([]byte, 0, len(key.header)+1+tokenEncoding.EncodedLen(len(payload)))
	message = tokenEncoding.AppendEncode(append(append(message, key.header...), '.'), payload)
	signed, err := key.sign(message)
	if err != nil {
		return "", "", unavailable(err)
	}
	token = string(message) + "." + tokenEncoding.EncodeToString(signed)
	if len(token) > MaximumToken {
		return "", "", errTokenTooLong
	}
	return token, jwtSignature(jti), nil
}

func newJTI(now time.Time) (string, error) {
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(now.UnixMilli()))
	var id [jtiBytes]byte
	copy(id[:timeBytes], milliseconds[len(milliseconds)-timeBytes:])
	if _, err := rand.Read(id[timeBytes:]); err != nil {
		return "", err
	}
	return tokenEncoding.EncodeToString(id[:]), nil
}

func jwtSignature(jti string) string { return "~" + jti }

// verify returns the signature that token is stored under, "" for one that was not made here. It says nothing of the token's time.
// A signing key of ours has also signed one whose system secret is not here. An error is an outage.
func (j *JWTAccessTokens) verify(ctx context.Context, token string) (signature string, made madeWith, err error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, encoded, three := strings.Cut(rest, ".")
	if !three || len(token) > MaximumToken || strings.Contains(encoded, ".") || strings.ContainsAny(token, "\r\n") { // which decoders skip
		return "", noSecret, nil
	}
	claims, made, ok := j.claims(payload)
	if !ok {
		return "", noSecret, nil
	}
	key := j.Keys.known(header)
	if key == nil && plausible(header) {
		key, err = j.Keys.find(ctx, header)
	}
	if err != nil || key == nil {
		return "", noSecret, err
	}
	signed, err := tokenEncoding.DecodeString(encoded)
	if err != nil || !key.verify([]byte(token[:len(header)+1+len(payload)]), signed) {
		return "", noSecret, nil
	}
	return jwtSignature(claims.ID), made, nil
}

// claims reads a payload, and tells whether it can be one of ours. What names a missing system secret nobody has verified yet.
func (j *JWTAccessTokens) claims(payload string) (claims jwtClaims, made madeWith, ok bool) {
	decoded, err := tokenEncoding.DecodeString(payload)
	if err != nil {
		return claims, noSecret, false
	}
	made = j.checkMAC(decoded)
	if made == noSecret || json.Unmarshal(decoded, &claims) != nil || claims.Issuer != j.Issuer {
		return claims, noSecret, false
	}
	id, err := tokenEncoding.DecodeString(claims.ID)
	return claims, made, err == nil && len(id) == jtiBytes
}

// plausible tells whether a header can be that of a key of ours, so that it is worth a look.
func plausible(header string) bool {
	const longest = 256
	if len(header) > longest {
		return false
	}
	decoded, err := tokenEncoding.DecodeString(header)
	var h jwtHeader
	return err == nil && json.Unmarshal(decoded, &h) == nil && h.Type == accessTokenType && slices.Contains(SigningAlgorithms(), h.Algorithm)
}
