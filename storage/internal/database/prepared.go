package database

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// With PrepareStmt GORM keeps a statement that a transaction was the first to run, but compiles it again in every other
// transaction. So what transactions run is compiled for all of them before the next one begins. That takes a connection of
// its own, which a pool of one cannot give while a transaction is open.

// wantPrepared notes a statement of a transaction that is not compiled for all.
func (d *DB) wantPrepared(pool gorm.ConnPool, text string) {
	tx, ok := pool.(*gorm.PreparedStmtTX)
	if !ok || d.postgres {
		return
	}
	if known, ok := tx.PreparedStmtDB.Stmts.Get(text); !ok || known.Transaction {
		d.wanted.Store(text, nil)
	}
}

// prepareWanted compiles them.
func (d *DB) prepareWanted(ctx context.Context) {
	pool, ok := d.quiet.Statement.ConnPool.(*gorm.PreparedStmtDB)
	if !ok {
		return
	}
	d.wanted.Range(func(text, _ any) bool {
		connections, err := pool.GetDBConn()
		if err != nil {
			return false
		}
		if s := connections.Stats(); s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
			return false // whoever has them may wait for this very statement
		}
		d.wanted.Delete(text)
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		pool.Mux.Lock()
		if known, ok := pool.Stmts.Get(text.(string)); ok && !known.Transaction {
			pool.Mux.Unlock()
			return true
		}
		_, _ = pool.Stmts.New(ctx, text.(string), false, pool.ConnPool, pool.Mux) // unlocks; an error is met again where it runs
		return true
	})
}
