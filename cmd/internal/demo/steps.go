package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/terminal"
)

// demo is one run.
type demo struct {
	out       *terminal.Terminal
	http      *http.Client
	at        authserver.Addresses
	adminKey  string
	endpoints string // URL of the OAuth endpoints
	resource  string // URL of the protected MCP server
	steps     int
}

// credentials are what registration answers.
type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// run goes through the steps. The first one that fails ends it.
func (d *demo) run(ctx context.Context, mcp net.Listener) error {
	docs, err := d.register(ctx, "Register the search server's own client, which introspects",
		fmt.Sprintf(`{"client_name":"docs search","introspects":[%q]}`, d.resource))
	if err != nil {
		return err
	}
	if err := d.startSearch(mcp, docs.ID, docs.Secret); err != nil {
		return err
	}
	ci, err := d.register(ctx, "Register a machine over the JSON API; its secret is shown once", `{"client_name":"ci"}`)
	if err != nil {
		return err
	}
	first, err := d.fetch(ctx, "Get a token, credentials in the form body", ci, false)
	if err != nil {
		return err
	}
	second, err := d.fetch(ctx, "Get a token, credentials in the Authorization header", ci, true)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return d.use(ctx, "Call the protected MCP server with it", first, http.StatusOK) },
		func() error { return d.introspect(ctx, "Introspect it, as the search server does", docs, first, true) },
		func() error { return d.revoke(ctx, ci, first) },
		func() error { return d.introspect(ctx, "It is dead", docs, first, false) },
		func() error { return d.use(ctx, "The MCP server refuses it", first, http.StatusUnauthorized) },
		func() error { return d.use(ctx, "The machine's other token still works", second, http.StatusOK) },
		func() error { return d.deleteClient(ctx, ci) },
		func() error { return d.introspect(ctx, "Its other token is dead too", docs, second, false) },
		func() error { return d.use(ctx, "And the MCP server refuses it", second, http.StatusUnauthorized) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	d.out.Notice("all %d steps went as they should", d.steps)
	return nil
}

func (d *demo) register(ctx context.Context, title, body string) (credentials, error) {
	var created credentials
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.at.AdminURL+"/admin/v1/clients", strings.NewReader(body))
	if err != nil {
		return created, err
	}
	r.Header.Set("Authorization", "Bearer "+d.adminKey)
	r.Header.Set("Content-Type", "application/json")
	curl := fmt.Sprintf(`curl --oauth2-bearer "$ADMIN_KEY" -H 'Content-Type: application/json' -d '%s' %s`, body, r.URL)
	answer, err := d.do(title, curl, r, http.StatusCreated)
	if err != nil {
		return created, err
	}
	if err := json.Unmarshal(answer, &created); err != nil || created.ID == "" || created.Secret == "" {
		return created, fmt.Errorf("%s: the answer has no client_id and client_secret", title)
	}
	return created, nil
}

func (d *demo) fetch(ctx context.Context, title string, c credentials, basic bool) (token string, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	curl := `curl -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials `
	if !basic {
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret)
		curl = `printf "client_id=$CLIENT_ID&client_secret=$CLIENT_SECRET" | curl -d grant_type=client_credentials -d @- `
	}
	r, err := d.form(ctx, "/token", form)
	if err != nil {
		return "", err
	}
	if basic {
		r.SetBasicAuth(c.ID, c.Secret)
	}
	answer, err := d.do(title, curl+r.URL.String(), r, http.StatusOK)
	if err != nil {
		return "", err
	}
	var got struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", fmt.Errorf("%s: %w", title, err)
	}
	if got.AccessToken == "" || got.TokenType != "Bearer" || got.ExpiresIn != 14*24*60*60 || got.Scope != "mcp:search" {
		return "", fmt.Errorf("%s: want a Bearer token for mcp:search that lives 14 days", title)
	}
	return got.AccessToken, nil
}

const searchCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"revoked"}}}`

// use calls a tool of the MCP server with the token.
func (d *demo) use(ctx context.Context, title, token string, want int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.resource, strings.NewReader(searchCall))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	curl := fmt.Sprintf(`curl --oauth2-bearer "$TOKEN" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '%s' %s`, searchCall, d.resource)
	answer, err := d.do(title, curl, r, want)
	if err != nil {
		return err
	}
	if want == http.StatusOK && !bytes.Contains(answer, []byte("revocation.md")) {
		return fmt.Errorf("%s: the search did not find revocation.md", title)
	}
	return nil
}

func (d *demo) introspect(ctx context.Context, title string, as credentials, token string, active bool) error {
	r, err := d.form(ctx, "/introspect", url.Values{"token": {token}})
	if err != nil {
		return err
	}
	r.SetBasicAuth(as.ID, as.Secret)
	answer, err := d.do(title, `printf "token=$TOKEN" | curl -u "$DOCS_ID:$DOCS_SECRET" -d @- `+r.URL.String(), r, http.StatusOK)
	if err != nil {
		return err
	}
	var got struct {
		Active *bool  `json:"active"`
		Scope  string `json:"scope"`
		MCP    struct {
			Resource any      `json:"resource"`
			Tools    []string `json:"tools"`
		} `json:"mcp"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Active == nil || *got.Active != active {
		return fmt.Errorf("%s: want active to be %v", title, active)
	}
	if active && (got.Scope != "mcp:search" || got.MCP.Resource != d.resource || len(got.MCP.Tools) != 2) {
		return fmt.Errorf("%s: want the scope mcp:search, and the two tools that it allows at %s", title, d.resource)
	}
	return nil
}

func (d *demo) revoke(ctx context.Context, c credentials, token string) error {
	r, err := d.form(ctx, "/revoke", url.Values{"token": {token}})
	if err != nil {
		return err
	}
	r.SetBasicAuth(c.ID, c.Secret)
	_, err = d.do("Revoke it", `printf "token=$TOKEN" | curl -u "$CLIENT_ID:$CLIENT_SECRET" -d @- `+r.URL.String(), r, http.StatusOK)
	return err
}

func (d *demo) deleteClient(ctx context.Context, c credentials) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, d.at.AdminURL+"/admin/v1/clients/"+c.ID, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.adminKey)
	_, err = d.do("Delete the machine's client", `curl -X DELETE --oauth2-bearer "$ADMIN_KEY" `+r.URL.String(), r, http.StatusNoContent)
	return err
}

func (d *demo) form(ctx context.Context, path string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoints+path, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, err
}

// do sends a request and prints it with its answer. Another status than want is an error. Secrets and tokens are shortened
// in print, although the server is thrown away: readers copy what a demo does.
func (d *demo) do(title, curl string, r *http.Request, want int) ([]byte, error) {
	response, err := d.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	d.print(exchange{Title: title, Curl: curl, Status: response.StatusCode, Answer: redact(body)})
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s: status %d, want %d", title, response.StatusCode, want)
	}
	return body, nil
}

// redact shortens the members of a JSON object that are secrets; what is not JSON becomes a JSON string.
func redact(body []byte) json.RawMessage {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		text, _ := json.Marshal(string(body)) // strings always encode
		return text
	}
	for _, name := range []string{"client_secret", "access_token"} {
		if secret, ok := object[name].(string); ok && len(secret) > 12 {
			object[name] = secret[:10] + "…"
		}
	}
	short, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	return short
}
