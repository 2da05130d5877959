package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ory/fosite"
	"golang.org/x/sync/singleflight"
)

const (
	maxDocumentLength = 5 << 10
	maxDocuments      = 500 // that are remembered
	usualDocumentLife = 15 * time.Minute
	minDocumentLife   = 5 * time.Minute
	maxDocumentLife   = time.Hour
)

// DocumentStore keeps the clients that metadata documents describe. storage.Store.Clients does.
type DocumentStore interface {
	// Documented reads the client of a document whatever its status, or answers [fosite.ErrNotFound].
	Documented(ctx context.Context, id string) (*client.Client, error)
	// KeepDocumented stores what a document says now; [fosite.ErrNotFound] for a client that an administrator has disabled or
	// deleted.
	KeepDocumented(ctx context.Context, c *client.Client) error
}

// ClientDocuments knows clients by their metadata documents (draft-ietf-oauth-client-id-metadata-document): the client_id is the
// URL of a JSON document that says what a registration says. Make one with [NewClientDocuments], and set [Options.Documents]; in a
// composition of your own set [AuthorizePolicy.Documents] and [ClientAuthenticator.Documents], and call Keep before you answer an
// authorization request.
//
// A document is fetched when a person comes with an authorization request, and when a client authenticates with a key: over https,
// from public addresses only, without redirects or proxies, within 5 seconds and 5 KiB. It is remembered as long as its max-age
// says, between five minutes and an hour. A failure is not remembered. The client is stored once somebody has consented.
//
// It is safe for concurrent use.
type ClientDocuments struct {
	o       DocumentOptions
	guarded *http.Client
	known   *lru.Cache[string, knownDocument]
	flights singleflight.Group
	slots   *fetchSlots
}

