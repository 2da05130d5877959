package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Kinds of revocations.
const (
	kindToken  = "token"  // the token whose jti is ID has ended
	kindClient = "client" // ask again about tokens that the client ID was given before
	kindAll    = "all"    // ask again about all tokens
)

// revocation is one entry of the feed.
type revocation struct {
	Kind string      `json:"kind"`
	ID   string      `json:"id"`
	Time numericDate `json:"time"`
}

// page is an answer of the feed: all that was revoked before the request
// arrived, and after the cursor that the request named.
type page struct {
	Cursor      string       `json:"cursor"`
	Revocations []revocation `json:"revocations"`
	More        bool         `json:"more"`  // ask again: the page was full
	Reset       bool         `json:"reset"` // the cursor means nothing to the server
}

const maxCursor = 512 // bytes

// parsePage fails on everything that could hide a revocation.
func parsePage(body []byte) (*page, error) {
	var p page
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("the answer is not a page of revocations: %w", err)
	}
	if p.Cursor == "" || len(p.Cursor) > maxCursor {
		return nil, errors.New(`the answer is not a page of revocations: "cursor" is missing or too long`)
	}
	if p.Revocations == nil {
		return nil, errors.New(`the answer is not a page of revocations: "revocations" is missing`)
	}
	for _, r := range p.Revocations {
		if r.Kind == "" || r.ID == "" && (r.Kind == kindToken || r.Kind == kindClient) {
			return nil, errors.New(`the answer is not a page of revocations: one lacks its "kind" or "id"`)
		}
	}
	return &p, nil
}

// feed is where and as whom revocations are asked for.
type feed struct {
	endpoint      string
	authorization string
	client        *http.Client
}

// unreadable is an answer 200 that is no page.
type unreadable struct{ error }

// refusedError is an answer other than 200.
type refusedError struct {
	status     int
	retryAfter time.Duration
}

// Error implements error, with the remedy.
func (e *refusedError) Error() string {
	text := fmt.Sprintf("answered %d %s", e.status, http.StatusText(e.status))
	switch e.status {
	case http.StatusUnauthorized:
		return text + ": check this service's client id and secret"
	case http.StatusForbidden:
		return text + ": register this service as a resource server, so that it may introspect"
	case http.StatusNotFound:
		return text + ": check the address of the revocation feed, or update the authorization server"
	}
	return text
}

// get asks for what came after the cursor; the server may wait for something to
// tell.
func (f *feed) get(ctx context.Context, after string, wait time.Duration) (*page, error) {
	u, err := url.Parse(f.endpoint)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	if after != "" {
		query.Set("after", after)
	}
	if wait > 0 {
		query.Set("wait", strconv.FormatFloat(wait.Seconds(), 'f', 3, 64))
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header["Authorization"] = []string{f.authorization}
	req.Header["Accept"] = []string{"application/json"}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, &refusedError{resp.StatusCode, time.Duration(max(seconds, 0)) * time.Second}
	}
	p, err := parsePage(body)
	if err != nil {
		return nil, unreadable{err}
	}
	return p, nil
}
