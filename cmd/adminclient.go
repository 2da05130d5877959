package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
	"fosite-mcp/provider/client"

	"github.com/spf13/cobra"
)

const (
	apiTimeout   = 60 * time.Second
	apiBodyLimit = 32 << 20 // a page of 1,000 clients stays far below
)

// adminFlags say where the admin API is and which key opens it. The key itself is never a flag: command lines are
// visible to every user of a machine.
type adminFlags struct {
	url     string
	keyFile string
}

func (f *adminFlags) register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.url, "admin-url", "", "`origin` of the admin API (default: from the setting admin.listen)")
	c.PersistentFlags().StringVar(&f.keyFile, "admin-key-file", "", "`file` with the admin key (default: the setting admin.key, else admin.key in data_dir)")
}

// adminAPI is a client of the admin API. Make one with [app.adminAPI].
type adminAPI struct {
	origin    string
	key       string
	keySource string // where the key came from, for messages
	http      *http.Client
}

// adminAPI reads the settings and the admin key. It does not connect yet.
func (a *app) adminAPI(f *adminFlags) (*adminAPI, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	origin := f.url
	if origin == "" {
		if origin, err = adminOrigin(cfg); err != nil {
			return nil, console.BadUsage("%w", err)
		}
	}
	if origin, err = secureOrigin(origin); err != nil {
		return nil, console.BadUsage("--admin-url: %w", err)
	}
	api := &adminAPI{origin: origin, http: newHTTPClient()}
	if api.key, api.keySource, err = adminKey(cfg, f.keyFile); err != nil {
		return nil, err
	}
	return api, nil
}

// newHTTPClient makes a client that follows no redirects: what it sends is secret, and meant for one server.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       apiTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// adminOrigin is where a command on the same machine reaches the admin listener.
func adminOrigin(cfg config.Config) (string, error) {
	host, port, err := net.SplitHostPort(cfg.Admin.Listen)
	if err != nil || port == "0" {
		return "", errors.New("the setting admin.listen does not say which port the server has; give --admin-url")
	}
	switch addr, err := netip.ParseAddr(host); {
	case host == "", err == nil && addr == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr == netip.IPv6Unspecified():
		host = "::1"
	}
	scheme := "http"
	if cfg.AdminTLS() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// secureOrigin accepts an https origin, or one on this machine. Everything else would carry secrets in clear.
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

// adminKey finds the admin key: a file that was named, the settings, or the file that the server wrote.
func adminKey(cfg config.Config, file string) (key, source string, err error) {
	if file == "" && cfg.Admin.Key != "" {
		return cfg.Admin.Key.Reveal(), "the setting admin.key", nil
	}
	named := file != ""
	if !named {
		file = filepath.Join(cfg.DataDir, "admin.key")
		if err := privatefile.Check(file); err != nil {
			return "", "", fmt.Errorf("read the admin key: %w", err)
		}
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return "", "", fmt.Errorf("no admin key: %s does not exist. The server writes it on its first start (fosite-mcp serve): run this in the server's folder, or give --config; on another machine give --admin-key-file, or set FOSITE_MCP_ADMIN_KEY_FILE", file)
	}
	if err != nil {
		return "", "", fmt.Errorf("read the admin key: %w", err)
	}
	if key = strings.TrimSpace(string(content)); key == "" {
		return "", "", fmt.Errorf("read the admin key: %s is empty", file)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", "", fmt.Errorf("read the admin key: %s does not hold one key alone", file)
	}
	return key, file, nil
}

// apiCall is one request to the admin API. Path segments that come from people go through [segment].
type apiCall struct {
	method, path string
	query        url.Values
	body         any // marshalled as JSON; nil: none
	contentType  string
	ifMatch      string
}

// apiAnswer is a successful answer.
type apiAnswer struct {
	etag string
	body []byte
}

// segment makes a person's argument one segment of a path.
func segment(text string) (string, error) {
	if text == "" || text == "." || text == ".." {
		return "", console.BadUsage("%q is not an id", text)
	}
	return url.PathEscape(text), nil
}

// call sends a request. An answer other than 2xx is an error: a [*apiProblem] where the server explains itself.
func (api *adminAPI) call(ctx context.Context, c apiCall) (*apiAnswer, error) {
	request, err := api.request(ctx, c)
	if err != nil {
		return nil, err
	}
	response, err := api.http.Do(request)
	if err != nil {
		return nil, uncertain(c.method, unreachable(api.origin, "--admin-url", err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, apiBodyLimit+1))
	if err == nil && len(body) > apiBodyLimit {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return nil, uncertain(c.method, fmt.Errorf("the answer of %s broke off: %w", api.origin, err))
	}
	if response.StatusCode/100 != 2 {
		return nil, api.refused(response, body)
	}
	return &apiAnswer{etag: response.Header.Get("ETag"), body: body}, nil
}

func (api *adminAPI) request(ctx context.Context, c apiCall) (*http.Request, error) {
	target := api.origin + "/admin/v1" + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	var body io.Reader
	if c.body != nil {
		encoded, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, target, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+api.key)
	request.Header.Set("Accept", "application/json, application/problem+json")
	request.Header.Set("User-Agent", "fosite-mcp")
	if c.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	if c.ifMatch != "" {
		request.Header.Set("If-Match", c.ifMatch)
	}
	return request, nil
}

// decode sends a request and reads the answer into v.
func (api *adminAPI) decode(ctx context.Context, c apiCall, v any) (*apiAnswer, error) {
	answer, err := api.call(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer.body, v); err != nil {
		return nil, fmt.Errorf("%s does not answer like fosite-mcp: %w", api.origin, err)
	}
	return answer, nil
}

// uncertain says so when a change may have been made although its answer never came.
func uncertain(method string, err error) error {
	if method == http.MethodGet || errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return fmt.Errorf("%w; look whether the change was made before trying again", err)
}

// notRunning is a refused connection, in words that say what to do.
type notRunning struct{ origin, flag string }

func (e notRunning) Error() string {
	return fmt.Sprintf("nothing answers at %s; start the server with: fosite-mcp serve (or say where it is with %s)", e.origin, e.flag)
}

func (notRunning) Unwrap() error { return syscall.ECONNREFUSED }

// unreachable says why no answer came.
func unreachable(origin, flag string, err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return notRunning{origin, flag}
	}
	return fmt.Errorf("no answer from %s: %w", origin, err)
}
