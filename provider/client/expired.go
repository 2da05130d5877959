package client

import (
	"time"

	"github.com/ory/fosite"
)

// ExpiredError is [fosite.ErrNotFound] for a client that has expired. It gets nothing, as if there were none; but whoever proves to
// be this client may be told why.
type ExpiredError struct {
	Client fosite.Client
	At     time.Time
}

func (e *ExpiredError) Error() string { return "the client has expired" }

// Unwrap makes it one of a client that is not there.
func (e *ExpiredError) Unwrap() error { return fosite.ErrNotFound }
