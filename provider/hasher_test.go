package provider

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestGeneratedSecretsAreRecognisedByTheirChecksum(t *testing.T) {
	secret := NewSecret()
	if !strings.HasPrefix(secret, "mcp_cs_") || len(secret) != 7+43+6 {
		t.Fatalf("secret of %d characters with prefix %s", len(secret), secret[:7])
	}
	if strings.Trim(secret, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != "" {
		t.Error("the secret needs encoding somewhere")
	}
	if secret == NewSecret() {
		t.Error("two secrets are equal")
	}
	if !IsGeneratedSecret(secret) {
		t.Error("not recognised")
	}
	for i := range secret {
		changed := []byte(secret)
		changed[i] ^= 1
		if IsGeneratedSecret(string(changed)) {
			t.Errorf("recognised with character %d changed", i)
		}
	}
}

// Hashes of "sesame": PBKDF2 with an independent implementation (Python's hashlib).
func TestHashesAreRecognisedByTheirPrefix(t *testing.T) {
	ctx := t.Context()
	h := NewSecretHasher()
	generated := NewSecret()
	fast, err := h.Hash(ctx, []byte(generated))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(fast), "$sha256$") {
		t.Errorf("a generated secret is hashed as %s", fast[:8])
	}
	slow, err := h.Hash(ctx, []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(slow), "$argon2id$") {
		t.Errorf("a chosen secret is hashed as %s", slow[:8])
	}
	bc, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ hash, secret string }{
		"sha256":        {string(fast), generated},
		"argon2id":      {string(slow), "sesame"},
		"bcrypt":        {string(bc), "sesame"},
		"pbkdf2-sha256": {"$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA256, "sesame"},
		"pbkdf2-sha512": {"$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA512, "sesame"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckHash(c.hash); err != nil {
				t.Errorf("CheckHash: %v", err)
			}
			if err := h.Compare(ctx, []byte(c.hash), []byte(c.secret)); err != nil {
				t.Errorf("the right secret: %v", err)
			}
			for _, wrong := range []string{"", c.secret + "x", c.secret[1:], c.hash} {
				if err := h.Compare(ctx, []byte(c.hash), []byte(wrong)); err == nil {
					t.Errorf("the secret %q is accepted", wrong)
				}
			}
		})
	}
}

const (
	pbkdf2SHA256 = "b1sSN7v0pV6yqCwkohsSs5IT/7joKePbt3l5oxs1ch4"
	pbkdf2SHA512 = "5t6UHfiqZqCn36ISN2WmUTHjDqWkiYDJl4jJahkchfg"
)

func TestNoHashMatchesNothing(t *testing.T) {
	h := NewSecretHasher()
	for _, hash := range []string{"", "$sha256$", "plain", "$pbkdf2-sha256$i=1,l=0$$", "$argon2id$v=19$m=1,t=1,p=1$$", "$2a$", "$sha256$AAAA"} {
		for _, secret := range []string{"", hash, "plain"} {
			if err := h.Compare(t.Context(), []byte(hash), []byte(secret)); err == nil {
				t.Errorf("hash %q matches %q", hash, secret)
			}
		}
	}
}

func TestHashesThatWouldExhaustTheServerAreRefused(t *testing.T) {
	for _, hash := range []string{
		"$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$" + pbkdf2SHA256,
		"$argon2id$v=19$m=1024,t=1000,p=1$c2FsdHNhbHQ$" + pbkdf2SHA256,
		"$pbkdf2-sha256$i=4000000000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA256,
		"$2a$31$IxMdI6d.LIRZPpSfEwNoeu4rY3FhDREsxFJXikcgdRRAStxUlsuEO",
		"$md5$abc",
	} {
		if err := CheckHash(hash); err == nil {
			t.Errorf("%s is accepted", hash)
		}
	}
}

func TestSlowComparisonsAreBounded(t *testing.T) {
	h := &SecretHasher{slow: make(chan struct{}, 1)}
	h.slow <- struct{}{} // somebody is comparing
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Compare(ctx, hash, []byte("sesame")); err == nil || err == errMismatch {
		t.Errorf("got %v, want the reason for not comparing", err)
	}
	generated := NewSecret()
	fast, _ := h.Hash(ctx, []byte(generated))
	if err := h.Compare(ctx, fast, []byte(generated)); err != nil {
		t.Errorf("a fast comparison waited: %v", err)
	}
}

func BenchmarkCompareGenerated(b *testing.B) {
	h := NewSecretHasher()
	secret := []byte(NewSecret())
	hash, _ := h.Hash(b.Context(), secret)
	b.ReportAllocs()
	for b.Loop() {
		if h.Compare(b.Context(), hash, secret) != nil {
			b.Fatal("mismatch")
		}
	}
}
