package admin

import (
	"context"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// Clients is a host's own table of clients. It is the one that the fosite.ClientManager of storage.WithClients reads.
//
// Reads and writes with a context take part in the transaction of that context: put them into storage.Store.InTransaction.
// The API reads back what it has written, in the same transaction. A member that does not come back is a mistake of the
// caller (400, with the name of the member), so a table may have fewer columns than a [client.Client] has members.
//
// After a change the API also asks the fosite.ClientManager. It must find active clients, and answer fosite.ErrNotFound for those
// that are disabled, expired or deleted. Where it does not, the answer is 503 and the log says why.
type Clients interface {
	// List returns clients that were not deleted, by CreatedAt (in milliseconds) and ID, and whether there are more. They need
	// no Secrets. Of the filter there may be Status (client.Active or client.Disabled, as it is stored), Query, After, Limit and IDs.
	// IDs keeps an [Actor] to single clients: a client that it leaves out is answered with 503.
	List(ctx context.Context, filter clients.Filter) (page []*client.Client, more bool, err error)
	// Find returns a client, active or disabled, with all its Secrets, newest first; or fosite.ErrNotFound.
	Find(ctx context.Context, id string) (*client.Client, error)
	// Create stores a client and its Secrets as they are, Version and times included; or answers [clients.ErrExists], also for
	// the id of a client that was deleted.
	Create(ctx context.Context, c *client.Client) error
	// Update stores what was changed of a client, raises Version by one, and sets UpdatedAt. It answers [clients.ErrStale] when
	// the stored Version is not that of c. Secrets are not touched.
	Update(ctx context.Context, c *client.Client) error
	// Delete ends a client and its secrets; fosite.ErrNotFound: there is none. Its id stays taken.
	Delete(ctx context.Context, id string) error
	// AddSecret stores another secret. Unless endPrevious is zero, the client's other secrets expire then, if not before. A secret
	// works until its ExpiresAt, if that is not zero.
	AddSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error
	// DeleteSecret ends a secret; fosite.ErrNotFound: the client has no such one.
	DeleteSecret(ctx context.Context, clientID, secretID string) error
}

// registry is what the API does with clients: that of the store, or a host's.
type registry interface {
	List(ctx context.Context, filter clients.Filter) (page []*client.Client, more bool, err error)
	Find(ctx context.Context, id string) (*client.Client, error)
	Create(ctx context.Context, c *client.Client) error
	Update(ctx context.Context, c *client.Client) error
	Delete(ctx context.Context, id string) error
	SetStatus(ctx context.Context, id string, status client.Status, version int64) (changed bool, err error)
	AddSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error
	ReplaceSecrets(ctx context.Context, clientID string, secret *client.Secret) error
	DeleteSecret(ctx context.Context, clientID, secretID string, revokeTokens bool) error
	Revoke(ctx context.Context, id string) error
	RevokeBefore(ctx context.Context, id string, t time.Time) error
	RevokeSecret(ctx context.Context, clientID, secretID string) error
}

var (
	_ registry = (*clients.Registry)(nil)
	_ registry = (*hosted)(nil)
)
