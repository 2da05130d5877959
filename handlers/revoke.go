package handlers

import (
	"net/http"

	"github.com/ory/fosite"
)

// maxToken is longer than any token of ours; what is longer cannot be one.
const maxToken = 8 << 10

// revoke is the revocation endpoint (RFC 7009). 200 means that the token is dead, or never was one.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	token := r.PostForm.Get("token")
	if token == "" {
		writeOAuthError(w, fosite.ErrInvalidRequest.WithHint(`The parameter "token" is missing.`))
		return
	}
	if err := s.Provider.NewRevocationRequest(r.Context(), r); err != nil {
		s.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, notKept, nil)
}
