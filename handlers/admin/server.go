package admin

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"fosite-mcp/handlers/failures"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// API is the admin API. Store, NewSecret, Hasher and the two signature functions are required. With a Store that was made with
// storage.WithClients so are Clients, Authenticate and Record: that store keeps tokens alone.
type API struct {
	Store *storage.Store
	// Clients is the table that the fosite.ClientManager of storage.WithClients reads; nil: Store has clients of its own.
	Clients Clients
	// Authenticate finds out who calls. A [Refusal] is answered with 401 and its challenge, any other error with 503 and
	// Retry-After. Refused requests with an Authorization header are limited, see Failures. Whoever accepts a cookie must keep
	// other sites' requests out, for instance with http.CrossOriginProtection. nil: an admin key of Store.
	Authenticate func(r *http.Request) (Actor, error)
	// Record receives the audit event of a change, in the transaction of the change: what is written in storage.Store.InTransaction
	// with ctx is committed together with it, or not at all. An error undoes the change and is answered with 503. It may be called
	// more than once for one change, of which one call's writes stay. nil: the audit log of Store, which GET /audit shows; with
	// a Record there is no GET /audit, nothing that is told from it, and no people and admin keys, whose changes the store records itself.
	Record func(ctx context.Context, event audit.Event) error
	// NewSecret makes a client secret; Hasher hashes it.
	NewSecret func() string
	Hasher    fosite.Hasher
	// AccessTokenSignature and RefreshTokenSignature return the signature that a token is stored under, and "" for
	// what is not such a token.
	AccessTokenSignature  func(ctx context.Context, token string) string
	RefreshTokenSignature func(ctx context.Context, token string) string
	// UnverifiedSignature is the kind and the signature of a token that another replica has made with a system secret
	// which is missing here, as that of provider.TokenStrategy; nil: there is no such token. OnMissingSecret is told about
	// one that the database knows; nil: nobody is.
	UnverifiedSignature func(token string) (kind fosite.TokenType, signature string)
	OnMissingSecret     func(ctx context.Context, kind fosite.TokenType)

	// Rules say what clients may be registered with. Their Now is that of the server unless it is set.
	Rules client.Rules
	// Narrow is what introspection leaves today of the scope and the audience that a token of client was granted, see
	// provider.Resources; nil: all of it.
	Narrow func(client fosite.Client, scope, audience []string) (leftScope, leftAudience []string)

	// ReplayKey encrypts secrets in the answers that are kept for an Idempotency-Key. It must be the same on all
	// replicas. nil: a replay never shows a secret.
	ReplayKey []byte
	// PreviousReplayKeys open what was encrypted before, or by a replica that has another ReplayKey.
	PreviousReplayKeys [][]byte
	// CheckpointKey signs checkpoints of the audit log. It must be the same on all replicas; PreviousCheckpointKeys are accepted,
	// too. nil: there are no checkpoints.
	CheckpointKey          []byte
	PreviousCheckpointKeys [][]byte
	// Failures limits the requests of each address that have a wrong key; nil: 10 a minute.
	Failures *limit.Quota[netip.Prefix]
	// Recorder puts failed logins on record; nil: one for these alone, which records them where changes are recorded.
	Recorder *failures.Recorder
	// Log receives failures of the server and of logins, never keys or secrets; nil: slog.Default.
	Log *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// request is an HTTP request that has passed the checks that all operations share.
type request struct {
	*http.Request
	of     *kind             // nil: clients
	id     string            // names this request in answers, logs and audit events
	vars   map[string]string // the variable segments of the path, decoded
	query  map[string]string
	body   map[string]any // the JSON object that was sent; empty when there was none
	raw    []byte         // the same as it came
	claim  *audit.Claim   // nil: no Idempotency-Key
	once   string         // the Idempotency-Key
	caller Actor          // who calls, once that is known

	dryRun bool // all is checked, and nothing is changed
}

// resource serves one path; no operations means that there is no such path.
func (a *api) resource(operations map[string]operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, raw *http.Request) {
		r := &request{Request: raw, id: requestID(raw)}
		w.Header().Set("X-Request-Id", r.id)
		answer, err := a.serve(r, operations)
		if err != nil {
			answer = a.refuse(r, err)
		}
		a.write(w, r, answer)
	})
}

func (a *api) serve(r *request, operations map[string]operation) (*answer, error) {
	method := cmp.Or(map[string]string{http.MethodHead: http.MethodGet}[r.Method], r.Method)
	op, known := operations[method]
	r.of = op.of
	if !op.open {
		wanted := &op
		if !known {
			wanted = nil
		}
		// Before anything else is said, so that strangers learn nothing.
		if err := a.authenticate(r, wanted); err != nil {
			return nil, err
		}
	}
	switch {
	case operations == nil:
		return nil, nothingHere()
	case !known:
		return nil, methodNotAllowed(r.Method, operations)
	}
	if err := r.readQuery(op.query); err != nil {
		return nil, err
	}
	if err := r.readBody(op.body); err != nil {
		return nil, err
	}
	if err := r.readVars(); err != nil {
		return nil, err
	}
	if r.caller.Clients != nil && op.reach == reachNamed && !slices.Contains(r.caller.Clients, r.named()) {
		return nil, fosite.ErrNotFound
	}
	if op.once && !r.dryRun {
		return a.once(r, op.handle)
	}
	return op.handle(a, r)
}
