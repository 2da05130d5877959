package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// requestColumns are those of [model.Request], in the order of an insertion's arguments.
const requestColumns = `request_id, client_id, secret_id, epoch, subject, scope, audience, requested_scope,
	requested_audience, form, session_type, session, issued_at, expires_at`

// storedColumns are those of requestColumns that are read back.
var storedColumns = database.Qualified("t", strings.Replace(requestColumns, "secret_id, epoch, ", "", 1))

// insertion is a statement that stores a request. External clients do not know their epoch, see RevokeClient: it is looked
// up.
type insertion struct{ own, external string }

// How the epoch of a client is looked up by its id.
const (
	ownEpoch      = `COALESCE((SELECT epoch FROM {clients} WHERE id = ?), 0)`
	externalEpoch = `COALESCE((SELECT epoch FROM {client_revocations} WHERE id = ?), 0)`
)

func (s *Tokens) clientEpoch() string {
	if s.external == nil {
		return ownEpoch
	}
	return externalEpoch
}

// insertRequest stores columns with values before those of the request.
func insertRequest(table, columns, values string) insertion {
	into := `INSERT INTO ` + table + ` (` + columns + `, ` + requestColumns + `) VALUES (` + values
	return insertion{
		own:      into + `, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		external: into + `, ?, ?, ?, ` + externalEpoch + `, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	}
}

// of is the statement for r and its arguments, before are those of the columns before the request's. What has a form of its
// own in the database is a pointer, which costs nothing to hand on.
func (i insertion) of(s *core, r *model.Request, before ...any) (query string, args []any) {
	args = append(before, r.RequestID, r.ClientID, &r.SecretID, r.Epoch, &r.Subject, &r.Scope, &r.Audience, r.RequestedScope,
		r.RequestedAudience, &r.Form, &r.SessionType, &r.Session, &r.IssuedAt, &r.ExpiresAt)
	if s.external == nil {
		return i.own, args
	}
	args[len(before)+3] = r.ClientID // in place of the epoch
	return i.external, args
}

// storedRequest is a row that holds a request, with its client. Joins may find none.
type storedRequest struct {
	model.Request
	ended  sql.NullBool // not valid: the row is not there
	client clients.State
}

func (t *storedRequest) found() bool { return t.ended.Valid }

// targets are those of clientSource.columns.
func (t *storedRequest) targets() []any {
	return append([]any{&t.ended, (*model.Text)(&t.RequestID), (*model.Text)(&t.ClientID), &t.Subject, &t.Scope, &t.Audience,
		&t.RequestedScope, &t.RequestedAudience, &t.Form, &t.SessionType, &t.Session, &t.IssuedAt, &t.ExpiresAt}, t.client.Targets()...)
}

// restoredRequest is a request that was read back.
type restoredRequest struct {
	*fosite.Request
	valid     bool // not revoked, and its client may act
	expiresAt model.Time
}

// errClientGone is restore's answer to a request that is there, and whose client is not.
var errClientGone = errors.New("storage: the client of a stored request is gone")

// orNotFound is [fosite.ErrNotFound] for a request that is of no use without its client.
func orNotFound(err error) error {
	if errors.Is(err, errClientGone) {
		return fosite.ErrNotFound
	}
	return err
}

// restore reads a request by query, which selects before its columns what goes into before. It answers [fosite.ErrNotFound]
// if there is none, and errClientGone if its client is gone. what says what is done, see [database.Wrap].
func (s *core) restore(ctx context.Context, session fosite.Session, before []any, what, query string, args ...any) (*restoredRequest, error) {
	var row storedRequest
	err := s.db.QueryRow(ctx, query, args...).Scan(append(before, row.targets()...)...)
	if err != nil {
		return nil, notFound(err, what)
	}
	client, valid, err := s.validity(ctx, &row)
	if errors.Is(err, fosite.ErrNotFound) || err == nil && client == nil {
		return nil, errClientGone
	}
	if err != nil {
		return nil, err
	}
	request, err := s.request(ctx, &row.Request, client, session)
	if err != nil {
		return nil, err
	}
	return &restoredRequest{request, valid, row.ExpiresAt}, nil
}

