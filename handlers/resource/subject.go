package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// SubjectIssuer returns who has named subject, by the member sub_id of a token
// or of an introspection answer (RFC 9493 §3.2.4): [Token.SubjectIssuer]. It is
// empty where there is no sub_id, and where that names issuer, the
// authorization server. A sub_id in another format, or of another subject, is
// an error that wraps [ErrInactive]: without it one person could be taken for
// another. [Introspector] calls it; call it in a [Verifier] of your own.
func SubjectIssuer(subjectID json.RawMessage, subject, issuer string) (string, error) {
	if len(subjectID) == 0 || bytes.Equal(subjectID, []byte("null")) {
		return "", nil
	}
	var id struct {
		Format  string `json:"format"`
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(subjectID, &id); err != nil || id.Format != "iss_sub" || id.Issuer == "" || id.Subject != subject {
		return "", fmt.Errorf("%w: it does not say who has named its subject in the format iss_sub (sub_id)", ErrInactive)
	}
	if id.Issuer == issuer {
		return "", nil
	}
	return id.Issuer, nil
}
