package storage

import (
	"context"
	"database/sql/driver"
)

// failingConnector stands in for a database that New could not use, so that each call says why.
type failingConnector struct{ err error }

func (f failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, f.err }
func (f failingConnector) Driver() driver.Driver                        { return f }
func (f failingConnector) Open(string) (driver.Conn, error)             { return nil, f.err }
