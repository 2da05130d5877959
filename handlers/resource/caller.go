package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	retryDelay = 50 * time.Millisecond
	// longestRetryAfter is how long a server may ask to wait before a request
	// is repeated here. The caller of the service waits meanwhile.
	longestRetryAfter = time.Second
)

// caller sends requests to the authorization server as this service.
type caller struct {
	client      *http.Client
	credentials credentials
}

func (c *Config) caller() *caller {
	return &caller{client: hardenedClient(c.HTTPClient), credentials: c.credentials()}
}

// reply is an answer that has been read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r *reply) retryAfter() time.Duration {
	seconds, _ := strconv.Atoi(r.header.Get("Retry-After"))
	return time.Duration(max(seconds, 0)) * time.Second
}

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
		return text + ": check this service's client id and secret or key"
	case http.StatusForbidden:
		return text + ": register this service as a resource server, with introspects for its resource"
	case http.StatusNotFound:
		return text + ": check the address, or update the authorization server"
	}
	return text + " instead of 200"
}

// once sends a form. It returns the secret that was used.
func (c *caller) once(ctx context.Context, method, endpoint string, form url.Values) (r *reply, secret string, err error) {
	form, header := maps.Clone(form), http.Header{"Accept": {"application/json"}}
	addTrace(ctx, header)
	if secret, err = c.credentials.add(header, form); err != nil {
		return nil, "", err
	}
	if header["Authorization"] == nil {
		method = http.MethodPost // the form holds the credentials
	}
	var req *http.Request
	if method == http.MethodGet {
		req, err = http.NewRequestWithContext(ctx, method, endpoint, nil)
		if err == nil {
			query := req.URL.Query()
			maps.Copy(query, form)
			req.URL.RawQuery = query.Encode()
		}
	} else {
		req, err = http.NewRequestWithContext(ctx, method, endpoint, strings.NewReader(form.Encode()))
		header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	}
	if err != nil {
		return nil, "", err
	}
	req.Header = header
	if c.credentials.key == nil {
		// Asking twice does no harm: let net/http try again when a kept
		// connection turns out to be dead. An empty list is not sent
		// (http.Transport). An assertion is good once, so that it needs a new one.
		header["X-Idempotency-Key"] = []string{}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, secret, err
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, secret, err
	}
	return &reply{resp.StatusCode, resp.Header, body}, secret, nil
}

// post sends a form, and sends it once more when that is likely to help.
func (c *caller) post(ctx context.Context, endpoint string, form url.Values) (*reply, error) {
	if limit := c.client.Timeout; limit > 0 {
		limited, cancel := context.WithTimeout(ctx, limit) // for both together
		defer cancel()
		ctx = limited
	}
	r, secret, err := c.once(ctx, http.MethodPost, endpoint, form)
	wait, again := c.again(ctx, r, secret, err)
	if !again {
		return r, err
	}
	pause(ctx, wait)
	if ctx.Err() != nil {
		return r, err
	}
	r, _, err = c.once(ctx, http.MethodPost, endpoint, form)
	return r, err
}

// again tells whether to repeat a request, and after what time: after a broken
// connection, when a gateway or a server is busy for a moment, or when the
// secret has been replaced since.
func (c *caller) again(ctx context.Context, r *reply, secret string, err error) (time.Duration, bool) {
	if ctx.Err() != nil {
		return 0, false
	}
	if err != nil {
		var network *url.Error
		var broken net.Error
		timeout := errors.As(err, &broken) && broken.Timeout()
		return retryDelay, (errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)) && !timeout
	}
	switch r.status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return max(retryDelay, r.retryAfter()), r.retryAfter() <= longestRetryAfter
	case http.StatusUnauthorized:
		if c.credentials.key == nil {
			now, err := c.credentials.secret()
			return 0, err == nil && now != secret
		}
	}
	return 0, false
}

// readAll reads to the end, so that the connection can serve the next request.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return body, nil
}
