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
	endpoint string
	resource string // hear of tokens for it; the server refuses who does not speak for it
	caller   *caller
}

// unreadable is an answer 200 that is no page.
type unreadable struct{ error }

// get asks for what came after the cursor; the server may wait for something to
// tell.
func (f *feed) get(ctx context.Context, after string, wait time.Duration) (*page, error) {
	form := url.Values{"resource": {f.resource}}
	if after != "" {
		form.Set("after", after)
	}
	if wait > 0 {
		form.Set("wait", strconv.FormatFloat(wait.Seconds(), 'f', 3, 64))
	}
	r, _, err := f.caller.once(ctx, http.MethodGet, f.endpoint, form)
	if err != nil {
		return nil, err
	}
	if r.status != http.StatusOK {
		return nil, &refusedError{r.status, r.retryAfter()}
	}
	p, err := parsePage(r.body)
	if err != nil {
		return nil, unreadable{err}
	}
	return p, nil
}
