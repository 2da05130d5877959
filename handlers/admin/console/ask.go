package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"fosite-mcp/handlers/admin"
)

// answer is what the API answers to a request from inside. It is written as an [http.ResponseWriter].
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// problem is the answer as the problem that it is; nil: it is none.
func (a *answer) problem() *problem {
	if a.status < http.StatusBadRequest {
		return nil
	}
	p := &problem{Status: a.status, header: a.header}
	if err := json.Unmarshal(a.body.Bytes(), p); err != nil || p.Title == "" {
		p.Title, p.Detail = "The request failed", "The admin API has answered it with the status "+http.StatusText(a.status)+"."
	}
	p.Status = a.status
	return p
}

// decode reads the answer into v.
func (a *answer) decode(v any) error {
	if err := json.Unmarshal(a.body.Bytes(), v); err != nil {
		return fmt.Errorf("console: decode an answer of the admin API: %w", err)
	}
	return nil
}

// ask sends one request to the API, without the network in between. ctx says who asks; see [admin.As].
func (s *site) ask(ctx context.Context, method, path string, body any, header http.Header) (*answer, error) {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("console: encode a request to the admin API: %w", err)
		}
		sent = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, "/admin/v1"+path, sent)
	if err != nil {
		return nil, fmt.Errorf("console: a request to the admin API: %w", err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	a := &answer{status: http.StatusOK, header: http.Header{}}
	s.api.ServeHTTP(a, r)
	return a, nil
}

// as is the context of requests in the name of whom the browser is logged in as.
func (v *visit) as() context.Context {
	if v.session.KeyID == "" {
		return admin.AsPerson(v.r.Context(), v.session.actor)
	}
	return admin.As(v.r.Context(), v.session.actor)
}

// get reads from the API into what into points to, and returns the ETag. The error may be a [*problem].
func (v *visit) get(path string, query url.Values, into any) (etag string, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	a, err := v.ask(v.as(), http.MethodGet, path, nil, nil)
	if err != nil {
		return "", err
	}
	if p := a.problem(); p != nil {
		return "", p
	}
	return a.header.Get("ETag"), a.decode(into)
}

// send makes a change by the API. The error may be a [*problem].
func (v *visit) send(method, path string, body any, header http.Header) (*answer, error) {
	a, err := v.ask(v.as(), method, path, body, header)
	if err != nil {
		return nil, err
	}
	if p := a.problem(); p != nil {
		return nil, p
	}
	return a, nil
}
