package audit_test

import (
	"bytes"
	"testing"
	"time"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/enginetest"
)

func (s *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	if err := s.db.Exec(enginetest.SQL(statement)).Error; err != nil {
		t.Fatal(err)
	}
}

func TestTheChainIsVerifiedInParts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		appendAudit(t, s, 5)
		var places []audit.Place
		for place := (audit.Place{}); len(places) < 3; {
			part, err := s.Audit().VerifyPart(t.Context(), place, 2)
			if last := len(places) == 2; err != nil || part.FirstBad != 0 || part.Done != last || part.Count != 2 && !last {
				t.Fatalf("part %d: %+v %v", len(places), part, err)
			}
			place = part.Next
			places = append(places, place)
		}
		want := func(what string, place audit.Place, firstBad int64) {
			t.Helper()
			if part, err := s.Audit().VerifyPart(t.Context(), place, 100); err != nil || part.FirstBad != firstBad {
				t.Errorf("%s: %+v (%v), want %d", what, part, err, firstBad)
			}
		}
		want("a place that was made up", audit.Place{ID: 2, Hash: make([]byte, 32)}, 3)
		if _, err := s.Audit().Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		want("what was pruned meanwhile", places[0], 0)
		s.exec(t, `UPDATE {audit_events} SET actor = 'x' WHERE id = 6`)
		want("an altered event", places[2], 6)
		s.exec(t, `UPDATE {audit_chain} SET last_id = 4, pruned_id = 0`)
		want("cut off meanwhile", places[2], 5)
	})
}

func TestACheckpointShowsAChainThatWasRebuilt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s, key := e.store(t), bytes.Repeat([]byte("k"), 32)
		checkpoint := func() *audit.Checkpoint {
			t.Helper()
			c, err := s.Audit().Checkpoint(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		want := func(c *audit.Checkpoint, state string) {
			t.Helper()
			if is, err := s.Audit().Holds(t.Context(), c); err != nil || is != state {
				t.Errorf("the checkpoint of event %d %s (%v), want %s", c.Event, is, err, state)
			}
		}
		empty := checkpoint()
		appendAudit(t, s, 2)
		second := checkpoint()
		appendAudit(t, s, 1)
		third := checkpoint()
		if second.Event != 2 || second.Events != 2 {
			t.Errorf("checkpoint %+v", second)
		}
		for _, c := range []*audit.Checkpoint{empty, second, third} {
			want(c, audit.CheckpointHolds)
		}
		// Whoever writes to the whole database makes another chain that is in order.
		s.exec(t, `DELETE FROM {audit_events}`)
		s.exec(t, `DELETE FROM {audit_chain}`)
		zeros := zeros[s.db.Name()]
		s.exec(t, `INSERT INTO {audit_chain} (chain, last_id, last_hash, pruned_id, pruned_hash) VALUES ('main', 0, `+zeros+`, 0, `+zeros+`)`)
		want(third, audit.CheckpointMissing)
		appendAudit(t, s, 3)
		wantChain(t, s, 3, 0)
		want(second, audit.CheckpointDiffers)
		want(empty, audit.CheckpointHolds)
		fresh := checkpoint()
		if _, err := s.Audit().Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		want(fresh, audit.CheckpointHolds) // the last one that was pruned
		want(empty, audit.CheckpointPruned)
	})
}

var zeros = map[string]string{"sqlite": "zeroblob(32)", "postgres": "decode(repeat('00', 32), 'hex')"}

func TestACheckpointIsSigned(t *testing.T) {
	s := onSQLite.store(t)
	appendAudit(t, s, 1)
	key, other := bytes.Repeat([]byte("k"), 32), bytes.Repeat([]byte("o"), 32)
	signed, err := s.Audit().Checkpoint(t.Context(), key)
	if err != nil || !signed.SignedWith(other, key) || signed.SignedWith(other) || signed.SignedWith() {
		t.Fatalf("%+v %v", signed, err)
	}
	if anybodys, err := s.Audit().Checkpoint(t.Context(), nil); err != nil || anybodys.SignedWith(key, nil) {
		t.Errorf("what an empty key has signed counts (%v)", err)
	}
	for name, change := range map[string]func(*audit.Checkpoint){
		"event": func(c *audit.Checkpoint) { c.Event++ }, "events": func(c *audit.Checkpoint) { c.Events++ },
		"hash": func(c *audit.Checkpoint) { c.Hash = "00" + c.Hash[2:] }, "time": func(c *audit.Checkpoint) { c.Time = c.Time.Add(time.Second) },
		"signature": func(c *audit.Checkpoint) { c.Signature = "" },
	} {
		forged := *signed
		if change(&forged); forged.SignedWith(key) {
			t.Errorf("another %s is not noticed", name)
		}
	}
}
