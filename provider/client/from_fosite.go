package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client/strictjson"
)

// FromFosite is a client to register, out of a *[fosite.DefaultClient],
// *[fosite.DefaultOpenIDConnectClient] or *[fosite.DefaultResponseModeClient]: the same id, secrets that go on working and
// whatever else it says. What a [Client] cannot say is an error that names each such field; it is not left out, because the
// client would then be allowed more or less than before.
func FromFosite(client fosite.Client) (*Client, error) {
	c, err := fromFosite(client)
	if err != nil {
		return nil, fmt.Errorf("storage: register a client of fosite's: %w", err)
	}
	return c, nil
}

func fromFosite(client fosite.Client) (*Client, error) {
	switch f := client.(type) {
	case *fosite.DefaultClient:
		return fromDefault(f, "", false)
	case *fosite.DefaultOpenIDConnectClient:
		if f == nil {
			break
		}
		c, err := fromDefault(f.DefaultClient, f.TokenEndpointAuthMethod, true)
		if err = errors.Join(err, whatOpenIDLoses(f), keysOf(f)); err != nil {
			return nil, err
		}
		c.JWKS, c.JWKSURI, c.TokenEndpointAuthSigningAlg = f.JSONWebKeys, f.JSONWebKeysURI, f.TokenEndpointAuthSigningAlgorithm
		if c.TokenEndpointAuthMethod == "private_key_jwt" {
			c.TokenEndpointAuthSigningAlg = f.GetTokenEndpointAuthSigningAlgorithm() // with fosite's default
		}
		return c, nil
	case *fosite.DefaultResponseModeClient:
		if f == nil {
			break
		}
		c, err := fromDefault(f.DefaultClient, "", false)
		beyond := slices.DeleteFunc(slices.Clone(f.ResponseModes), func(mode fosite.ResponseModeType) bool { return mode == fosite.ResponseModeDefault })
		if len(beyond) > 0 {
			err = errors.Join(err, fmt.Errorf("ResponseModes is %q, and answers go in the default mode of their response type only; remove the modes if the client asks for none", beyond))
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	return nil, fmt.Errorf("it is a %T; make a client.Client with what it says, or keep it where it is with storage.WithClients", client)
}

// keysOf tells what is wrong with the keys, such as a private one, which everybody who reads the client would see.
func keysOf(f *fosite.DefaultOpenIDConnectClient) error {
	var mistakes strictjson.Mistakes
	checkKeys(&Client{JWKS: f.JSONWebKeys}, &mistakes)
	var errs []error
	for _, mistake := range mistakes {
		errs = append(errs, fmt.Errorf("JSONWebKeys (%s) %s", mistake.Pointer, mistake.Detail))
	}
	return errors.Join(errs...)
}

func whatOpenIDLoses(f *fosite.DefaultOpenIDConnectClient) error {
	var errs []error
	if len(f.RequestURIs) > 0 {
		errs = append(errs, errors.New("RequestURIs is not empty, and requests are never fetched from a URI; remove them if the client sends no request_uri"))
	}
	if f.RequestObjectSigningAlgorithm != "" {
		errs = append(errs, errors.New("RequestObjectSigningAlgorithm is not empty, and request objects are not supported; clear it if the client sends none"))
	}
	return errors.Join(errs...)
}

// fromDefault is what the types have in common. method is empty for a client that may send its secret either way.
func fromDefault(f *fosite.DefaultClient, method string, openID bool) (*Client, error) {
	if f == nil {
		return nil, errors.New("its DefaultClient is nil; there is nothing to register")
	}
	var errs []error
	if f.ID == "" {
		errs = append(errs, errors.New("ID is empty; give the client the id that it sends"))
	}
	switch {
	case f.Public && method == "" && openID:
		errs = append(errs, errors.New("the client: Public is true, and TokenEndpointAuthMethod is empty, which fosite refuses; set it to none, or set Public to false"))
	case f.Public && (method == "" || method == "none"):
		method = "none"
		if len(f.Secret) > 0 || len(f.RotatedSecrets) > 0 {
			errs = append(errs, errors.New("the client: Public is true, and Secret or RotatedSecrets is not empty: a public client has none; clear them, or set Public to false"))
		}
	case f.Public:
		errs = append(errs, fmt.Errorf("the client: Public is true, and TokenEndpointAuthMethod is %q: a public client does not authenticate; set it to none, or set Public to false", method))
	case method == "":
		method = "client_secret_basic" // which has fosite and provider take the secret either way
	case method == "none":
		errs = append(errs, errors.New("TokenEndpointAuthMethod is none, and Public is false: one who need not authenticate is public; set Public to true, or name the method"))
	case method == "private_key_jwt" && (len(f.Secret) > 0 || len(f.RotatedSecrets) > 0):
		errs = append(errs, errors.New("TokenEndpointAuthMethod is private_key_jwt, and Secret or RotatedSecrets is not empty: a client with a key has no secret; clear them, or name another method"))
	case !slices.Contains(authMethods, method):
		errs = append(errs, fmt.Errorf("TokenEndpointAuthMethod is %q; supported are client_secret_basic, client_secret_post, private_key_jwt and none", method))
	}
	c := &Client{
		ID: f.ID, Status: Active, Scope: slices.Clone(f.Scopes), Audience: slices.Clone(f.Audience), GrantTypes: slices.Clone(f.GetGrantTypes()),
		ResponseTypes: slices.Clone(f.GetResponseTypes()), RedirectURIs: slices.Clone(f.RedirectURIs), TokenEndpointAuthMethod: method,
	}
	for _, hash := range append([][]byte{f.Secret}, f.RotatedSecrets...) {
		if len(hash) > 0 {
			c.Secrets = append(c.Secrets, Secret{Hash: slices.Clone(hash)})
		}
	}
	if len(c.Secrets) > MaxSecrets {
		errs = append(errs, fmt.Errorf("Secret and RotatedSecrets are %d hashes, and a client has at most %d; remove those that nobody uses", len(c.Secrets), MaxSecrets))
	}
	return c, errors.Join(errs...)
}
