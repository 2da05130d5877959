package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"fosite-mcp/provider/client"
)

// Merge is what registering or patching a client would come to: the client, checked by the same rules, and what an
// audit event says of it, nil when nothing changes. Nothing is stored: it is for programs that write to the store
// themselves, such as an import. A client that was never stored (its Version is 0) is registered, under its ID if it
// has one; every other one is patched. The error joins one error for each mistake.
func (s *Server) Merge(before *client.Client, patch []byte) (after *client.Client, changes json.RawMessage, err error) {
	a := s.withDefaults()
	body, err := decodeObject(patch)
	if err != nil {
		return nil, nil, eachMistake(err)
	}
	if before.Version > 0 {
		if after, err = a.changedClient(before, body); err != nil {
			return nil, nil, eachMistake(err)
		}
		changes, err = documentDifferences(before, after)
		return after, changes, err
	}
	if after, err = a.newClient(body); err != nil {
		return nil, nil, eachMistake(err)
	}
	after.ID = cmp.Or(before.ID, after.ID)
	created, err := document(after)
	if err == nil {
		changes, err = differences(nil, created)
	}
	return after, changes, err
}

func eachMistake(err error) error {
	var p *problem
	if !errors.As(err, &p) || len(p.Errors) == 0 {
		return err
	}
	var all []error
	for _, m := range p.Errors {
		all = append(all, fmt.Errorf("%s %s", m.Pointer, m.Detail)) // details never quote keys
	}
	return errors.Join(all...)
}
