package admin

import (
	"context"
	"net/http"

	"fosite-mcp/storage/audit"
)

// endedView is what POST /users/{id}/revoke has ended.
type endedView struct {
	userView
	Ended struct {
		Sessions int64 `json:"sessions"`
		Consents int64 `json:"consents"`
		Grants   int64 `json:"grants"`
	} `json:"ended"`
}

// revokeUser is POST /users/{id}/revoke: everything that a person has here ends, in one transaction, and they get in no more. The
// id is the subject of the person's tokens, which may be somebody without an account here.
func (a *api) revokeUser(r *request) (*answer, error) {
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		ended, err := a.Store.Users().KeepOut(ctx, r.named())
		if err != nil {
			return nil, audit.Event{}, err
		}
		user, err := a.Store.Users().Get(ctx, r.named())
		if err != nil {
			return nil, audit.Event{}, err
		}
		view := endedView{userView: userViewOf(user)}
		view.Ended.Sessions, view.Ended.Consents, view.Ended.Grants = ended.Sessions, ended.Consents, ended.Grants
		return newAnswer(http.StatusOK, view), audit.Event{}, nil
	})
}
