package database

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// prepareWanted compiles what transactions have run. With PrepareStmt GORM keeps a statement that a transaction was the first
// to run, but compiles it again in every other transaction; so it is compiled for all of them before the next one begins. That
// takes a connection of its own, which a pool of one cannot give while a transaction is open.
func (d *DB) prepareWanted(ctx context.Context) {
	pool, ok := d.quiet.Statement.ConnPool.(*gorm.PreparedStmtDB)
	if !ok {
		return
	}
	connections, err := pool.GetDBConn()
	if err != nil {
		return
	}
	for {
		if s := connections.Stats(); s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
			return // whoever has them may wait for this very statement
		}
		select {
		case text := <-d.wanted:
			prepare(ctx, pool, text)
		default:
			return
		}
	}
}

func prepare(ctx context.Context, pool *gorm.PreparedStmtDB, text string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	pool.Mux.Lock()
	if known, ok := pool.Stmts.Get(text); ok && !known.Transaction {
		pool.Mux.Unlock()
		return
	}
	_, _ = pool.Stmts.New(ctx, text, false, pool.ConnPool, pool.Mux) // unlocks; an error is met again where it runs
}
