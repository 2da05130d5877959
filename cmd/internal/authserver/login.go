package authserver

import (
	"errors"
	"net/netip"
	"slices"

	"fosite-mcp/config"
	"fosite-mcp/handlers/login"
)

// newLogin makes the built-in login and consent pages, as configured; nil when only machines get tokens.
func (p *parts) newLogin() (*login.Pages, error) {
	cfg, store := p.cfg, p.store
	methods := cfg.Login.Methods
	if len(methods) == 0 {
		return nil, nil
	}
	key, previous := p.secrets.keys("login")
	options := login.Options{
		Origin:       cfg.PublicURL,
		BasePath:     cfg.BasePath,
		GroupsMaxAge: cfg.Login.GroupsMaxAge,
		Key:          key,
		PreviousKeys: previous,
		Sessions:     store.LoginSessions(),
		Consents:     store.Consents(),
		Scopes:       map[string]string{},
		Resources:    map[string]string{},
		Failures:     p.limits.failures,
		LoginFailed:  p.recorder.LoginFailed,
		Log:          p.log,
	}
	for name, scope := range cfg.Scopes {
		options.Scopes[name] = scope.Description
	}
	for identifier, resource := range cfg.Resources {
		options.Resources[identifier] = resource.Name
	}
	if slices.Contains(methods, config.LoginLocal) {
		options.Local = &login.Local{Accounts: store.Users(), Hasher: p.oauth.Config.ClientSecretsHasher}
	}
	if slices.Contains(methods, config.LoginOIDC) {
		provider := upstream(cfg)
		options.OIDC = &provider
	}
	if slices.Contains(methods, config.LoginHeader) {
		proxies, err := prefixes(cfg.Login.Header.Proxies)
		if err != nil {
			return nil, err
		}
		options.Header = &login.Header{Name: cfg.Login.Header.Name, Groups: cfg.Login.Header.Groups, Proxies: proxies}
	}
	return login.New(options)
}

// upstream is the OpenID Connect provider.
func upstream(cfg config.Config) login.OIDC {
	set := cfg.Login.OIDC
	return login.OIDC{Issuer: set.Issuer, ClientID: set.ClientID, ClientSecret: set.ClientSecret.Reveal(), Scopes: set.Scopes, GroupsClaim: set.GroupsClaim}
}

func prefixes(texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, parseErr := netip.ParsePrefix(text)
		err = errors.Join(err, parseErr)
		list = append(list, prefix)
	}
	return list, err
}
