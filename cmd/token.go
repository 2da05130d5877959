package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// accessTokenVariable is the environment variable with an access token. It is no setting of the server.
const accessTokenVariable = "MCP_ACCESS_TOKEN"

// tokenCommand is the group of commands on tokens.
func tokenCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Get, inspect, list and revoke tokens",
		Long:  "Get and inspect tokens as a client does; list and revoke them through the admin API.",
		Example: `  fosite-mcp token mint --client-id mcp_4xw7 --client-secret-file ci.secret
  fosite-mcp token list mcp_4xw7`,
	}
	c.AddCommand(tokenMintCommand(a), tokenIntrospectCommand(a), tokenListCommand(a), tokenRevokeCommand(a))
	return c
}

func tokenMintCommand(a *app) *cobra.Command {
	var caller apiclient.CallerFlags
	var scope, resources []string
	c := &cobra.Command{
		Use:   "mint",
		Short: "Get an access token for a machine (client_credentials)",
		Long: `Get an access token with a client's id and secret, as the client itself would (RFC 6749 section 4.4). Stdout gets the
token and nothing else.`,
		Example: `  TOKEN=$(fosite-mcp token mint --client-id mcp_4xw7 --client-secret-file ci.secret)
  MCP_CLIENT_SECRET=$(pass show ci) fosite-mcp token mint --client-id mcp_4xw7 --scope mcp:search`,
		RunE: func(c *cobra.Command, _ []string) error {
			endpoint, err := a.oauthEndpoint(c.Context(), &caller, "token")
			if err != nil {
				return err
			}
			form := map[string][]string{"grant_type": {"client_credentials"}}
			if words := strings.Fields(strings.Join(scope, " ")); len(words) > 0 {
				form["scope"] = []string{strings.Join(words, " ")}
			}
			if len(resources) > 0 {
				form["resource"] = resources
			}
			return mint(c.Context(), &a.Terminal, endpoint, form)
		},
	}
	caller.Register(c)
	c.Flags().StringArrayVar(&scope, "scope", nil, "`scopes` to ask for, separated by spaces (default: all of the client's)")
	c.Flags().StringArrayVar(&resources, "resource", nil, "resource `URI` that the token is for (default: the server's default); repeatable")
	return c
}

func mint(ctx context.Context, out *terminal.Terminal, endpoint *apiclient.Endpoint, form map[string][]string) error {
	body, err := endpoint.Post(ctx, form)
	if err != nil {
		return err
	}
	var token struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal(body, &token); err != nil || token.AccessToken == "" {
		return fmt.Errorf("%s answered without a token; is the address right?", endpoint.URL)
	}
	if out.JSON {
		return out.PrintJSON(body)
	}
	if _, err := fmt.Fprintln(out.Stdout, terminal.Printable(token.AccessToken)); err != nil {
		return err
	}
	validity := ""
	if token.ExpiresIn > 0 {
		end := time.Now().Add(time.Duration(token.ExpiresIn) * time.Second)
		validity = fmt.Sprintf(", valid for %s, until %s", terminal.Life(token.ExpiresIn), terminal.Time(&end))
	}
	out.Notice("a token for scope %q%s", token.Scope, validity)
	return nil
}

func tokenIntrospectCommand(a *app) *cobra.Command {
	var caller apiclient.CallerFlags
	var tokenFile string
	var check bool
	c := &cobra.Command{
		Use:   "introspect",
		Short: "Ask whether a token is active, and what it allows",
		Long: `Ask whether a token is active, and what it allows (RFC 7662). The client that asks must introspect for a resource of
the token; one that introspects for none may ask about its own tokens. An inactive token is an answer, and no failure,
unless --check is given.`,
		Example: `  fosite-mcp token introspect --client-id docs --client-secret-file docs.secret --token-file token.txt
  MCP_ACCESS_TOKEN=$TOKEN fosite-mcp token introspect --client-id docs --client-secret-file docs.secret --check`,
		RunE: func(c *cobra.Command, _ []string) error {
			if caller.SecretFile == "-" && tokenFile == "-" {
				return terminal.BadUsage("stdin can hold the token or the client secret, not both")
			}
			endpoint, err := a.oauthEndpoint(c.Context(), &caller, "introspect")
			if err != nil {
				return err
			}
			token, err := a.ReadSecret(c.Context(), "token", "--token-file", tokenFile, accessTokenVariable)
			if err != nil {
				return err
			}
			return introspect(c.Context(), &a.Terminal, endpoint, token, check)
		},
	}
	caller.Register(c)
	c.Flags().StringVar(&tokenFile, "token-file", "", "`file` with the token, - for stdin (default: the variable "+accessTokenVariable+")")
	c.Flags().BoolVar(&check, "check", false, "exit with 1 unless the token is active")
	return c
}

// introspection is what is shown of RFC 7662's answer.
type introspectionView struct {
	Active     *bool    `json:"active"`
	ClientID   string   `json:"client_id"`
	ClientName string   `json:"client_name"`
	Username   string   `json:"username"`
	Subject    string   `json:"sub"`
	Groups     []string `json:"groups"`
	AuthTime   int64    `json:"auth_time"`
	Scope      string   `json:"scope"`
	Audience   any      `json:"aud"`
	Issuer     string   `json:"iss"`
	TokenID    string   `json:"jti"`
	IssuedAt   int64    `json:"iat"`
	Expires    int64    `json:"exp"`
	MCP        struct {
		Tools []string `json:"tools"`
	} `json:"mcp"`
}

func introspect(ctx context.Context, out *terminal.Terminal, endpoint *apiclient.Endpoint, token string, check bool) error {
	body, err := endpoint.Post(ctx, map[string][]string{"token": {token}})
	if err != nil {
		return err
	}
	var answer introspectionView
	if err := json.Unmarshal(body, &answer); err != nil || answer.Active == nil {
		return fmt.Errorf("%s does not answer as RFC 7662 says; is the address right?", endpoint.URL)
	}
	if out.JSON {
		err = out.PrintJSON(body)
	} else {
		err = out.Fields(answer.particulars()...)
	}
	if err == nil && check && !*answer.Active {
		err = errors.New("the token is not active")
	}
	return err
}

func (v *introspectionView) particulars() []string {
	return []string{
		"active", fmt.Sprint(*v.Active),
		"client_id", v.ClientID,
		"client_name", v.ClientName,
		"username", v.Username,
		"sub", v.Subject,
		"groups", strings.Join(v.Groups, " "),
		"auth_time", unixTime(v.AuthTime),
		"scope", v.Scope,
		"tools", strings.Join(v.MCP.Tools, " "),
		"aud", joined(v.Audience),
		"iss", v.Issuer,
		"token_id", v.TokenID,
		"issued_at", unixTime(v.IssuedAt),
		"expires_at", unixTime(v.Expires),
	}
}

// joined writes an audience, which is a string or a list of them (RFC 7662 §2.2).
func joined(audience any) string {
	switch aud := audience.(type) {
	case string:
		return aud
	case []any:
		words := make([]string, 0, len(aud))
		for _, word := range aud {
			words = append(words, fmt.Sprint(word))
		}
		return strings.Join(words, " ")
	}
	return ""
}

func unixTime(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	t := time.Unix(seconds, 0)
	return terminal.Time(&t)
}
