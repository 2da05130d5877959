package admin

import (
	"time"

	"fosite-mcp/provider/client/strictjson"
)

// defaultOverlap is how long the other secrets of a client go on working when a rotation says nothing about them: long
// enough to roll the new one out over a weekend. Without an end, every rotation would leave one more secret alive.
const defaultOverlap = 7 * 24 * time.Hour

// rotation is what POST /clients/{client_id}/secrets may say.
type rotation struct {
	expiresAt   time.Time // of the new secret
	endPrevious time.Time // zero: they go on working
	onFirstUse  bool      // … until the new one is used
	leaked      bool      // they end now, and so do the tokens that were issued with them
}

var rotationMembers = []string{"expires_in", "expires_at", "expires_previous_in", "end_previous_on_first_use", "keep_previous", "leaked"}

// rotation reads the body. Of what may become of the other secrets it takes one thing, or the default overlap.
func (a *api) rotation(body map[string]any) (rotation, error) {
	var m strictjson.Mistakes
	var o rotation
	now := a.Now().UTC().Truncate(time.Millisecond)
	strictjson.RefuseUnknown(body, rotationMembers, &m)
	o.expiresAt = newSecretEnd(body, "", now, &m)
	overlap, keep := defaultOverlap, false
	timed := body["expires_previous_in"] != nil
	if v := strictjson.Member(body, "expires_previous_in", &m); timed {
		if v.Seconds(&overlap); overlap > maxSpan {
			m.Add("/expires_previous_in", "invalid", "must be at most 315360000 seconds (10 years)")
		}
	}
	for name, into := range map[string]*bool{
		"end_previous_on_first_use": &o.onFirstUse, "keep_previous": &keep, "leaked": &o.leaked,
	} {
		if body[name] != nil {
			strictjson.Member(body, name, &m).Bool(into)
		}
	}
	switch {
	case o.leaked && (timed || keep || o.onFirstUse):
		m.Add("/leaked", "conflict", "must stand alone: secrets that have leaked end at once, with their tokens")
	case keep && (timed || o.onFirstUse):
		m.Add("/keep_previous", "conflict", "must not stand beside expires_previous_in or end_previous_on_first_use; keep one of them")
	}
	if o.leaked {
		overlap = 0
	}
	if !keep && (timed || !o.onFirstUse) {
		o.endPrevious = now.Add(overlap)
	}
	return o, m.Err()
}

// newSecretEnd is the end of a new secret, of which members whose names begin with prefix tell; zero: none.
func newSecretEnd(body map[string]any, prefix string, now time.Time, m *strictjson.Mistakes) (end time.Time) {
	at, in := prefix+"expires_at", prefix+"expires_in"
	if body[at] != nil {
		if strictjson.Member(body, at, m).Time(&end); !m.At("/"+at) && !end.After(now) {
			m.Add("/"+at, "invalid", "must be in the future")
		}
	}
	if body[in] != nil {
		var life time.Duration
		if strictjson.Member(body, in, m).Seconds(&life); !m.At("/"+in) && (life == 0 || life > maxSpan) {
			m.Add("/"+in, "invalid", "must be 1 to 315360000 seconds (10 years)")
		}
		if body[at] != nil {
			m.Add("/"+in, "conflict", "must not stand beside %s; keep one of them", at)
		}
		end = now.Add(life)
	}
	return end
}
