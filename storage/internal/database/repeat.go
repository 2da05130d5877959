package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"gorm.io/gorm"
)

// conflictRetries bounds how often a transaction that lost against another one is run again.
const conflictRetries = 8

// How often work is repeated after its connection was lost. A session that had ended is then out of the pool, and the next one
// may have ended, too; our server's own pool checks them before. After other failures more attempts hardly help.
const (
	endedSessions = 40
	reconnects    = 3
)

// Repeat runs fn again where it certainly has not happened: when PostgreSQL says that it lost against a concurrent
// transaction (serialization_failure, deadlock_detected), or when its connection was lost before it began or before its
// transaction was to be committed.
func Repeat(ctx context.Context, fn func() error) error {
	for attempt, lost := 0, 0; ; {
		err := fn()
		switch {
		case err == nil:
			return nil
		case isConflict(err) && attempt < conflictRetries:
			pause := time.Duration(1+rand.IntN(4<<attempt)) * time.Millisecond
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w (while waiting to try again: %w)", err, ctx.Err())
			case <-time.After(pause):
			}
			attempt++
		case didNotRun(err) && lost < attempts(err) && ctx.Err() == nil:
			lost++
		default:
			return err
		}
	}
}

func isConflict(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}

// beforeCommit says that the transaction in which err occurred was not to be committed yet.
type beforeCommit struct{ error }

func (e beforeCommit) Unwrap() error { return e.error }

// notCommitted marks err, the end of a transaction before its commit, if the connection was lost.
func notCommitted(err error) error {
	if isConnectionLost(err) {
		return beforeCommit{err}
	}
	return err
}

// didNotRun tells whether work failed for want of a connection and has not happened. A connection that breaks during a
// statement without a transaction, or during a commit, tells nothing of the kind.
func didNotRun(err error) bool {
	var before beforeCommit
	return isTurnedAway(err) || errors.As(err, &before) && isConnectionLost(err)
}

// isTurnedAway tells whether the server has not done what it was asked: it could not be asked, it has ended the session
// instead (PostgreSQL does not while it commits), or it takes no writes any more.
func isTurnedAway(err error) bool {
	var unsent interface{ SafeToRetry() bool }
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, syscall.ECONNREFUSED):
		return true
	case errors.As(err, &unsent) && unsent.SafeToRetry():
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	switch sqlState(err) {
	case "57P01", "57P03", "57P05", readOnlyTransaction: // admin_shutdown, cannot_connect_now, idle_session_timeout
		return true
	}
	return false
}

// attempts is how often work that err ended may be repeated.
func attempts(err error) int {
	if state := sqlState(err); state == "57P01" || state == "57P05" || errors.Is(err, driver.ErrBadConn) {
		return endedSessions
	}
	return reconnects
}

// readOnlyTransaction is what a standby answers to a write, and a primary that has become one.
const readOnlyTransaction = "25006"

// isConnectionLost tells whether the connection broke, whatever the server has done.
func isConnectionLost(err error) bool {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case isTurnedAway(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	}
	state := sqlState(err)
	return state == "57P02" || strings.HasPrefix(state, "08") // crash_shutdown, connection_exception
}

// IsDivisionByZero tells whether a statement on PostgreSQL has failed because it divided by zero.
func IsDivisionByZero(err error) bool { return sqlState(err) == "22012" }

func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

// repeatingPool reads once more where the connection is lost.
type repeatingPool struct{ gorm.ConnPool }

func (p repeatingPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	for attempt := 0; ; attempt++ {
		rows, err := p.ConnPool.QueryContext(ctx, query, args...)
		// Once more where the server may have died of the statement, and a few times where it has not seen it.
		again := isConnectionLost(err) && (attempt == 0 || attempt < attempts(err) && isTurnedAway(err))
		if err == nil || !again || ctx.Err() != nil {
			return rows, err
		}
	}
}
