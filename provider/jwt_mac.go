package provider

import (
	"bytes"
	"crypto/hmac"
	"slices"
)

// A signing key leaks more easily than a system secret, and the claims of a token are no secret: logs and introspection show them. So
// the signature alone makes no token of this server. The last claim, mac, is a name of the system secret and an HMAC, under a key
// that is derived from it, over every byte of the payload before it. No answer and no log shows it.

const (
	beginMAC  = `,"mac":"`
	endMAC    = `"}`
	macBytes  = 20
	sealBytes = secretBytes + macBytes
)

var (
	encodedSealLength = tokenEncoding.EncodedLen(sealBytes)
	macLength         = len(beginMAC) + encodedSealLength + len(endMAC)
)

// addMAC is payload, a JSON object with members, with the claim mac.
func (j *JWTAccessTokens) addMAC(payload []byte) []byte {
	payload = append(payload[:len(payload)-1], beginMAC...)
	key := &j.macKeys[0]
	mac := key.mac(payload)
	seal := slices.Concat(key.secret[:], mac[:macBytes])
	return append(tokenEncoding.AppendEncode(payload, seal), endMAC...)
}

// checkMAC tells with which system secret this server has made the payload.
func (j *JWTAccessTokens) checkMAC(payload []byte) madeWith {
	at := len(payload) - macLength
	if at < 1 || !bytes.HasPrefix(payload[at:], []byte(beginMAC)) || !bytes.HasSuffix(payload, []byte(endMAC)) {
		return noSecret
	}
	at += len(beginMAC)
	var seal [sealBytes]byte
	if n, err := tokenEncoding.Decode(seal[:], payload[at:at+encodedSealLength]); err != nil || n != sealBytes {
		return noSecret
	}
	name := [secretBytes]byte(seal[:])
	known := slices.IndexFunc(j.macKeys, func(key tokenKey) bool { return key.secret == name })
	if known < 0 {
		return missingSecrets
	}
	key := &j.macKeys[known]
	if mac := key.mac(payload[:at]); !hmac.Equal(mac[:macBytes], seal[secretBytes:]) {
		return noSecret
	}
	return key.made
}
