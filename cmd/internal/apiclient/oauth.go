package apiclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

// ClientSecretVariable is the environment variable with the secret of a client. It is no setting of the server.
const ClientSecretVariable = "MCP_CLIENT_SECRET"

// CallerFlags say which client speaks to an OAuth endpoint, and where that is.
type CallerFlags struct {
	ClientID   string
	SecretFile string
	PublicURL  string
}

// Register adds the flags to a command.
func (f *CallerFlags) Register(c *cobra.Command) {
	c.Flags().StringVar(&f.ClientID, "client-id", "", "`id` of the client that asks (required)")
	c.Flags().StringVar(&f.SecretFile, "client-secret-file", "", "`file` with its secret, - for stdin (default: the variable "+ClientSecretVariable+")")
	c.Flags().StringVar(&f.PublicURL, "public-url", "", "`origin` of the server (default: the setting public_url)")
}

// Endpoint is an OAuth endpoint and the client that calls it.
type Endpoint struct {
	URL              string
	clientID, secret string
	http             *http.Client
}

// NewEndpoint makes the client of the endpoint with this name. It reads the client's secret.
func NewEndpoint(ctx context.Context, c *terminal.Terminal, cfg config.Config, f *CallerFlags, name string) (_ *Endpoint, err error) {
	if f.PublicURL != "" {
		cfg.PublicURL = f.PublicURL
	}
	if cfg.PublicURL == "" {
		return nil, terminal.BadUsage("the settings do not say which port the server has; give --public-url")
	}
	if cfg.PublicURL, err = secureOrigin(cfg.PublicURL); err != nil {
		return nil, terminal.BadUsage("--public-url: %w", err)
	}
	secret, err := c.ReadSecret(ctx, "client secret", "--client-secret-file", f.SecretFile, ClientSecretVariable)
	if err != nil {
		return nil, err
	}
	return &Endpoint{URL: cfg.Endpoint(name), clientID: f.ClientID, secret: secret, http: newHTTPClient()}, nil
}

// Post sends a form with the client's credentials and returns the body of the answer. A refusal is an error.
func (e *Endpoint) Post(ctx context.Context, form url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, strings.NewReader(form.Encode()))
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
		return nil, unreachable(e.URL, "--public-url", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, noAnswer(fmt.Errorf("the answer of %s broke off: %w", e.URL, err))
	}
	if response.StatusCode != http.StatusOK {
		return nil, oauthRefusal(e.URL, response, body)
	}
	return body, nil
}

// Refusal is an error answer of an OAuth endpoint (RFC 6749 §5.2).
type Refusal struct {
	Status      int    `json:"status"`
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// Error tells people.
func (r *Refusal) Error() string {
	if r.Description == "" {
		return terminal.Printable(r.Code)
	}
	return terminal.Printable(r.Code) + ": " + terminal.Printable(r.Description)
}

func oauthRefusal(endpoint string, response *http.Response, body []byte) error {
	refusal := new(Refusal)
	if json.Unmarshal(body, refusal) != nil || refusal.Code == "" {
		err := fmt.Errorf("%s answers %q, and not as an OAuth server does; is public_url right?", endpoint, response.Status)
		if response.StatusCode >= http.StatusInternalServerError {
			err = NoAnswer{err}
		}
		return err
	}
	refusal.Status = response.StatusCode
	return refusal
}
