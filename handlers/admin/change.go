package admin

import (
	"context"
	"errors"

	"fosite-mcp/storage/audit"
)

// errDryRun undoes what a dry run has tried.
var errDryRun = errors.New("dry run")

// change carries out a change, its audit event and the keeping of its answer in one transaction. fn may run more than
// once, so it starts from scratch each time. A dry run does all but commit and record. An event without an action means that there was nothing to change.
func (a *api) change(r *request, fn func(ctx context.Context) (*answer, audit.Event, error)) (*answer, error) {
	var result *answer
	var changed string // the id of a client
	err := a.Store.Atomically(r.Context(), func(ctx context.Context) error {
		changed = ""
		if err := a.holdKey(ctx, r.caller); err != nil {
			return err
		}
		answer, event, err := fn(ctx)
		if err != nil {
			return err
		}
		if r.claim != nil {
			if err := a.keep(ctx, r, answer); err != nil {
				return err
			}
		}
		result = answer
		if r.dryRun {
			return errDryRun
		}
		if event.Action == "" {
			return nil
		}
		changed = event.ClientID
		return a.record(ctx, event) // last: events of the log take turns
	})
	if errors.Is(err, errDryRun) {
		return result, nil
	}
	if err == nil && a.hosted != nil && changed != "" {
		err = a.hosted.checkAgreement(r.Context(), changed)
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}

// record stores an event, in the transaction of ctx.
func (a *api) record(ctx context.Context, event audit.Event) error {
	if a.Record == nil {
		return a.Store.Audit().Append(ctx, event)
	}
	return a.Record(ctx, event.Filled(ctx, a.Now()))
}
