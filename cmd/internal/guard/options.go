// Package guard is what programs share that let in whoever has an access token: their flags, the verifier of tokens, and serving
// until they are told to stop.
package guard

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"fosite-mcp/handlers/resource"
)

// DefaultIssuer is that of a server without settings.
const DefaultIssuer = "http://127.0.0.1:8080"

// Options are the flags. The secret has none: arguments show in process lists.
type Options struct {
	EnvPrefix string // of the variables that stand for flags
	Listen    string
	Resource  string // empty: follows from the address
	Issuer    string
	Verbose   bool

	InsecureAllowHTTP bool

	introspection    string
	clientID         string
	clientSecretFile string
	clientSecret     string
	cache            bool
}

// Register adds the flags.
func (o *Options) Register(f *pflag.FlagSet) {
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9000", "address to serve on")
	f.StringVar(&o.Resource, "resource", "", "identifier of this server: the URL that clients use (default http://<listen>/authed/mcp)")
	f.StringVar(&o.Issuer, "issuer", DefaultIssuer, "authorization server that clients get tokens from")
	f.StringVar(&o.introspection, "introspection-endpoint", "", "where to check tokens (default: as the issuer's metadata say)")
	f.StringVar(&o.clientID, "client-id", "", "client id of this server at the authorization server")
	f.StringVar(&o.clientSecretFile, "client-secret-file", "", "file that holds the client secret, read again at each check (or set "+o.EnvPrefix+"CLIENT_SECRET)")
	f.BoolVar(&o.cache, "cache", false, "keep answers about tokens while the server's feed of revocations is followed: a revoked token is refused within 5s")
	f.BoolVar(&o.InsecureAllowHTTP, "insecure-allow-http", false, "allow plain HTTP beyond this machine: behind a TLS proxy or in a closed network only")
	f.BoolVar(&o.Verbose, "verbose", false, "log why tokens are refused")
}

// LookupEnv is [os.LookupEnv].
type LookupEnv func(key string) (value string, ok bool)

// Complete adds what the environment and the secret file hold, and validates.
func (o *Options) Complete(f *pflag.FlagSet, env LookupEnv) error {
	if err := o.fromEnvironment(f, env); err != nil {
		return err
	}
	if err := o.readSecret(env); err != nil {
		return err
	}
	return o.validate()
}

// fromEnvironment fills in every flag that was not given.
func (o *Options) fromEnvironment(f *pflag.FlagSet, env LookupEnv) error {
	var problems []error
	f.VisitAll(func(flag *pflag.Flag) {
		key := o.EnvPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := env(key)
		if !ok || flag.Changed || flag.Name == "help" {
			return
		}
		if err := flag.Value.Set(value); err != nil {
			problems = append(problems, fmt.Errorf("%s is %q: %w", key, value, err))
		}
	})
	return errors.Join(problems...)
}

// validate reports all mistakes at once.
func (o *Options) validate() error {
	host, port, err := net.SplitHostPort(o.Listen)
	listens := err == nil && port != ""
	local := resource.IsLoopback(host)
	resourceFault, issuerFault := o.Fault(o.Resource), o.Fault(o.Issuer)
	rules := []struct {
		bad     bool
		message string
	}{
		{!listens, fmt.Sprintf("--listen %q is not an address: write it like 127.0.0.1:9000", o.Listen)},
		{listens && !local && !o.InsecureAllowHTTP, fmt.Sprintf("--listen %s can be reached from other machines, which would send their tokens over plain HTTP: "+
			"listen on 127.0.0.1 behind a TLS proxy, or pass --insecure-allow-http if the proxy is on another machine", o.Listen)},
		{listens && !local && o.Resource == "", "--resource is missing: without a loopback --listen the URL that clients use cannot be guessed"},
		{o.Resource != "" && resourceFault != "", "--resource " + resourceFault},
		{issuerFault != "", "--issuer " + issuerFault},
		{o.clientID == "", "--client-id is missing: register a client at the authorization server that introspects this resource, and pass its id"},
		{o.clientSecret == "", "the client secret is missing: pass --client-secret-file or set " + o.EnvPrefix + "CLIENT_SECRET"},
	}
	var problems []error
	for _, rule := range rules {
		if rule.bad {
			problems = append(problems, errors.New(rule.message))
		}
	}
	return errors.Join(problems...)
}

// Fault says what is wrong with an identifier, without repeating it: it may
// hold a password by mistake.
func (o *Options) Fault(identifier string) string {
	if _, err := resource.MetadataURL(identifier); err != nil {
		return "is not an absolute http(s) URL without user name and fragment: write it like https://docs.example.com/authed/mcp"
	}
	u, err := url.Parse(identifier)
	if err != nil || u.Scheme == "http" && !resource.IsLoopback(u.Hostname()) && !o.InsecureAllowHTTP {
		return "is plain http, which would show tokens to the network: use https, or pass --insecure-allow-http in a closed network"
	}
	return ""
}

// readSecret takes the secret from the file or from the environment.
func (o *Options) readSecret(env LookupEnv) error {
	fromEnv, _ := env(o.EnvPrefix + "CLIENT_SECRET")
	switch {
	case o.clientSecretFile == "":
		o.clientSecret = fromEnv
		return nil
	case fromEnv != "":
		return errors.New("both --client-secret-file and " + o.EnvPrefix + "CLIENT_SECRET are set: keep one of them")
	}
	content, err := os.ReadFile(o.clientSecretFile)
	if err != nil {
		return fmt.Errorf("--client-secret-file: %w", err)
	}
	o.clientSecret = strings.TrimSpace(string(content))
	return nil
}
