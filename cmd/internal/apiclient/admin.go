// Package apiclient talks to a running server for the commands: to its admin API ([Admin]) and to its OAuth endpoints
// ([Endpoint]). Its errors tell people what to do.
package apiclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/spf13/cobra"
)

// Flags say where the admin API is and which file holds the key. The key itself is never a flag: command lines are visible
// to every user of a machine.
type Flags struct {
	URL     string
	KeyFile string
}

// Register adds the flags to a command and its subcommands.
func (f *Flags) Register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.URL, "admin-url", "", "`origin` of the admin API (default: from the setting admin.listen)")
	c.PersistentFlags().StringVar(&f.KeyFile, "admin-key-file", "", "`file` with the admin key (default: the setting admin.key, else admin.key in data_dir)")
}

// Admin is a client of the admin API. Make one with [NewAdmin].
type Admin struct {
	origin    string
	key       string
	keySource string // where the key came from, for messages
	http      *http.Client
}

// NewAdmin takes the address and the admin key from the flags, or else from the settings. It does not connect.
func NewAdmin(cfg config.Config, f *Flags) (_ *Admin, err error) {
	origin := f.URL
	if origin == "" {
		if origin, err = adminOrigin(cfg); err != nil {
			return nil, terminal.BadUsage("%w", err)
		}
	}
	if origin, err = secureOrigin(origin); err != nil {
		return nil, terminal.BadUsage("--admin-url: %w", err)
	}
	api := &Admin{origin: origin, http: newHTTPClient()}
	if api.key, api.keySource, err = adminKey(cfg, f.KeyFile); err != nil {
		return nil, err
	}
	return api, nil
}

const (
	apiTimeout   = 60 * time.Second
	apiBodyLimit = 32 << 20 // a page of clients is far smaller
)

// Call is one request to the admin API.
type Call struct {
	Method      string
	Path        []string // below /admin/v1; each element is escaped
	Query       url.Values
	Body        any    // encoded as JSON; nil: none
	ContentType string // of the body; default: application/json
	IfMatch     string
	Accept      string // default: application/json
	// IdempotencyKey lets a POST that is sent again be answered as it was the first time.
	IdempotencyKey string
}

// Get reads what is at path.
func Get(path ...string) Call { return Call{Method: http.MethodGet, Path: path} }

// Post sends body, which may be nil, to path.
func Post(body any, path ...string) Call {
	return Call{Method: http.MethodPost, Path: path, Body: body}
}

// Delete deletes what is at path.
func Delete(path ...string) Call { return Call{Method: http.MethodDelete, Path: path} }

// Answer is a successful answer.
type Answer struct {
	ETag string
	Next string // the cursor of the next page, in formats that have no place for it
	Body []byte
}

// CheckID refuses an id that a path could not hold.
func CheckID(id string) error {
	if id == "" || id == "." || id == ".." {
		return terminal.BadUsage("%q is not an id", id)
	}
	return nil
}

// Do sends a request. An answer other than 2xx is an error: a [*Problem] where the server says why.
func (api *Admin) Do(ctx context.Context, c Call) (*Answer, error) {
	request, err := api.request(ctx, c)
	if err != nil {
		return nil, err
	}
	response, err := api.http.Do(request)
	if err != nil {
		return nil, uncertain(c.Method, unreachable(api.origin, "--admin-url", err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, apiBodyLimit+1))
	if err == nil && len(body) > apiBodyLimit {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return nil, uncertain(c.Method, noAnswer(fmt.Errorf("the answer of %s broke off: %w", api.origin, err)))
	}
	if response.StatusCode/100 != 2 {
		return nil, api.refused(response, body)
	}
	return &Answer{ETag: response.Header.Get("ETag"), Next: nextCursor(response.Header), Body: body}, nil
}

// nextCursor is that of the Link to the next page (RFC 8288), which the server writes alone and in this form.
func nextCursor(header http.Header) string {
	target, isNext := strings.CutSuffix(header.Get("Link"), `>; rel="next"`)
	link, err := url.Parse(strings.TrimPrefix(target, "<"))
	if !isNext || err != nil {
		return ""
	}
	return link.Query().Get("cursor")
}

func (api *Admin) request(ctx context.Context, c Call) (*http.Request, error) {
	target := api.origin + "/admin/v1"
	for _, segment := range c.Path {
		if err := CheckID(segment); err != nil {
			return nil, err
		}
		target += "/" + url.PathEscape(segment)
	}
	if len(c.Query) > 0 {
		target += "?" + c.Query.Encode()
	}
	var body io.Reader
	if c.Body != nil {
		encoded, err := json.Marshal(c.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, c.Method, target, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+api.key)
	request.Header.Set("Accept", cmp.Or(c.Accept, "application/json")+", application/problem+json")
	request.Header.Set("User-Agent", "fosite-mcp")
	if c.Body != nil {
		request.Header.Set("Content-Type", cmp.Or(c.ContentType, "application/json"))
	}
	if c.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", c.IdempotencyKey)
	}
	if c.IfMatch != "" {
		request.Header.Set("If-Match", c.IfMatch)
	}
	return request, nil
}

// Decode sends a request and reads the answer into v.
func (api *Admin) Decode(ctx context.Context, c Call, v any) (*Answer, error) {
	answer, err := api.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer.Body, v); err != nil {
		return nil, api.Foreign(err)
	}
	return answer, nil
}

// Foreign says that an answer is not one of the admin API.
func (api *Admin) Foreign(err error) error {
	return fmt.Errorf("%s does not answer like fosite-mcp: %w", api.origin, err)
}
