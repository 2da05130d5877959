package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ory/fosite"
)

// record is what every table that holds a fosite request has in common.
type record struct {
	requestID         string
	clientID          string
	secretID          sql.NullString
	epoch             int64
	subject           sql.NullString
	scope             string
	audience          string
	requestedScope    sql.NullString
	requestedAudience sql.NullString
	form              sql.NullString
	sessionType       sql.NullString
	session           sql.NullString
	issuedAt          int64
	expiresAt         sql.NullInt64
}

const recordColumns = `request_id, client_id, secret_id, epoch, subject, scope, audience, requested_scope,
	requested_audience, form, session_type, session, issued_at, expires_at`

const recordPlaceholders = `?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`

func (r *record) values() []any {
	return []any{r.requestID, r.clientID, r.secretID, r.epoch, r.subject, r.scope, r.audience, r.requestedScope,
		r.requestedAudience, r.form, r.sessionType, r.session, r.issuedAt, r.expiresAt}
}

func (r *record) targets() []any {
	return []any{&r.requestID, &r.clientID, &r.secretID, &r.epoch, &r.subject, &r.scope, &r.audience, &r.requestedScope,
		&r.requestedAudience, &r.form, &r.sessionType, &r.session, &r.issuedAt, &r.expiresAt}
}

// qualified puts a table's alias before each of columns.
func qualified(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}

// newRecord takes apart a request. kind is the token whose expiry counts.
func (s *Store) newRecord(request fosite.Requester, kind fosite.TokenType) (*record, error) {
	session := request.GetSession()
	sessionType, data, err := s.sessions.pack(session)
	if err != nil {
		return nil, err
	}
	r := &record{
		requestID:   request.GetID(),
		clientID:    request.GetClient().GetID(),
		scope:       packList(request.GetGrantedScopes()),
		audience:    packList(request.GetGrantedAudience()),
		form:        nullString(request.GetRequestForm().Encode()),
		sessionType: sessionType,
		session:     data,
		issuedAt:    millis(requestedAt(request, s.now)),
		expiresAt:   nullMillis(expiry(session, kind)),
	}
	if data.Valid {
		r.subject = nullString(session.GetSubject())
	}
	if requested := packList(request.GetRequestedScopes()); requested != r.scope {
		r.requestedScope = sql.NullString{String: requested, Valid: true}
	}
	if requested := packList(request.GetRequestedAudience()); requested != r.audience {
		r.requestedAudience = sql.NullString{String: requested, Valid: true}
	}
	if client := own(request.GetClient()); client != nil {
		r.epoch = client.Epoch
		if secret := client.used; secret != nil {
			r.secretID = nullString(secret.ID)
			r.epoch += secret.Epoch
		}
	}
	return r, nil
}

// request puts a record together again, around client.
func (s *Store) request(ctx context.Context, r *record, client fosite.Client, into fosite.Session) (*fosite.Request, error) {
	session, err := s.sessions.unpack(r.sessionType, r.session, into)
	if err != nil {
		return nil, err
	}
	if err := s.currentGroups(ctx, r.subject.String, session); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(r.form.String)
	if err != nil {
		return nil, fmt.Errorf("storage: decode the form of request %s: %w", r.requestID, err)
	}
	request := &fosite.Request{
		ID:                r.requestID,
		RequestedAt:       fromMillis(r.issuedAt),
		Client:            client,
		GrantedScope:      unpackList(r.scope),
		GrantedAudience:   unpackList(r.audience),
		RequestedScope:    unpackList(either(r.requestedScope, r.scope)),
		RequestedAudience: unpackList(either(r.requestedAudience, r.audience)),
		Form:              form,
		Session:           session,
	}
	return request, nil
}

func either(value sql.NullString, otherwise string) string {
	if value.Valid {
		return value.String
	}
	return otherwise
}

// packList joins scopes and the like with spaces, which none of them may hold; a list that breaks the rule
// (audiences of strangers may) is stored as JSON, and so is what PostgreSQL refuses as text.
func packList(list []string) string {
	if slices.ContainsFunc(list, func(s string) bool { return s == "" || strings.ContainsAny(s, " [") || !isText(s) }) {
		encoded, _ := json.Marshal(list) // strings always encode
		return string(encoded)
	}
	return strings.Join(list, " ")
}

// unpackList splits at spaces and nothing else: were a tab to split as well, one granted scope could become two.
func unpackList(packed string) []string {
	if strings.HasPrefix(packed, "[") {
		var list []string
		if json.Unmarshal([]byte(packed), &list) == nil {
			return list
		}
	}
	if packed == "" {
		return []string{}
	}
	return strings.Split(packed, " ")
}

// isText tells whether PostgreSQL takes s as text. What it does not take is in no table, on either engine.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func requestedAt(request fosite.Requester, now func() time.Time) time.Time {
	if at := request.GetRequestedAt(); !at.IsZero() {
		return at
	}
	return now()
}
