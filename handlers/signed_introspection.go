package handlers

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// SignedIntrospection says how introspection answers are signed (RFC 9701) for a caller who sends
// Accept: application/token-introspection+jwt.
type SignedIntrospection struct {
	// Sign makes a JWT of an answer, which is a JSON object, for the client who has asked. See provider.SigningKeys. Required.
	Sign func(ctx context.Context, issuer, clientID string, answer []byte) ([]byte, error)
	// Algorithms are announced as introspection_signing_alg_values_supported.
	Algorithms []string
}

const signedType = "application/token-introspection+jwt"

// wantsSigned tells whether the caller asks for a signed answer. ok is false for one who takes nothing else, where nothing is signed.
func (s *Server) wantsSigned(accept []string) (signed, ok bool) {
	if !slices.ContainsFunc(accept, func(entry string) bool { return strings.Contains(strings.ToLower(entry), signedType) }) {
		return false, true
	}
	plain := false
	for entry := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(entry)
		if err != nil || refused(parameters["q"]) {
			continue
		}
		switch kind {
		case signedType:
			signed = true
		case "application/json", "application/*", "*/*":
			plain = true
		}
	}
	if s.SignedIntrospection == nil {
		return false, plain || !signed
	}
	return signed, true
}

// refused tells a weight of 0 (RFC 9110 §12.4.2).
func refused(weight string) bool { return weight != "" && strings.Trim(weight, "0.") == "" }

func (s *Server) writeSigned(w http.ResponseWriter, r *http.Request, caller fosite.Client, answer []byte) {
	token, err := s.SignedIntrospection.Sign(r.Context(), s.Issuer, caller.GetID(), answer)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, jwtHeader, token)
}
