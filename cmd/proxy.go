package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fosite-mcp/cmd/internal/guard"
	"fosite-mcp/cmd/internal/proxy"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/handlers/resource"

	"github.com/spf13/cobra"
)

// proxyOptions are the flags of proxy.
type proxyOptions struct {
	guard.Options
	upstream  string
	scopes    []string
	name      string
	bodyLimit int64
}

func proxyCommand(a *app) *cobra.Command {
	o := proxyOptions{Options: guard.Options{EnvPrefix: "MCP_PROXY_"}}
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Put OAuth in front of an MCP server that knows nothing of it",
		Long: `Clients reach the MCP server at --upstream only with an access token that has the scopes; each one is checked at the
authorization server, so that a revoked token is refused at its next use. The MCP server gets X-Auth-Subject, X-Auth-Subject-Issuer
(where another issuer has named the subject), X-Auth-Client-Id, X-Auth-Scope and X-Auth-Token-Id, and never the token. Let nothing
else reach it: it believes these headers.

Every flag can also be set in the environment, such as MCP_PROXY_UPSTREAM for --upstream. Without --issuer the authorization
server is that of the settings (--config, FOSITE_MCP_PUBLIC_URL), if there are any.`,
		Example: `  fosite-mcp proxy --upstream http://127.0.0.1:9001/mcp --client-id docs_search --client-secret-file docs_search.secret`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.issuerOfSettings(c, &o); err != nil {
				return err
			}
			if err := o.Complete(c.Flags(), a.Lookup); err != nil {
				return terminal.BadUsage("%w", err)
			}
			upstream, err := o.target()
			if err != nil {
				return terminal.BadUsage("%w", err)
			}
			return a.proxy(c.Context(), &o, upstream)
		},
	}
	f := c.Flags()
	f.StringVar(&o.upstream, "upstream", "", "`URL` of the MCP server")
	f.StringSliceVar(&o.scopes, "scope", []string{"mcp:search"}, "scope that a token must have; may be given several times")
	f.StringVar(&o.name, "name", "", "name of the MCP server, for people")
	f.Int64Var(&o.bodyLimit, "max-request", 4<<20, "largest request, in bytes")
	o.Register(f)
	return c
}

// issuerOfSettings takes the issuer from the server's settings, where there are any: from --config, or from variables that say
// where the server is.
func (a *app) issuerOfSettings(c *cobra.Command, o *proxyOptions) error {
	set := func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"FOSITE_MCP_ISSUER", "FOSITE_MCP_PUBLIC_URL", "FOSITE_MCP_LISTEN"}, name)
	}
	if c.Flags().Changed("issuer") || a.configFile == "" && !slices.ContainsFunc(a.Environ, set) {
		return nil
	}
	cfg, err := a.config()
	if err == nil && cfg.Issuer != "" {
		o.Issuer = cfg.Issuer
	}
	return err
}

// target is the MCP server's URL, or what is wrong with it.
func (o *proxyOptions) target() (*url.URL, error) {
	if o.upstream == "" {
		return nil, errors.New("--upstream is missing: it is the URL of the MCP server, such as http://127.0.0.1:9001/mcp")
	}
	u, err := url.Parse(o.upstream)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("--upstream must be an http or https URL without user name, query and fragment, such as http://127.0.0.1:9001/mcp")
	case u.Scheme == "http" && !resource.IsLoopback(u.Hostname()) && !o.InsecureAllowHTTP:
		return nil, errors.New("--upstream is plain http to another machine, which anybody on the way can read and change: use https, or pass --insecure-allow-http in a closed network")
	case o.bodyLimit <= 0:
		return nil, errors.New("--max-request must be more than 0")
	}
	for _, scope := range o.scopes {
		if scope == "" || strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil, fmt.Errorf("--scope %q is no scope: give each one by itself", scope)
		}
	}
	return u, nil
}

// proxy serves until ctx ends.
func (a *app) proxy(ctx context.Context, o *proxyOptions, upstream *url.URL) error {
	log := o.Logger(a.Stderr)
	listener, err := o.Open()
	if err != nil {
		return err
	}
	defer listener.Close()
	return o.Serve(ctx, listener, guard.Streams, log, func(verifier *resource.Introspector) (http.Handler, error) {
		return proxy.New(proxy.Options{
			Verifier: verifier, Resource: o.Resource, Issuer: o.Issuer, Scopes: o.scopes, Name: o.name, Upstream: upstream, BodyLimit: o.bodyLimit, Log: log,
		})
	}, func() { a.Notice("serving %s from %s", o.Resource, upstream) })
}
