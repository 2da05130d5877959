package resource

import (
	"encoding/json"
	"maps"
	"testing"
)

// keySet parses a JWK Set.
func keySet(t *testing.T, keys ...map[string]any) map[string]publicKey {
	t.Helper()
	encoded, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	found, err := parseKeySet(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestKeysThatAreForSomethingElse(t *testing.T) {
	for _, c := range []struct {
		member string
		value  any
		taken  bool
	}{
		{"use", "sig", true}, {"use", nil, true}, {"use", "enc", false}, {"use", "Sig", false}, {"use", 1, false},
		{"key_ops", []string{"verify"}, true}, {"key_ops", []string{"sign", "verify"}, true}, {"key_ops", []string{"encrypt"}, false}, {"key_ops", []string{}, false},
	} {
		jwk := maps.Clone(testKeys()[algES256].jwk())
		jwk[c.member] = c.value
		if c.value == nil {
			delete(jwk, c.member)
		}
		if _, taken := keySet(t, jwk)["es"]; taken != c.taken {
			t.Errorf("%s %v: taken is %v", c.member, c.value, taken)
		}
	}
}

// A key verifies under the one algorithm that it names.
func TestAlgorithmOfAKeyBinds(t *testing.T) {
	key := testKeys()[algEdDSA]
	const message = "header.payload"
	signature := key.signature(message)
	for _, c := range []struct {
		named any
		works map[string]bool
	}{
		{algEdDSA, map[string]bool{algEdDSA: true}}, {algEd25519, map[string]bool{algEd25519: true}},
		{nil, map[string]bool{algEdDSA: true, algEd25519: true}}, {algES256, nil},
	} {
		jwk := maps.Clone(key.jwk())
		jwk["alg"] = c.named
		if c.named == nil {
			delete(jwk, "alg")
		}
		found := keySet(t, jwk)["ed"]
		for _, algorithm := range []string{algEdDSA, algEd25519, algES256, algRS256} {
			if got := found.verify(algorithm, message, signature); got != c.works[algorithm] {
				t.Errorf("the key names %v, the token %s: verified is %v", c.named, algorithm, got)
			}
		}
	}
}

func TestOfTwoKeysWithOneKidTheFirstCounts(t *testing.T) {
	first, second := testKeys()[algES256], testKeys()["other"]
	second.kid = first.kid
	found := keySet(t, first.jwk(), second.jwk())
	const message = "header.payload"
	if key := found[first.kid]; len(found) != 1 || !key.verify(algES256, message, first.signature(message)) || key.verify(algES256, message, second.signature(message)) {
		t.Errorf("%d keys, and the first one does not count alone", len(found))
	}
}
