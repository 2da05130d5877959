package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// registration is a client as the API shows it.
type registration struct {
	ID            string          `json:"client_id"`
	Name          string          `json:"client_name"`
	Owner         string          `json:"owner"`
	Status        string          `json:"status"`
	Scope         string          `json:"scope"`
	Audience      []string        `json:"audience"`
	Introspects   []string        `json:"introspects"`
	GrantTypes    []string        `json:"grant_types"`
	RedirectURIs  []string        `json:"redirect_uris"`
	AuthMethod    string          `json:"token_endpoint_auth_method"`
	JWKS          json.RawMessage `json:"jwks"`
	JWKSURI       string          `json:"jwks_uri"`
	Issuer        string          `json:"assertion_issuer"`
	TokenLifespan int64           `json:"access_token_lifespan"` // seconds; 0: the server's
	RegisteredBy  string          `json:"registered_by"`
	CreatedAt     *time.Time      `json:"created_at"`
	UpdatedAt     *time.Time      `json:"updated_at"`
	ExpiresAt     *time.Time      `json:"expires_at"`
	LastUsedAt    *time.Time      `json:"last_used_at"`
}

// Path is the client's page, or one below it.
func (c registration) Path(below string) string { return base + c.api(below) }

// api is the client's path in the API.
func (c registration) api(below string) string { return "/clients/" + url.PathEscape(c.ID) + below }

// UsesSecret tells whether the client authenticates by a secret.
func (c registration) UsesSecret() bool { return strings.HasPrefix(c.AuthMethod, "client_secret_") }

// Lifespan is how long the client's access tokens live.
func (c registration) Lifespan() string {
	if c.TokenLifespan == 0 {
		return "the server's"
	}
	return (time.Duration(c.TokenLifespan) * time.Second).String()
}

// secret is a secret of a client, without itself.
type secret struct {
	ID         string     `json:"id"`
	Hint       string     `json:"hint"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	EndsOthers bool       `json:"end_previous_on_first_use"`
}

// token is an access token of a client, without itself.
type token struct {
	ID         string     `json:"token_id"`
	Scope      string     `json:"scope"`
	Audience   []string   `json:"audience"`
	Subject    string     `json:"subject"`
	IssuedAt   *time.Time `json:"issued_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Status     string     `json:"status"`
}

// clientsData is the data of clients.html.
type clientsData struct {
	filters
	Clients []registration
}

func clientFilters() filters {
	return filters{Fields: []field{
		{Name: "q", Label: "Search", Hint: "Name, owner or id", Kind: text},
		{
			Name: "status", Label: "Status", Kind: choice,
			Options: []option{{"", "Any"}, {"active", "Active"}, {"disabled", "Disabled"}, {"expired", "Expired"}},
		},
		{Name: "owner", Label: "Owner", Hint: "In full", Kind: text},
		{Name: "unused_for", Label: "Unused for", Hint: "Such as 90d", Kind: text},
		{Name: "expires_within", Label: "Ends within", Hint: "Such as 14d", Kind: text},
	}}
}

func (v *visit) clientsPage() error {
	data := clientsData{filters: clientFilters()}
	var status int
	var err error
	if data.Clients, status, err = listed[registration](v, &data.filters, "/clients", "/clients"); err != nil {
		return err
	}
	return v.render(status, "clients", v.page("Clients", "clients", data))
}

// clientData is the data of client.html.
type clientData struct {
	Client    registration
	Secrets   []secret
	Tokens    []token
	ActiveAll bool // tokens that have ended are shown, too
	Next      string
	First     bool // the first page of tokens
}

func (v *visit) clientPage() error {
	data := clientData{Client: registration{ID: v.named("client_id")}}
	if _, err := v.get(data.Client.api(""), nil, &data.Client); err != nil {
		return err
	}
	var secrets list[secret]
	if data.Client.UsesSecret() {
		if _, err := v.get(data.Client.api("/secrets"), nil, &secrets); err != nil {
			return err
		}
	}
	data.Secrets = secrets.Items
	page, query := v.r.URL.Query(), url.Values{"limit": {"25"}}
	cursor := page.Get("cursor")
	if data.First = cursor == ""; !data.First {
		query.Set("cursor", cursor)
	}
	if data.ActiveAll = page.Get("tokens") == "all"; !data.ActiveAll {
		query.Set("active", "true")
	}
	var tokens list[token]
	if _, err := v.get(data.Client.api("/tokens"), query, &tokens); err != nil {
		return err
	}
	data.Tokens = tokens.Items
	if tokens.NextCursor != "" {
		next := url.Values{"cursor": {tokens.NextCursor}}
		if data.ActiveAll {
			next.Set("tokens", "all")
		}
		data.Next = data.Client.Path("") + "?" + next.Encode() + "#tokens"
	}
	return v.render(http.StatusOK, "client", v.page(data.Client.Name, "clients", data))
}
