package admin

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPIDocument []byte

// openAPI is GET /openapi.json: this API, as OpenAPI 3.1.
func (a *api) openAPI(*request) (*answer, error) {
	answer := newAnswer(http.StatusOK, nil)
	answer.header.Set("Content-Type", "application/json")
	answer.raw = openAPIDocument
	return answer, nil
}
