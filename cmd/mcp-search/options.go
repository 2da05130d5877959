package main

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

const envPrefix = "MCP_SEARCH_"

// options are the flags. The secret has none: arguments show in process lists.
type options struct {
	listen            string
	docs              string
	resource          string
	issuer            string
	introspection     string
	clientID          string
	clientSecretFile  string
	clientSecret      string
	insecureAllowHTTP bool
	verbose           bool
}

func (o *options) register(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:9000", "address to serve on")
	f.StringVar(&o.docs, "docs", "./docs", "folder of Markdown pages")
	f.StringVar(&o.resource, "resource", "", "identifier of this server: the URL that clients use (default http://<listen>/authed/mcp)")
	f.StringVar(&o.issuer, "issuer", "http://127.0.0.1:8080", "authorization server that clients get tokens from")
	f.StringVar(&o.introspection, "introspection-endpoint", "", "where to check tokens (default: as the issuer's metadata say)")
	f.StringVar(&o.clientID, "client-id", "", "client id of this server at the authorization server")
	f.StringVar(&o.clientSecretFile, "client-secret-file", "", "file that holds the client secret (or set "+envPrefix+"CLIENT_SECRET)")
	f.BoolVar(&o.insecureAllowHTTP, "insecure-allow-http", false, "allow plain HTTP beyond this machine: behind a TLS proxy or in a closed network only")
	f.BoolVar(&o.verbose, "verbose", false, "log why tokens are refused")
}

type lookupEnv func(key string) (value string, ok bool)

// complete adds what the environment and the secret file hold, and validates.
func (o *options) complete(f *pflag.FlagSet, env lookupEnv) error {
	if err := o.fromEnvironment(f, env); err != nil {
		return err
	}
	if err := o.readSecret(env); err != nil {
		return err
	}
	return o.validate()
}

// fromEnvironment fills in every flag that was not given.
func (o *options) fromEnvironment(f *pflag.FlagSet, env lookupEnv) error {
	var problems []error
	f.VisitAll(func(flag *pflag.Flag) {
		key := envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
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
func (o *options) validate() error {
	host, port, err := net.SplitHostPort(o.listen)
	listens := err == nil && port != ""
	local := resource.IsLoopback(host)
	resourceFault := o.fault(o.resource)
	issuerFault := o.fault(o.issuer)
	rules := []struct {
		bad     bool
		message string
	}{
		{!listens, fmt.Sprintf("--listen %q is not an address: write it like 127.0.0.1:9000", o.listen)},
		{listens && !local && !o.insecureAllowHTTP, fmt.Sprintf("--listen %s can be reached from other machines, which would send their tokens over plain HTTP: "+
			"listen on 127.0.0.1 behind a TLS proxy, or pass --insecure-allow-http if the proxy is on another machine", o.listen)},
		{listens && !local && o.resource == "", "--resource is missing: without a loopback --listen the URL that clients use cannot be guessed"},
		{o.resource != "" && resourceFault != "", "--resource " + resourceFault},
		{issuerFault != "", "--issuer " + issuerFault},
		{o.clientID == "", "--client-id is missing: register a client at the authorization server that introspects this resource, and pass its id"},
		{o.clientSecret == "", "the client secret is missing: pass --client-secret-file or set " + envPrefix + "CLIENT_SECRET"},
	}
	var problems []error
	for _, rule := range rules {
		if rule.bad {
			problems = append(problems, errors.New(rule.message))
		}
	}
	return errors.Join(problems...)
}

// fault says what is wrong with an identifier, without repeating it: it may
// hold a password by mistake.
func (o *options) fault(identifier string) string {
	if _, err := resource.MetadataURL(identifier); err != nil {
		return "is not an absolute http(s) URL without user name and fragment: write it like https://docs.example.com/authed/mcp"
	}
	u, err := url.Parse(identifier)
	if err != nil || u.Scheme == "http" && !resource.IsLoopback(u.Hostname()) && !o.insecureAllowHTTP {
		return "is plain http, which would show tokens to the network: use https, or pass --insecure-allow-http in a closed network"
	}
	return ""
}

// readSecret takes the secret from the file or from the environment.
func (o *options) readSecret(env lookupEnv) error {
	fromEnv, _ := env(envPrefix + "CLIENT_SECRET")
	switch {
	case o.clientSecretFile == "":
		o.clientSecret = fromEnv
		return nil
	case fromEnv != "":
		return errors.New("both --client-secret-file and " + envPrefix + "CLIENT_SECRET are set: keep one of them")
	}
	content, err := os.ReadFile(o.clientSecretFile)
	if err != nil {
		return fmt.Errorf("--client-secret-file: %w", err)
	}
	o.clientSecret = strings.TrimSpace(string(content))
	return nil
}
