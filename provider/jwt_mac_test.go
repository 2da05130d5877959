package provider

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
)

func signPayload(t *testing.T, key any, alg jose.SignatureAlgorithm, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whoever has a leaked signing key, and all that logs and introspection say of a token, signs none in its place.
func TestASigningKeyAloneMakesNoToken(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	s := jwtStrategy(t, ring)
	token, signature := generate(t, s, accessRequest(docs))
	other, _ := generate(t, s, accessRequest(docs))
	current := ring.set.Load().current
	forge := func(payload string) string {
		return signPayload(t, current.private, jose.ES256, []byte(payload), map[jose.HeaderKey]any{"typ": "at+jwt", "kid": current.id})
	}
	payloadOf := func(token string) string {
		_, encoded, _ := split(t, token)
		decoded, err := tokenEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return string(decoded)
	}
	payload := payloadOf(token)
	public, mac, _ := strings.Cut(payload, beginMAC)
	_, otherMAC, _ := strings.Cut(payloadOf(other), beginMAC)
	unsealed := &JWTAccessTokens{macKeys: jwtStrategyWith(t, ring, secretB).jwt.macKeys}
	for name, forged := range map[string]string{
		"no mac":                  public + "}",
		"another token's":         public + beginMAC + otherMAC,
		"of zeros":                public + beginMAC + strings.Repeat("A", encodedSealLength) + endMAC,
		"the right name alone":    public + beginMAC + mac[:6] + strings.Repeat("A", encodedSealLength-6) + endMAC,
		"empty":                   public + beginMAC + endMAC,
		"another scope":           strings.Replace(payload, "mcp:search", "mcp:admins", 1),
		"a member more":           `{"groups":["staff"],` + payload[1:],
		"a member more behind it": strings.TrimSuffix(payload, "}") + `,"groups":["staff"]}`,
		"a space behind it":       payload + " ",
		"a space before it":       " " + payload,
		"two macs":                public + beginMAC + otherMAC[:len(otherMAC)-1] + beginMAC + mac,
		"in another letter case":  public + `,"MAC":"` + mac,
		"other bits":              public + beginMAC + mac[:len(mac)-3] + string(mac[len(mac)-3]^1) + endMAC,
		"of a mac only":           strings.TrimPrefix(beginMAC, ",") + mac,
	} {
		text := forge(forged)
		if got := s.AccessTokenSignature(t.Context(), text); got != "" {
			t.Errorf("%s: signature %q", name, got)
		}
		if err := s.ValidateAccessToken(t.Context(), accessRequest(docs), text); !errors.Is(err, fosite.ErrTokenSignatureMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Under a secret that is missing here, or is said to be, nothing is acted on: the database tells an outage from a forgery.
	text := forge(string(unsealed.addMAC([]byte(public + "}"))))
	if kind, found := s.UnverifiedSignature(text); s.AccessTokenSignature(t.Context(), text) != "" || kind != fosite.AccessToken || found != signature {
		t.Errorf("under another secret: %q %q", kind, found)
	}
	if got := s.AccessTokenSignature(t.Context(), forge(payload)); got != signature {
		t.Errorf("the payload itself, signed again: signature %q, want %q", got, signature)
	}
	if _, found := s.UnverifiedSignature(token); found != "" {
		t.Error("a token that is verified is called unverified")
	}
}

// A token counts while the secret that it was made with is known, and its end is an outage where it is not: never "inactive".
func TestAJWTOutlivesAChangeOfTheSystemSecret(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	token, signature := generate(t, jwtStrategyWith(t, ring, secretA), accessRequest(docs))
	if got := jwtStrategyWith(t, ring, secretB, secretA).AccessTokenSignature(t.Context(), token); got != signature {
		t.Errorf("with the secret among the previous ones: signature %q, want %q", got, signature)
	}
	lost := jwtStrategyWith(t, ring, secretB)
	kind, unverified := lost.UnverifiedSignature(token)
	if got := lost.AccessTokenSignature(t.Context(), token); got != "" || kind != fosite.AccessToken || unverified != signature {
		t.Errorf("without the secret: signature %q; %q %q", got, kind, unverified)
	}
	header, payload, _ := split(t, token)
	if _, unverified := lost.UnverifiedSignature(header + "." + payload + "." + strings.Repeat("A", 86)); unverified != "" {
		t.Error("without the secret a text that no key has signed costs a look at the database")
	}
}

// Bytes that are no payload are refused without a look beyond their end.
func TestAPayloadOfAnyLengthIsChecked(t *testing.T) {
	j := &JWTAccessTokens{macKeys: newStrategy(t, secretA).jwtMAC.keys}
	sealed := j.addMAC([]byte(`{"a":1}`))
	for length := range len(sealed) {
		if made := j.checkMAC(sealed[:length]); made != noSecret {
			t.Errorf("cut to %d bytes: %v", length, made)
		}
		if made := j.checkMAC(bytes.Repeat([]byte{'"'}, length)); made != noSecret {
			t.Errorf("%d quotes: %v", length, made)
		}
	}
	if made := j.checkMAC(sealed); made != currentSecret {
		t.Error(made)
	}
}