// DocumentOptions are the choices of [NewClientDocuments]. Store, Rules and Hosts are required.
type DocumentOptions struct {
	Store DocumentStore
	Rules client.DynamicRules
	// Hosts may have documents: names, *.example.com for every host below a name, or * for any. DeniedHosts may not, even so.
	Hosts, DeniedHosts []string
	// Allow is asked before each fetch; its error is the answer. nil: there is no limit beyond 16 at a time, and 2 of one host.
	Allow func(ctx context.Context) error
	// InsecureAllowPrivateAddresses also fetches from addresses that are not of the public internet, over https.
	InsecureAllowPrivateAddresses bool
	// Log tells why a document was refused; nil: slog.Default.
	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// knownDocument is what a document says until it has to be fetched again. The client must not be changed.
type knownDocument struct {
	client  *client.Client
	expires time.Time
}

// NewClientDocuments makes a [ClientDocuments]. It fetches nothing yet.
func NewClientDocuments(o DocumentOptions) (*ClientDocuments, error) {
	if o.Store == nil || len(o.Hosts) == 0 {
		return nil, errors.New(`provider: set DocumentOptions.Store and Hosts ("*" is any)`)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	known, err := lru.New[string, knownDocument](maxDocuments)
	if err != nil {
		return nil, err
	}
	return &ClientDocuments{
		o:       o,
		guarded: guardedHTTPClient(reach{anyAddress: o.InsecureAllowPrivateAddresses}),
		known:   known,
		slots:   newFetchSlots(),
	}, nil
}

// errDocument is for the person at the browser. No client is asked to drop its credentials.
var errDocument = &fosite.RFC6749Error{ErrorField: "invalid_client_metadata", DescriptionField: "The metadata document of the application cannot be used.", CodeField: http.StatusBadRequest}

// errDocumentUnreachable says that nothing is known about the client now. It does not tell a name that leads to a forbidden address
// from one that leads nowhere: that would show strangers the names of our network. A status of 500 or more would be an outage of
// this server.
var errDocumentUnreachable = &fosite.RFC6749Error{ErrorField: fosite.ErrTemporarilyUnavailable.ErrorField, DescriptionField: "The metadata document of the application cannot be fetched.", CodeField: http.StatusFailedDependency}

// Client is the client whose metadata document is at the URL id, stored or not. The error tells a person why there is none.
func (d *ClientDocuments) Client(ctx context.Context, id string) (fosite.Client, error) {
	if err := d.checkHost(id); err != nil {
		return nil, err
	}
	stored, err := d.o.Store.Documented(ctx, id)
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		stored = nil
	case err != nil:
		return nil, unavailable(err)
	case stored.Status != client.Active || !stored.ExpiresAt.IsZero() && !clock(d.o.Now).Before(stored.ExpiresAt) || stored.RegisteredBy != client.MetadataDocument:
		return nil, errDocument.WithHint("An administrator has shut this application out.")
	}
	described, err := d.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored != nil {
		return stored.Described(described).Fosite(), nil
	}
	fresh := *described
	return fresh.Fosite(), nil
}

// checkHost tells a person why no document is read at the URL id.
func (d *ClientDocuments) checkHost(id string) error {
	host, err := client.DocumentHost(id)
	if err != nil {
		return errDocument.WithHintf("The client_id %s.", err)
	}
	if host = strings.ToLower(host); !hostListed(d.o.Hosts, host) || hostListed(d.o.DeniedHosts, host) {
		return errDocument.WithHintf("Applications of %s are not let in here. The administrator decides which are (registration.document_hosts).", host)
	}
	return nil
}

// letsIn tells why the client of a document is not let in here any more; nil for every other client. A nil d lets all in.
func (d *ClientDocuments) letsIn(c fosite.Client) error {
	if known := client.Of(c); d == nil || known == nil || known.RegisteredBy != client.MetadataDocument {
		return nil
	}
	return d.checkHost(c.GetID())
}

// hook ends the tokens of clients whose host was denied after they were issued.
func (d *ClientDocuments) hook(_ context.Context, token fosite.AccessRequester) error {
	if err := d.letsIn(token.GetClient()); err != nil {
		return fosite.ErrInactiveToken.WithDebug("the host of the client's metadata document is not let in")
	}
	return nil
}

// Keep stores the client of a document, with what the document says. Call it before anything is issued to the client. It does
// nothing for another client.
func (d *ClientDocuments) Keep(ctx context.Context, c fosite.Client) error {
	documented := client.Of(c)
	if documented == nil || documented.RegisteredBy != client.MetadataDocument {
		return nil
	}
	err := d.o.Store.KeepDocumented(ctx, documented)
	if errors.Is(err, fosite.ErrNotFound) {
		return errDocument.WithHint("An administrator has shut this application out.")
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// current is a stored client with the key that its document names now. A client without a document, or without a key, is as
// it is.
func (d *ClientDocuments) current(ctx context.Context, stored fosite.Client) (fosite.Client, error) {
	c := client.Of(stored)
	if d == nil || c == nil || c.RegisteredBy != client.MetadataDocument || c.IsPublic() {
		return stored, nil
	}
	if err := d.checkHost(c.ID); err != nil {
		return nil, err
	}
	described, err := d.describe(ctx, c.ID)
	if errors.Is(err, errDocumentUnreachable) {
		return nil, unavailable(err)
	}
	if err != nil {
		return nil, err
	}
	return c.Described(described).Fosite(), nil
}

// describe is the client that the document at the URL id describes, remembered or fetched.
func (d *ClientDocuments) describe(ctx context.Context, id string) (*client.Client, error) {
	if known, ok := d.known.Get(id); ok && clock(d.o.Now).Before(known.expires) {
		return known.client, nil
	}
	if d.o.Allow != nil {
		if err := d.o.Allow(ctx); err != nil {
			return nil, err
		}
	}
	// The fetch outlives the caller who happened to be first: others wait for it too.
	fetched := d.flights.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
		defer cancel()
		release, err := d.slots.acquire(ctx, id)
		if err != nil {
			return nil, errDocumentUnreachable
		}
		defer release()
		return d.fetch(ctx, id)
	})
	select {
	case result := <-fetched:
		c, _ := result.Val.(*client.Client)
		return c, result.Err
	case <-ctx.Done():
		return nil, errDocumentUnreachable
	}
}

// fetch reads the document and remembers it. What is wrong with it is told to the person, and to the log.
func (d *ClientDocuments) fetch(ctx context.Context, id string) (*client.Client, error) {
	c, life, err := d.read(ctx, id)
	if err == nil {
		d.known.Add(id, knownDocument{c, clock(d.o.Now).Add(life)})
		return c, nil
	}
	d.o.Log.WarnContext(ctx, "a client metadata document was refused", "client_id", id, "reason", detail(err))
	d.known.Remove(id)
	if errors.Is(err, fosite.ErrTemporarilyUnavailable) || errors.Is(err, errForbiddenTarget) {
		return nil, errDocumentUnreachable.WithHintf("The document of the application, %s, cannot be fetched: it does not answer now, or is not on the public internet.", id)
	}
	return nil, errDocument.WithHintf("The document of the application, %s, cannot be used: %s.", id, strings.ReplaceAll(err.Error(), "\n", "; "))
}

func (d *ClientDocuments) read(ctx context.Context, id string) (*client.Client, time.Duration, error) {
	body, header, err := fetch(ctx, d.guarded, id, "application/json", maxDocumentLength)
	if err != nil {
		return nil, 0, err
	}
	if !isJSON(header.Get("Content-Type")) {
		return nil, 0, badAnswer("it is not application/json")
	}
	document, err := strictjson.Decode(body)
	if err != nil {
		return nil, 0, fmt.Errorf("it %w", err)
	}
	c, err := d.o.Rules.FromDocument(id, document)
	return c, freshFor(header, usualDocumentLife, minDocumentLife, maxDocumentLife), err
}

// isJSON tells whether a media type is JSON, by itself or as the syntax of another one (RFC 6839 §3.1).
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

// hostListed tells whether a list has a host.
func hostListed(list []string, host string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		below, wild := strings.CutPrefix(entry, "*")
		return entry == host || wild && (below == "" || strings.HasSuffix(host, below))
	})
}
