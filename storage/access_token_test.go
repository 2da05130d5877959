package storage

import (
	"bytes"
	"strings"
	"testing"
)

// A new token goes to the end of its index: in the middle of a large one, each would touch a page of its own.
func TestKeysAreInTheOrderOfTheTimesThatSignaturesBeginWith(t *testing.T) {
	var last []byte
	for _, signature := range []string{"018bcfe567ff~zzz", "018bcfe56800~zzz", "018bcfe56801~aaa", "018bcfe56900~", "018bd0000000~aaa"} {
		key := signatureHash(signature)
		if len(key) != 32 || bytes.Compare(last, key) >= 0 {
			t.Errorf("the key of %s is %x, which is not 32 bytes after %x", signature, key, last)
		}
		last = key
	}
}

func TestKeyOfAnyOtherSignatureIsItsHash(t *testing.T) {
	for _, signature := range []string{
		"018bcfe56800", "018bcfe56800.aaa", "018bcfe5680g~aaa", "018bcfe5680~aaaa", "~", strings.Repeat("~", 13), strings.Repeat("a", 43),
	} {
		if !bytes.Equal(signatureHash(signature), hashOf(signature)) {
			t.Errorf("the key of %q is not its hash", signature)
		}
	}
}

func TestKeysTellSignaturesOfOneMomentApart(t *testing.T) {
	a, b := signatureHash("018bcfe56800~a"), signatureHash("018bcfe56800~b")
	if bytes.Equal(a, b) || bytes.Contains(a, []byte("018bcfe56800")) {
		t.Errorf("keys %x and %x", a, b)
	}
}
