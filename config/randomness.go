package config

import (
	"math"
	"strings"
)

// minSecretBits is the lower bound of [randomness], in bits, of admin keys and system secrets. What people type hardly
// reaches it, and what a generator makes of 128 random bits lies above. 16 random hexadecimal digits do not reach it.
const minSecretBits = 76

// randomness estimates from below how many bits of randomness a secret holds, to tell random characters from typed
// ones. A piece of what people type, and a repetition of what stands before it, count as one choice. A letter that
// often follows the one before it in words, and a step of a simple row, count little.
func randomness(secret string) float64 {
	text, lower := simplified(typed+secret), lowered(secret)
	bits := 0.0
	for i := 0; i < len(secret); {
		step := 1
		switch n := repeated(text, len(typed)+i); {
		case n >= 4:
			bits += 8
			step = n
		case inRow(lower, i):
			bits++
		case i > 0 && strings.Contains(commonPairs, string(lower[i-1:i+1])):
			bits += 1.5
		default:
			bits += characterBits(secret[i])
		}
		i += step
	}
	return bits
}

// inRow tells whether the character at i goes on with a row that stands still or counts up or down: aaa, 765, x1x2x3.
func inRow(text []byte, i int) bool {
	for apart := 1; apart <= 3 && 2*apart <= i; apart++ {
		change := int(text[i]) - int(text[i-apart])
		if change >= -1 && change <= 1 && change == int(text[i-apart])-int(text[i-2*apart]) {
			return true
		}
	}
	return false
}

// commonPairs are the letters that follow each other most often in English words. No other pair occurs across the spaces.
const commonPairs = "ab ac ad ag ai al am an ap ar as at av ay be bl bo ca ce ch ci co ct de di do ea ec ed ee el em en er es et ev ex fe " +
	"fi fo fr ge gh gr ha he hi ho ia ic id ie if ig il im in io ir is it iv ke la ld le li ll lo ly ma me mi mo mp na nc " +
	"nd ne ng ni no ns nt od of ol om on oo op or os ot ou ow pa pe pl po pr ra rd re ri ro rs rt ry sa se sh si so sp ss " +
	"st su ta te th ti to tr ts tu ty ul un ur us ut ve vi wa we wh wi wo"

// typed are rows of characters and keys, the test vectors of many documents, and the words of placeholders.
const typed = "0123456789 abcdefghijklmnopqrstuvwxyz 9876543210 zyxwvutsrqponmlkjihgfedcba " +
	"000102030405060708090a0b0c0d0e0f 0f1e2d3c4b5a69788796a5b4c3d2e1f0 00112233445566778899aabbccddeeff deadbeef cafebabe " +
	"a1b2c3d4e5f6g7h8i9 1a2b3c4d5e6f7g8h9i qwertyuiop asdfghjkl zxcvbnm 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol !@#$%^&*() " +
	"password passphrase changeme-please replace-this-with-your-own-value insert-here default example sample placeholder " +
	"dummy testing this-is-my-super-secret-key admin-key-for-the-test system-secret token private secure server client local " +
	"development production staging letmein welcome administrator correct-horse-battery-staple correcthorsebatterystaple " +
	"fosite-mcp mcp_ak_ not-a-real very-long some-random-string https://www.example.com the-quick-brown-fox-jumps-over-the-lazy-dog " +
	"thequickbrownfoxjumpsoverthelazydog company corporation summer winter spring autumn january september december monday friday "

// simplified is text in lower case, with letters in place of the digits and signs that people write for them, and one
// sign between words.
func simplified(text string) []byte {
	simple := lowered(text)
	for i, c := range simple {
		if at := strings.IndexByte("@4$53107_. ", c); at >= 0 {
			simple[i] = "aasseiot---"[at]
		}
	}
	return simple
}

// lowered is text with its ASCII letters in lower case, and every byte where it was: a secret need not be UTF-8.
func lowered(text string) []byte {
	lower := []byte(text)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c - 'A' + 'a'
		}
	}
	return lower
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
