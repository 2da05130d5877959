package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/cmd/internal/console"

	"github.com/spf13/cobra"
)

// callerFlags say which client speaks to an OAuth endpoint, and where that is.
type callerFlags struct {
	clientID   string
	secretFile string
	publicURL  string
}

func (f *callerFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.clientID, "client-id", "", "`id` of the client that asks (required)")
	c.Flags().StringVar(&f.secretFile, "client-secret-file", "", "`file` with its secret, - for stdin (default: the variable "+clientSecretVariable+")")
	c.Flags().StringVar(&f.publicURL, "public-url", "", "`origin` of the server (default: the setting public_url)")
}

// oauthEndpoint is an endpoint together with a client that may use it.
type oauthEndpoint struct {
	url              string
	clientID, secret string
	http             *http.Client
}

func (a *app) oauthEndpoint(ctx context.Context, f *callerFlags, name string) (*oauthEndpoint, error) {
	if f.clientID == "" {
		return nil, console.BadUsage("--client-id is missing")
	}
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if f.publicURL != "" {
		cfg.PublicURL = f.publicURL
	}
	if cfg.PublicURL == "" {
		return nil, console.BadUsage("the settings do not say which port the server has; give --public-url")
	}
	if cfg.PublicURL, err = secureOrigin(cfg.PublicURL); err != nil {
		return nil, console.BadUsage("--public-url: %w", err)
	}
	secret, err := a.ReadSecret(ctx, "client secret", "--client-secret-file", f.secretFile, clientSecretVariable)
	if err != nil {
		return nil, err
	}
	return &oauthEndpoint{url: cfg.Endpoint(name), clientID: f.clientID, secret: secret, http: newHTTPClient()}, nil
}

// post sends a form with the client's credentials and returns the answer's body. A refusal is an error.
func (e *oauthEndpoint) post(ctx context.Context, form url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "fosite-mcp")
	// RFC 6749 §2.3.1: both parts are form-encoded first.
	request.SetBasicAuth(url.QueryEscape(e.clientID), url.QueryEscape(e.secret))
	response, err := e.http.Do(request)
	if err != nil {
		return nil, unreachable(e.url, "--public-url", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s broke off: %w", e.url, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, oauthRefusal(e.url, response, body)
	}
	return body, nil
}
