package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
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

// What a generator makes of 128 bits or more is never refused.
func TestSecretsFromAGeneratorAreAccepted(t *testing.T) {
	bytes := func(n int) []byte {
		random := make([]byte, n)
		_, _ = rand.Read(random) // never fails
		return random
	}
	for name, generate := range map[string]func() string{
		"openssl rand -hex 16":    func() string { return hex.EncodeToString(bytes(16)) },
		"openssl rand -hex 32":    func() string { return hex.EncodeToString(bytes(32)) },
		"openssl rand -base64 24": func() string { return base64.StdEncoding.EncodeToString(bytes(24)) },
		"openssl rand -base64 48": func() string { return base64.StdEncoding.EncodeToString(bytes(48)) },
		"base64url":               func() string { return base64.RawURLEncoding.EncodeToString(bytes(24)) },
		"base32":                  func() string { return rand.Text() + rand.Text() },
		"UUIDs": func() string {
			u := hex.EncodeToString(bytes(16))
			return u[:8] + "-" + u[8:12] + "-" + u[12:16] + "-" + u[16:20] + "-" + u[20:]
		},
	} {
		for range 500 {
			secret := generate()
			if problem := AdminKeyProblem(secret); problem != "" {
				t.Errorf("%s: %q as an admin key (%.0f bits): %s", name, secret, randomness(secret), problem)
			}
			if problem := SystemSecretProblem(secret); problem != "" {
				t.Errorf("%s: %q as a system secret (%.0f bits): %s", name, secret, randomness(secret), problem)
			}
		}
	}
	for range 500 {
		if secret := string(bytes(32)); SystemSecretProblem(secret) != "" {
			t.Errorf("32 raw bytes have %.0f bits", randomness(secret))
		}
	}
}
