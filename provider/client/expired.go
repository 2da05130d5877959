package client

import (
	"time"

	"github.com/ory/fosite"
)

// ErrDisabled is [fosite.ErrNotFound] for a client that is disabled. Callers are told no more than that there is none; the audit log is.
var ErrDisabled error = disabledError{}

type disabledError struct{}

func (disabledError) Error() string { return "the client is disabled" }

// Unwrap makes it one of a client that is not there.
func (disabledError) Unwrap() error { return fosite.ErrNotFound }

// ExpiredError is [fosite.ErrNotFound] for a client that has expired. It gets nothing, as if there were none; but whoever proves to
// be this client may be told why.
type ExpiredError struct {
	Client fosite.Client
	At     time.Time
}

func (e *ExpiredError) Error() string { return "the client has expired" }

// Unwrap makes it one of a client that is not there.
func (e *ExpiredError) Unwrap() error { return fosite.ErrNotFound }
