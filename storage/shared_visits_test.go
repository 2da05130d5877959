package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

// visit does something at random.
func (l *ledger) visit(ctx context.Context) {
	v := visit{ctx, rand.IntN(8) == 0}
	if v.leaves {
		var leave context.CancelFunc
		v.Context, leave = context.WithCancel(ctx)
		defer leave()
		defer time.AfterFunc(rand.N(20*time.Millisecond), leave).Stop()
	}
	switch n := rand.IntN(100); {
	case n < 30:
		l.issue(v)
	case n < 68:
		l.read(v, l.anyToken())
	case n < 87:
		l.revoke(v)
	case n < 92:
		l.revokeAsAnother(v)
	case n < 95:
		l.contest(v)
	case n < 98:
		l.fail(v)
	case l.killing:
		l.kill()
	}
}

func (l *ledger) newToken() *ledgerToken {
	n := l.tokens.Add(1)
	request := newTestRequest("")
	request.ID, request.Client = fmt.Sprint("request ", n), l.issuers[int(n)%len(l.issuers)]
	request.GrantedScope = fosite.Arguments{fmt.Sprint("scope-", n), "mcp:search"}
	request.GrantedAudience = fosite.Arguments{fmt.Sprint("https://mcp.example/", n)}
	request.Form.Set("grant_type", "client_credentials")
	request.Form.Set("resource", request.GrantedAudience[0])
	session := &fosite.DefaultSession{}
	if client.Of(request.Client).Trust != nil {
		session.Subject = fmt.Sprint("subject ", n)
	}
	request.Session = session
	return &ledgerToken{signature: fmt.Sprint("signature ", n), request: request}
}

// anyToken is one that was issued lately.
func (l *ledger) anyToken() *ledgerToken {
	for i := rand.IntN(len(l.recent)); ; i++ {
		if token := l.recent[i%len(l.recent)].Load(); token != nil {
			return token
		}
	}
}

func (l *ledger) store(v visit, token *ledgerToken) error {
	err, id := l.CreateAccessTokenSession(v, token.signature, token.request), TokenID(token.signature)
	switch {
	case err == nil:
		if _, taken := l.stored.LoadOrStore(id, token); taken {
			l.wrong("two tokens were stored under the signature %q", token.signature)
			break
		}
		l.recent[rand.IntN(len(l.recent))].Store(token)
	case isRefusal(err):
		l.refused.Add(1)
	default:
		l.maybe.Store(id+token.request.ID, token)
	}
	return err
}

func (l *ledger) issue(v visit) { l.wantNoError(v, "issue a token", l.store(v, l.newToken())) }

// contest stores two tokens under one signature at once: one of them wins.
func (l *ledger) contest(v visit) {
	first, second, other := l.newToken(), l.newToken(), make(chan error)
	second.signature = first.signature
	go func() { other <- l.store(v, second) }()
	errs := []error{l.store(v, first), <-other}
	for i, err := range errs {
		if !isRefusal(err) {
			l.wantNoError(v, "issue a token whose signature another one may take", err)
		} else if isRefusal(errs[1-i]) {
			l.wrong("of two tokens with one signature neither was stored: %v", errs)
		}
	}
}

// fail does what PostgreSQL refuses, and what would fail everybody in the same statement.
func (l *ledger) fail(v visit) {
	token, err := l.newToken(), error(nil)
	switch rand.IntN(4) {
	case 0:
		token.request.ID = "request \x00"
		err = l.store(v, token)
	case 1:
		token.request.Client, token.request.Session = l.issuers[len(l.issuers)-1], &fosite.DefaultSession{Subject: "subject \x00"}
		err = l.store(v, token)
	case 2:
		token.signature = l.anyToken().signature
		err = l.store(v, token)
	case 3:
		if _, err = l.RevokeOwnToken(v, fosite.AccessToken, l.anyToken().signature, "client \x00"); isRefusal(err) {
			l.refused.Add(1)
		}
	}
	switch {
	case err == nil:
		l.wrong("what PostgreSQL refuses was accepted")
	case !isRefusal(err):
		l.wantNoError(v, "do what PostgreSQL refuses", err)
	}
}

// read reads a client and a token together, as an introspection does.
func (l *ledger) read(v visit, token *ledgerToken) {
	caller, revoked := rand.IntN(len(l.callers)), token.revoked.Load()
	ctx := ReadAhead(v, token.signature)
	known, err := l.GetClient(ctx, fmt.Sprint("client-", caller))
	if err != nil {
		l.wantNoError(v, "read a client", err)
		return
	}
	if got := describeClient(client.Of(known)); got != l.callers[caller] {
		l.wrong("got client %.100s, want %.100s", got, l.callers[caller])
	}
	got, err := l.GetAccessTokenSession(ctx, token.signature, nil)
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		if !token.asked.Load() {
			l.wrong("%q is inactive, and nobody has revoked it", token.signature)
		}
	case err != nil:
		l.wantNoError(v, "read a token", err)
	case revoked:
		l.wrong("%q is active, and its revocation was acknowledged before", token.signature)
	case describe(got) != describe(token.request):
		l.wrong("got a token of %s, want %s", describe(got), describe(token.request))
	}
}

func (l *ledger) revoke(v visit) {
	token := l.anyToken()
	token.asked.Store(true)
	ctx, want := audit.WithOrigin(v, audit.Origin{RequestID: token.request.ID}), token.request.Client.GetID()
	owner, err := l.RevokeOwnToken(ctx, fosite.AccessToken, token.signature, want)
	if err != nil {
		l.wantNoError(v, "revoke a token", err)
		return
	}
	if owner != want {
		l.wrong("a token of %q was revoked as one of %q", want, owner)
	}
	token.revoked.Store(true)
	l.read(v, token)
}

// revokeAsAnother revokes nothing: the token is another client's, or there is none.
func (l *ledger) revokeAsAnother(v visit) {
	token := l.anyToken()
	want := token.request.Client.GetID()
	switch owner, err := l.RevokeOwnToken(v, fosite.AccessToken, token.signature, "another"); {
	case err != nil:
		l.wantNoError(v, "revoke another's token", err)
	case owner != want:
		l.wrong("the owner of a token of %q is %q", want, owner)
	}
	if _, err := l.RevokeOwnToken(v, fosite.AccessToken, "unknown", want); !errors.Is(err, fosite.ErrNotFound) {
		l.wantNoError(v, "revoke an unknown token", cmp.Or(err, errors.New("it is known")))
	}
}

// kill ends a session, rather one that is at work.
func (l *ledger) kill() {
	l.killed.Add(1)
	if err := l.admin.Exec(`SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = ?
		ORDER BY state = 'idle', random() LIMIT 1) one`, l.session).Error; err != nil {
		l.t.Error(err)
	}
}

// isRefusal tells whether PostgreSQL refuses a value: data_exception, integrity_constraint_violation.
func isRefusal(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (strings.HasPrefix(answer.Code, "22") || strings.HasPrefix(answer.Code, "23"))
}

// wantNoError allows for the errors of those who left, and for those of lost connections.
func (l *ledger) wantNoError(v visit, what string, err error) {
	switch {
	case err == nil:
	case v.leaves && errors.Is(err, context.Canceled):
		l.left.Add(1)
	case l.killing && isConnectionLost(err):
		l.lost.Add(1)
	default:
		l.wrong("%s: %v", what, err)
	}
}

// isConnectionLost tells whether an error is that of a session that was ended: PostgreSQL's, or the network's.
func isConnectionLost(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return strings.HasPrefix(answer.Code, "57P") || strings.HasPrefix(answer.Code, "08")
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, fosite.ErrNotFound)
}
