package handlers

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ory/fosite"
)

// KeysMaxAge is how long verifiers may keep the JWKS. A key must be in it for longer before it signs.
const KeysMaxAge = 5 * time.Minute

// noKeys is the JWKS where no token is a JWT. It exists because metadata must name it.
var noKeys = []byte(`{"keys":[]}`)

// jwks is the JWK Set (RFC 7517 §5) of JWT access tokens.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	keys := noKeys
	if s.PublicKeys != nil {
		var err error
		if keys, err = s.PublicKeys(r.Context()); err != nil {
			s.fail(w, r, fosite.ErrTemporarilyUnavailable.WithWrap(err))
			return
		}
	}
	sum := sha256.Sum256(keys)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(KeysMaxAge.Seconds())))
	w.Header().Set("ETag", tag)
	if holdsTag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(keys)
}

// holdsTag tells whether a header If-None-Match names tag (RFC 9110 §13.1.2), which a compressing proxy may have made weak.
func holdsTag(values []string, tag string) bool {
	for _, value := range values {
		for listed := range strings.SplitSeq(value, ",") {
			if listed = strings.TrimSpace(listed); listed == "*" || strings.TrimPrefix(listed, "W/") == tag {
				return true
			}
		}
	}
	return false
}