// notFound is [fosite.ErrNotFound] for a row that is not there, and [database.Wrap] for any other error.
func notFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fosite.ErrNotFound
	}
	return database.Wrap(err, what)
}

// newRequest takes apart a request. kind is the token whose expiry counts.
func (s *core) newRequest(request fosite.Requester, kind fosite.TokenType) (*model.Request, error) {
	session := request.GetSession()
	sessionType, data, err := s.sessions.pack(session)
	if err != nil {
		return nil, err
	}
	r := &model.Request{
		RequestID:   request.GetID(),
		ClientID:    request.GetClient().GetID(),
		Scope:       model.List(request.GetGrantedScopes()),
		Audience:    model.List(request.GetGrantedAudience()),
		Form:        model.Form(request.GetRequestForm().Encode()),
		SessionType: sessionType,
		Session:     data,
		IssuedAt:    model.At(request.GetRequestedAt()),
		ExpiresAt:   model.At(expiry(session, kind)),
	}
	if kind == fosite.AccessToken && string(data) == `{"at":`+strconv.FormatInt(model.Millis(r.ExpiresAt.Time), 10)+`}` {
		r.Session = "{}" // a machine's: GetAccessTokenSession fills in the expiry, which is a column of its own
	}
	if r.IssuedAt.IsZero() {
		r.IssuedAt = model.At(s.now())
	}
	if data != "" {
		r.Subject = model.Text(subject(session))
	}
	r.RequestedScope = otherThan(r.Scope, request.GetRequestedScopes())
	r.RequestedAudience = otherThan(r.Audience, request.GetRequestedAudience())
	if c := client.Of(request.GetClient()); c != nil {
		r.Epoch = c.Epoch
		if secret := c.UsedSecret(); secret != nil {
			r.SecretID = model.Text(secret.ID)
			r.Epoch += secret.Epoch
		}
	}
	return r, nil
}

// request puts a request together again, around client.
func (s *core) request(ctx context.Context, r *model.Request, client fosite.Client, into fosite.Session) (*fosite.Request, error) {
	session, err := s.sessions.unpack(r.SessionType, r.Session, into)
	if err != nil {
		return nil, err
	}
	// The groups that the local account has now replace the stored ones: a group that a person loses is gone at the next
	// introspection and at the next refresh. A machine's token has no subject, and costs nothing here.
	if member, ok := session.(GroupsSession); ok && s.external == nil && !isAsserted(session) {
		groups, known, err := s.users.CurrentGroups(ctx, string(r.Subject))
		if err != nil {
			return nil, err
		}
		if known {
			member.SetCurrentGroups(groups)
		}
	}
	form, err := url.ParseQuery(string(r.Form))
	if err != nil {
		return nil, fmt.Errorf("storage: decode the form of request %s: %w", r.RequestID, err)
	}
	request := &fosite.Request{
		ID:                r.RequestID,
		RequestedAt:       r.IssuedAt.Time,
		Client:            client,
		GrantedScope:      fosite.Arguments(r.Scope),
		GrantedAudience:   fosite.Arguments(r.Audience),
		RequestedScope:    either(r.RequestedScope, r.Scope),
		RequestedAudience: either(r.RequestedAudience, r.Audience),
		Form:              form,
		Session:           session,
	}
	return request, nil
}

// otherThan is what was requested; nil is the same as what was granted.
func otherThan(granted model.List, requested fosite.Arguments) *model.List {
	if slices.Equal(granted, model.List(requested)) {
		return nil
	}
	list := model.List(requested)
	return &list
}

// either is the opposite of otherThan.
func either(requested *model.List, granted model.List) fosite.Arguments {
	if requested != nil {
		return fosite.Arguments(*requested)
	}
	return fosite.Arguments(slices.Clip(granted))
}
