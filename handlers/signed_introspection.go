package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/internal/params"
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
func (s *Server) wantsSigned(accept []string) (wants, ok bool) {
	if !slices.ContainsFunc(accept, func(entry string) bool { return strings.Contains(strings.ToLower(entry), signedType) }) {
		return false, true
	}
	var signed, plain float64
	for kind, weight := range params.Accepted(accept) {
		switch kind {
		case signedType:
			signed = max(signed, weight)
		case "application/json", "application/*", "*/*":
			plain = max(plain, weight)
		}
	}
	if s.SignedIntrospection == nil {
		return false, plain > 0 || signed == 0
	}
	return signed > 0 && signed >= plain, true
}

func (s *Server) writeSigned(w http.ResponseWriter, r *http.Request, caller fosite.Client, answer []byte) {
	token, err := s.SignedIntrospection.Sign(r.Context(), s.Issuer, caller.GetID(), answer)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, jwtHeader, token)
}
