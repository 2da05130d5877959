package provider

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"fosite-mcp/provider/client"
)

func TestGeneratedSecretsAreRecognisedByTheirChecksum(t *testing.T) {
	secret := client.NewSecret()
	if !strings.HasPrefix(secret, "mcp_cs_") || len(secret) != 7+43+6 {
		t.Fatalf("secret of %d characters with prefix %s", len(secret), secret[:7])
	}
	if strings.Trim(secret, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != "" {
		t.Error("the secret needs encoding somewhere")
	}
	if secret == client.NewSecret() {
		t.Error("two secrets are equal")
	}
	if !client.IsGeneratedSecret(secret) {
		t.Error("not recognised")
	}
	for i := range secret {
		changed := []byte(secret)
		changed[i] ^= 1
		if client.IsGeneratedSecret(string(changed)) {
			t.Errorf("recognised with character %d changed", i)
		}
	}
}

// Hashes of "sesame": PBKDF2 with an independent implementation (Python's hashlib).
func TestHashesAreRecognisedByTheirPrefix(t *testing.T) {
	ctx := t.Context()
	h := NewSecretHasher()
	generated := client.NewSecret()
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
			if err := client.CheckHash(c.hash); err != nil {
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
		if err := client.CheckHash(hash); err == nil {
			t.Errorf("%s is accepted", hash)
		}
	}
}

func TestFastComparisonsWaitForNobody(t *testing.T) {
	h := newSecretHasher(1)
	defer occupy(t, h.clients)()
	hash := quickBcrypt(t, "sesame")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Compare(ctx, hash, []byte("sesame")); !errors.Is(err, ErrTooBusy) {
		t.Errorf("got %v, want ErrTooBusy: it was not compared", err)
	}
	generated := client.NewSecret()
	fast, _ := h.Hash(ctx, []byte(generated))
	if err := h.Compare(ctx, fast, []byte(generated)); err != nil {
		t.Errorf("a fast comparison waited: %v", err)
	}
}

// However many wrong secrets are sent for one hash, another has its turn next.
func TestOneHashKeepsNoOtherWaiting(t *testing.T) {
	h := newSecretHasher(1)
	release := occupy(t, h.clients)
	var flood []*turn
	for range 100 {
		flood = append(flood, h.clients.join("the hash of somebody else"))
	}
	hash, compared := quickBcrypt(t, "sesame"), make(chan error)
	go func() { compared <- h.Compare(t.Context(), hash, []byte("sesame")) }()
	for waiting(h.clients) < len(flood)+1 {
		runtime.Gosched()
	}
	release()
	flood[0].leave()
	if err := <-compared; err != nil { // the rest of the flood still waits
		t.Error(err)
	}
}

func TestASecretThatWasRightWaitsOnce(t *testing.T) {
	h := newSecretHasher(1)
	hash := quickBcrypt(t, "sesame")
	if err := h.Compare(t.Context(), hash, []byte("sesame")); err != nil {
		t.Fatal(err)
	}
	defer occupy(t, h.clients)()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Compare(gone, hash, []byte("sesame")); err != nil {
		t.Errorf("the second time: %v", err)
	}
	for name, c := range map[string]struct {
		hash   []byte
		secret string
	}{
		"another secret":                   {hash, "open"},
		"the same secret of another hash":  {quickBcrypt(t, "sesame"), "sesame"},
		"what hash and secret add up to":   {hash[:len(hash)-1], string(hash[len(hash)-1:]) + "sesame"},
		"the hash, for which there is one": {hash, string(hash)},
	} {
		if err := h.Compare(gone, c.hash, []byte(c.secret)); !errors.Is(err, ErrTooBusy) {
			t.Errorf("%s: %v, want to have to wait", name, err)
		}
	}
}

func TestPasswordsAreNotRemembered(t *testing.T) {
	h := newSecretHasher(1)
	hash := quickBcrypt(t, "sesame")
	if err := h.ComparePassword(t.Context(), "address", hash, []byte("sesame")); err != nil {
		t.Fatal(err)
	}
	if h.verified.last.Len() != 0 {
		t.Error("there is something of a password in memory")
	}
}

// A flood of wrong passwords, or of wrong secrets, keeps the other door open.
func TestPeopleAndClientsDoNotWaitForEachOther(t *testing.T) {
	h := newSecretHasher(1)
	release := occupy(t, h.people)
	people, claim := h.people.join("flood"), h.claims.join("flood")
	for range 100 - 1 {
		h.people.join("flood")
		h.claims.join("flood")
	}
	hash, compared := quickBcrypt(t, "sesame"), make(chan error)
	go func() { compared <- h.Compare(t.Context(), hash, []byte("sesame")) }()
	for waiting(h.clients) == 0 {
		runtime.Gosched()
	}
	release()
	people.leave()
	claim.leave()
	if err := <-compared; err != nil { // the rest still waits
		t.Error(err)
	}
}

func waiting(d *door) int {
	d.turns.mu.Lock()
	defer d.turns.mu.Unlock()
	return d.waiting
}

func quickBcrypt(t *testing.T, secret string) []byte {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func BenchmarkCompareGenerated(b *testing.B) {
	h := NewSecretHasher()
	secret := []byte(client.NewSecret())
	hash, _ := h.Hash(b.Context(), secret)
	b.ReportAllocs()
	for b.Loop() {
		if h.Compare(b.Context(), hash, secret) != nil {
			b.Fatal("mismatch")
		}
	}
}
