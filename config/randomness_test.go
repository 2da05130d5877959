package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestSecretsThatPeopleTypeAreRefused(t *testing.T) {
	for _, typed := range []string{
		"aaaaaaaaaaaaaaaa", "changemechangeme", "password12345678", "0123456789abcdef", "abcdefghijklmnop", "zyxwvutsrqponmlk",
		"qwertyuiopasdfghjkl", "1qaz2wsx3edc4rfv", "a1b2c3d4e5f6g7h8", "P@ssw0rd!P@ssw0rd!", "supersecretadminkey", "my-super-secret-admin-key",
		"correcthorsebatterystaple", "fosite-mcp-admin-key", "AdminKey2026!AdminKey2026!", "s3cr3t-4dm1n-k3y-f0r-t3sts", "Sup3rS3cr3tK3y!2026",
		"11111111222222223333333344444444", "deadbeefdeadbeefdeadbeefdeadbeef", "00112233445566778899aabbccddeeff",
		"mcp_ak_0123456789abcdef0123456789abcdef", "change-me-please-change-me-please-now", strings.Repeat("0", 64), strings.Repeat("secret", 12),
		"AcmeCorpAdminKey2025", "JohnSmith1985Bob", "Summer2024Winter2025", "TheQuickBrownFox1", "TheQuickBrownFoxJumpsOverTheLazyDog",
		"iloveyouforever12", "ILoveYouForEver12", "https://docs.example.com", "x1x2x3x4x5x6x7x8x9", "FooBarBazQuxQuux", "foobarbazquxquux",
		"x1x2x3x4x5x6x7x8x9y1y2y3y4y5y6y7y8y9", "WeNeedThisServerToWorkOnMonday", "ThisIsOurAdminKeyDoNotShareIt2025", "user01user02user03user04user05",
	} {
		if AdminKeyProblem(typed) == "" {
			t.Errorf("admin key %q is accepted, with %.0f bits", typed, randomness(typed))
		}
		if SystemSecretProblem(typed) == "" {
			t.Errorf("system secret %q is accepted, with %.0f bits", typed, randomness(typed))
		}
	}
	for _, typed := range []string{"this is not a very secure system secret at all", "please-replace-this-system-secret-with-your-own"} {
		if SystemSecretProblem(typed) == "" {
			t.Errorf("system secret %q is accepted, with %.0f bits", typed, randomness(typed))
		}
	}
}

// What a generator makes of 128 bits or more, and a random UUID, is never refused: the estimates stay far from the bound,
// so that no unlucky one among millions gets there.
func TestSecretsFromAGeneratorAreAccepted(t *testing.T) {
	bytes := func(n int) []byte {
		random := make([]byte, n)
		_, _ = rand.Read(random) // never fails
		return random
	}
	alphanumeric := func(n int) string {
		const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		key := make([]byte, n)
		for i := range key {
			at, _ := rand.Int(rand.Reader, big.NewInt(int64(len(base62)))) // never fails
			key[i] = base62[at.Int64()]
		}
		return string(key)
	}
	for name, generate := range map[string]func() string{
		"openssl rand -hex 16":    func() string { return hex.EncodeToString(bytes(16)) },
		"openssl rand -hex 32":    func() string { return hex.EncodeToString(bytes(32)) },
		"openssl rand -base64 24": func() string { return base64.StdEncoding.EncodeToString(bytes(24)) },
		"openssl rand -base64 32": func() string { return base64.StdEncoding.EncodeToString(bytes(32)) },
		"openssl rand -base64 48": func() string { return base64.StdEncoding.EncodeToString(bytes(48)) },
		"base64url":               func() string { return base64.RawURLEncoding.EncodeToString(bytes(24)) },
		"base32":                  func() string { return rand.Text() + rand.Text() },
		"pwgen -s 32 1":           func() string { return alphanumeric(32) },
		"an admin key of ours":    func() string { return "mcp_ak_" + alphanumeric(43) },
		"uuidgen": func() string {
			random := bytes(16)
			random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80 // RFC 9562 §5.4
			u := hex.EncodeToString(random)
			return u[:8] + "-" + u[8:12] + "-" + u[12:16] + "-" + u[16:20] + "-" + u[20:]
		},
	} {
		lowest := math.Inf(1)
		for range 50 {
			secret := generate()
			lowest = min(lowest, randomness(secret))
			if problem := AdminKeyProblem(secret); problem != "" {
				t.Errorf("%s: %q as an admin key (%.0f bits): %s", name, secret, randomness(secret), problem)
			}
			if problem := SystemSecretProblem(secret); problem != "" {
				t.Errorf("%s: %q as a system secret (%.0f bits): %s", name, secret, randomness(secret), problem)
			}
		}
		t.Logf("%s: at least %.0f bits", name, lowest)
	}
	for range 50 {
		if secret := string(bytes(32)); SystemSecretProblem(secret) != "" {
			t.Errorf("32 raw bytes have %.0f bits", randomness(secret))
		}
	}
}

// Too short a key is refused whatever it holds, with the command that makes a good one.
func TestAShortRandomKeyIsToldWhatToRun(t *testing.T) {
	if problem := AdminKeyProblem("9f86d081884c7d65"); !strings.Contains(problem, "openssl rand -hex 32") {
		t.Errorf("%q", problem)
	}
}
