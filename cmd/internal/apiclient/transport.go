package apiclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"fosite-mcp/provider/client"
)

// newHTTPClient makes a client that follows no redirects: its requests hold secrets for one server.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       apiTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// secureOrigin accepts an https origin, or one on this machine. Others would send secrets in clear.
func secureOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("want an origin such as http://127.0.0.1:8081, not %q", text)
	}
	if u.Scheme == "http" && !client.IsLoopback(u.Hostname()) {
		return "", fmt.Errorf("%s would carry secrets in clear over the network; use https, or run this on the server itself", text)
	}
	return u.Scheme + "://" + u.Host, nil
}

// uncertain adds that a change may have been made, although no answer came.
func uncertain(method string, err error) error {
	if method == http.MethodGet || errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return fmt.Errorf("%w; look whether the change was made before trying again", err)
}

// NotRunning says that nothing listens at an address.
type NotRunning struct{ origin, flag string }

// Error says how to start the server.
func (e NotRunning) Error() string {
	return fmt.Sprintf("nothing answers at %s; start the server with: fosite-mcp serve (or say where it is with %s, or name its settings with --config)", e.origin, e.flag)
}

// Unwrap lets errors.Is find the refused connection.
func (NotRunning) Unwrap() error { return syscall.ECONNREFUSED }

// unreachable says why no answer came.
func unreachable(origin, flag string, err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return NoAnswer{NotRunning{origin, flag}}
	}
	return noAnswer(fmt.Errorf("no answer from %s: %w", origin, err))
}

// NoAnswer is an error that says nothing about the request: the server cannot be reached, or a proxy before it says so.
type NoAnswer struct{ error }

// Unwrap is the reason.
func (n NoAnswer) Unwrap() error { return n.error }

// noAnswer makes err a [NoAnswer], unless the caller has given up.
func noAnswer(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return NoAnswer{err}
}
