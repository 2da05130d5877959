package config

import (
	"math"
	"regexp"
	"strings"
)

// Lower bounds of [randomness], in bits. What a random generator makes of the shortest length that is accepted lies
// above them, and 128 random bits far above.
const (
	minAdminKeyBits     = 44
	minSystemSecretBits = 64
)

// randomness estimates from below how many bits of randomness a secret holds, to tell random characters from typed
// ones. A piece of what people type, and a repetition of what stands before it, count as one choice; letters that may
// be a word count less than others.
func randomness(secret string) float64 {
	text := simplified(typed + secret)
	bits := 0.0
	for i, wordEnd := 0, 0; i < len(secret); {
		if i >= wordEnd {
			wordEnd = i + len(word.FindString(secret[i:]))
		}
		step := 1
		switch n := repeated(text, len(typed)+i); {
		case n >= 4:
			bits += 6
			step = n
		case i < wordEnd:
			bits += 2.5 // English text has less
		default:
			bits += characterBits(secret[i])
		}
		i += step
	}
	return bits
}

var word = regexp.MustCompile(`^[a-z]{4,}`)

// typed are rows of characters and keys, the test vectors of many documents, and the words of placeholders.
const typed = "0123456789 abcdefghijklmnopqrstuvwxyz 9876543210 zyxwvutsrqponmlkjihgfedcba " +
	"000102030405060708090a0b0c0d0e0f 0f1e2d3c4b5a69788796a5b4c3d2e1f0 00112233445566778899aabbccddeeff deadbeef cafebabe " +
	"a1b2c3d4e5f6g7h8i9 1a2b3c4d5e6f7g8h9i qwertyuiop asdfghjkl zxcvbnm 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol !@#$%^&*() " +
	"password passphrase changeme-please replace-this-with-your-own-value insert-here default example sample placeholder " +
	"dummy testing this-is-my-super-secret-key admin-key-for-the-test system-secret token private secure server client local " +
	"development production staging letmein welcome administrator correct-horse-battery-staple correcthorsebatterystaple " +
	"fosite-mcp mcp_ak_ not-a-real very-long some-random-string "

// simplified is text in lower case, with letters in place of the digits and signs that people write for them, and one
// sign between words.
func simplified(text string) []byte {
	simple := []byte(text)
	for i, c := range simple {
		if c >= 'A' && c <= 'Z' {
			simple[i] = c - 'A' + 'a'
		} else if at := strings.IndexByte("@4$53107_. ", c); at >= 0 {
			simple[i] = "aasseiot---"[at]
		}
	}
	return simple
}

// repeated is how many bytes from position i on occur earlier in text, at one place.
func repeated(text []byte, i int) int {
	longest := 0
	for start := range i {
		n := 0
		for i+n < len(text) && text[start+n] == text[i+n] {
			n++
		}
		longest = max(longest, n)
	}
	return longest
}

// characterBits is what a character counts that stands for itself, by its kind.
func characterBits(c byte) float64 {
	switch {
	case c >= '0' && c <= '9':
		return math.Log2(10)
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return math.Log2(26)
	case strings.IndexByte("-_. ", c) >= 0:
		return 1 // between words
	case c >= 0x80:
		return 6
	}
	return 4
}
