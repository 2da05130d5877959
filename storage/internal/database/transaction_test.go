package database

import "testing"

func TestForgottenTransactionIsRolledBack(t *testing.T) {
	db, ctx := newSQLite(t), soon(t)
	inner, err := db.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(inner, setSetting("forgotten")); err != nil {
		t.Fatal(err)
	}
	forgotten := transactionFrom(inner)
	forgotten.timer.Reset(0) // transactionLimit has passed
	eventually(t, "the transaction has ended", func() bool {
		forgotten.mu.Lock()
		defer forgotten.mu.Unlock()
		return forgotten.ended
	})
	if err := db.Write(ctx, setSetting("next")); err != nil {
		t.Fatalf("a write after the forgotten transaction: %v", err)
	}
	wantSetting(t, db, "forgotten", false)
	if err := db.Commit(inner); err == nil {
		t.Error("the forgotten transaction can be committed")
	}
}
