package admin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
)

// verifyLimit is how many events one request verifies.
const verifyLimit = 5000

// chainPlace is the cursor of a verification. Whoever makes one up deceives nobody else.
type chainPlace struct {
	ID   int64  `json:"id"`
	Hash []byte `json:"hash"`
}

// verification is what GET /audit/verify has found.
type verification struct {
	Intact     bool    `json:"intact"` // so far
	Events     int64   `json:"events"` // on this page
	FirstBad   *int64  `json:"first_bad"`
	Checkpoint *string `json:"checkpoint"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

// verifyAudit is GET /audit/verify: the chain of hashes, page by page.
func (a *api) verifyAudit(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var place chainPlace
	r.cursor(&place, &m)
	checkpoint := a.checkpoint(r, &m)
	if err := m.Err(); err != nil {
		return nil, err
	}
	log, found := a.Store.Audit(), verification{Intact: true}
	if checkpoint != nil {
		holds, err := log.Holds(r.Context(), checkpoint)
		if err != nil {
			return nil, err
		}
		found.Checkpoint = &holds
		if holds == audit.CheckpointDiffers || holds == audit.CheckpointMissing {
			found.Intact = false
		}
	}
	part, err := log.VerifyPart(r.Context(), audit.Place{ID: place.ID, Hash: place.Hash}, verifyLimit)
	if err != nil {
		return nil, err
	}
	found.Events = part.Count
	switch {
	case part.FirstBad != 0:
		found.Intact, found.FirstBad = false, &part.FirstBad
	case !part.Done:
		found.NextCursor = encodeCursor(chainPlace{part.Next.ID, part.Next.Hash})
	}
	return newAnswer(http.StatusOK, found), nil
}

// checkpoint reads the one that was sent, and notes a mistake unless this server has signed it.
func (a *api) checkpoint(r *request, m *strictjson.Mistakes) *audit.Checkpoint {
	text, given := r.query["checkpoint"]
	if !given {
		return nil
	}
	var c audit.Checkpoint
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &c) != nil || c.Event < 0 {
		m.Add("?checkpoint", "invalid", "must be an answer of GET /audit/checkpoint, as base64url")
		return nil
	}
	if !c.SignedWith(append(a.PreviousCheckpointKeys[:len(a.PreviousCheckpointKeys):len(a.PreviousCheckpointKeys)], a.CheckpointKey)...) {
		m.Add("?checkpoint", "invalid", "was not signed with a system secret of this server, or was changed since; if the secret was replaced, put the earlier one into system_secrets_previous")
	}
	return &c
}

// auditCheckpoint is GET /audit/checkpoint.
func (a *api) auditCheckpoint(r *request) (*answer, error) {
	c, err := a.Store.Audit().Checkpoint(r.Context(), a.CheckpointKey)
	if err != nil {
		return nil, err
	}
	return newAnswer(http.StatusOK, c), nil
}
