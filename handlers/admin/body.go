package admin

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

// bodyKind says what an operation wants to be sent.
type bodyKind int

const (
	bodyNone     bodyKind = iota
	bodyRequired          // application/json
	bodyOptional          // the same, or nothing at all
	bodyPatch             // application/merge-patch+json (RFC 7396) or application/json
)

const maxBody = 64 << 10

// readBody fills in r.body and r.raw.
func (r *request) readBody(kind bodyKind) error {
	r.body = map[string]any{}
	if kind == bodyNone {
		return nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, "too-large", "The request is too large", "The body may have up to 64 KiB.")
	}
	if err != nil {
		return badRequest("The body broke off.")
	}
	if len(raw) == 0 && kind == bodyOptional {
		return nil
	}
	accepted := []string{"application/json"}
	if kind == bodyPatch {
		accepted = []string{"application/merge-patch+json", "application/json"}
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(accepted, mediaType) {
		p := newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "Send JSON, with Content-Type: "+accepted[0]+".")
		if kind == bodyPatch {
			p = p.with("Accept-Patch", strings.Join(accepted, ", ")) // RFC 5789 §3.1
		}
		return p
	}
	r.raw = raw
	r.body, err = strictjson.Decode(raw)
	if mistakes := (strictjson.Mistakes)(nil); err != nil && !errors.As(err, &mistakes) {
		return badRequest("The body %v.", err)
	}
	return err
}
