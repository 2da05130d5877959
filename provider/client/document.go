package client

import (
	"errors"
	"maps"
	"net/url"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

// MetadataDocument is the value of [Client.RegisteredBy] for clients whose id is the URL of a document that describes them
// (draft-ietf-oauth-client-id-metadata-document).
const MetadataDocument = "metadata_document"

// maxDocumentURL bounds the URL: each token carries it.
const maxDocumentURL = 512

// IsDocumentURL tells whether a client id is meant to be the URL of a metadata document. Other ids hold no colon.
func IsDocumentURL(id string) bool { return strings.HasPrefix(id, "https://") }

// DocumentHost is the host of the URL of a metadata document, or why there must be none at this URL. The error reads on from
// "the client_id".
func DocumentHost(id string) (string, error) {
	u, err := parse(id)
	switch {
	case len(id) > maxDocumentURL:
		return "", errors.New("is longer than 512 characters")
	case err != nil:
		return "", err
	case u.Scheme != "https":
		return "", errors.New("must use https")
	case u.Path == "" || u.Path == "/":
		return "", errors.New("must have a path")
	case strings.HasSuffix(u.Hostname(), "."):
		return "", errors.New("must not have a host with a dot at its end")
	}
	return u.Hostname(), checkHost(u)
}

// FromDocument makes a client of the metadata document at the URL id, as [strictjson.Decode] returns it. The rules are those of
// [DynamicRules.Register]. Redirect URIs may also have the host of the document. A client without a key is public: a secret
// cannot stand in a public document. The error is a [strictjson.Mistakes].
func (r DynamicRules) FromDocument(id string, body map[string]any) (*Client, error) {
	if _, err := DocumentHost(id); err != nil {
		return nil, err
	}
	body = maps.Clone(body)
	var m strictjson.Mistakes
	if body["client_id"] != id {
		m.Add("/client_id", "invalid", "must be the URL of the document, character by character")
	}
	if name, _ := body["client_name"].(string); name == "" {
		m.Add("/client_name", "required", "is missing: a name tells people which client this is")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at"} {
		if body[name] != nil {
			m.Add("/"+name, "invalid", "must not stand in a document that everybody can read")
		}
	}
	if method, _ := body["token_endpoint_auth_method"].(string); strings.HasPrefix(method, "client_secret") {
		m.Add("/token_endpoint_auth_method", "invalid", "must be none or private_key_jwt: there is no secret between a client and a server that have never met")
	} else if method == "" {
		body["token_endpoint_auth_method"] = authMethodNone
		if body["jwks"] != nil || body["jwks_uri"] != nil {
			body["token_endpoint_auth_method"] = authMethodKey
		}
	}
	r.ownHost = hostOf(id)
	c, err := r.describe(body)
	var found strictjson.Mistakes
	if err != nil && !errors.As(err, &found) {
		return nil, err
	}
	m.AddNew(found, nil)
	if err := m.Err(); err != nil {
		return nil, err
	}
	c.ID, c.RegisteredBy = id, MetadataDocument
	return c, nil
}

// DocumentHost is the host of the client's metadata document; empty for a client without one.
func (c *Client) DocumentHost() string {
	if c.RegisteredBy != MetadataDocument {
		return ""
	}
	return hostOf(c.ID)
}

// hostOf is the host of a URL, with its port.
func hostOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Host
}
