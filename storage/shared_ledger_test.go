package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ory/fosite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/model"
)

// ledger knows what the answers of a store may be.
type ledger struct {
	*Store
	t       *testing.T
	admin   *gorm.DB
	session string          // the name of the store's sessions
	callers []string        // what describes each client
	issuers []fosite.Client // to whom tokens are issued, with the secret that they use
	killing bool            // connections are lost; it changes while nobody is at work

	stored sync.Map // TokenID → *ledgerToken, acknowledged
	maybe  sync.Map // TokenID and request → *ledgerToken, neither acknowledged nor refused
	told   sync.Map // TokenID → true, of which the listener was told
	recent [128]atomic.Pointer[ledgerToken]

	tokens, selects, inserts, updates, refused, left, lost, killed, unheard, wrongs atomic.Int64
}

// wrong says what is wrong, and no more once that is clear.
func (l *ledger) wrong(format string, args ...any) {
	l.t.Helper()
	if l.t.Fail(); l.wrongs.Add(1) <= 20 {
		l.t.Logf(format, args...)
	}
}

// ledgerToken is a token, and whether somebody has asked for its revocation and was told that it is revoked.
type ledgerToken struct {
	signature      string
	request        *fosite.Request
	asked, revoked atomic.Bool
}

// visit is the context of a caller, who may leave.
type visit struct {
	context.Context
	leaves bool
}

func newLedger(t *testing.T, e testEngine) *ledger {
	dialector, session := e.dialector(t)(), fmt.Sprint("shared-statements-", os.Getpid())
	named := postgres.Open(dialector.(*postgres.Dialector).DSN + "&application_name=" + session)
	l := &ledger{t: t, admin: openPool(t, dialector), session: session}
	l.Store = New(openPool(t, named), WithAuditListener(func(event audit.Event) {
		if _, again := l.told.LoadOrStore(event.TokenID, true); again {
			l.wrong("the listener was told twice of %s", event.TokenID)
		}
	}))
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 6 { // which differ in the number of their secrets, in their epoch, and in that some are too large to be remembered
		c := &client.Client{ID: fmt.Sprint("client-", i), Name: strings.Repeat("x", i%2*10_000), TokenEndpointAuthMethod: "client_secret_basic"}
		for secret := range 1 + i%3 {
			c.Secrets = append(c.Secrets, client.Secret{Hash: fmt.Appendf(nil, "%s%s %d", fastHash, c.ID, secret)})
		}
		if err := l.Clients().Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		execSQL(t, l.Store, `UPDATE {clients} SET epoch = ? WHERE id = ?`, i, c.ID)
		known, err := l.GetClient(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		client.Of(known).AuthenticatedWith(c.Secrets[0].Hash)
		l.issuers, l.callers = append(l.issuers, known), append(l.callers, describeClient(c))
	}
	rule := &client.Client{ID: "rule", Trust: &client.Trust{Issuer: "https://idp.example"}} // whose tokens have a subject
	if err := l.Issuers().Create(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	l.issuers = append(l.issuers, rule.Fosite())
	l.watch()
	return l
}

// watch counts shared statements, and has some connections break before or after PostgreSQL has run a statement.
func (l *ledger) watch() {
	lose := func(db *gorm.DB) {
		odds := 40
		if strings.Contains(db.Statement.SQL.String(), "unnest(") {
			odds = 8
		}
		if l.killing && db.Error == nil && rand.IntN(odds) == 0 {
			l.unheard.Add(1)
			_ = db.AddError(io.ErrUnexpectedEOF)
		}
	}
	count := func(db *gorm.DB) {
		switch text := db.Statement.SQL.String(); {
		case !strings.Contains(text, "unnest("):
		case strings.HasPrefix(text, "SELECT"):
			l.selects.Add(1)
		case strings.HasPrefix(text, "INSERT"):
			l.inserts.Add(1)
		case strings.Contains(text, "UPDATE"):
			l.updates.Add(1)
		}
	}
	row, raw := l.db.Host().Callback().Row(), l.db.Host().Callback().Raw()
	if err := errors.Join(
		row.Before("gorm:row").Register("test:lose", lose), row.After("gorm:row").Register("test:count", count),
		raw.Before("gorm:raw").Register("test:lose", lose), raw.After("gorm:raw").Register("test:count", count),
		raw.After("gorm:raw").Register("test:lose the answer", lose),
	); err != nil {
		l.t.Fatal(err)
	}
}

func describeClient(c *client.Client) string {
	var secrets []string
	for _, secret := range c.Secrets {
		secrets = append(secrets, string(secret.Hash))
	}
	slices.Sort(secrets)
	return fmt.Sprint(c.ID, len(c.Name), secrets)
}

func describeToken(request, client string, scope, audience []string, subject, form string) string {
	return fmt.Sprintf("request %q, client %q, scope %q, audience %q, subject %q, form %q", request, client, scope, audience, subject, form)
}

func describe(r fosite.Requester) string {
	return describeToken(r.GetID(), r.GetClient().GetID(), r.GetGrantedScopes(), r.GetGrantedAudience(),
		r.GetSession().GetSubject(), r.GetRequestForm().Encode())
}

// wantTokens checks each row, and that no acknowledged one is missing.
func (l *ledger) wantTokens() {
	rows, err := l.db.Read(l.t.Context()).Query(`SELECT signature, request_id, client_id, scope, audience, subject, form,
		revoked_at IS NOT NULL FROM {access_tokens}`)
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	found := map[*ledgerToken]bool{}
	for rows.Next() {
		var key []byte
		var request, client string
		var scope, audience model.List
		var subject model.Text
		var form model.Form
		var revoked bool
		if err := rows.Scan(&key, &request, &client, &scope, &audience, &subject, &form, &revoked); err != nil {
			l.t.Fatal(err)
		}
		id := tokenIDs.EncodeToString(key)
		known, ok := l.stored.Load(id)
		if !ok {
			known, ok = l.maybe.Load(id + request)
		}
		got := describeToken(request, client, scope, audience, string(subject), string(form))
		if !ok {
			l.wrong("a token of %s was refused, and is stored", got)
			continue
		}
		token := known.(*ledgerToken)
		if want := describe(token.request); got != want {
			l.wrong("a token is stored as that of %s, want %s", got, want)
		}
		if revoked && !token.asked.Load() || !revoked && token.revoked.Load() {
			l.wrong("%q: revoked = %v", token.signature, revoked)
		}
		found[token] = true
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	l.stored.Range(func(_, token any) bool {
		if !found[token.(*ledgerToken)] {
			l.wrong("%q is missing", token.(*ledgerToken).signature)
		}
		return true
	})
}

// wantEvents checks that each acknowledged revocation has one event, and that nothing else has.
func (l *ledger) wantEvents() {
	rows, err := l.db.Read(l.t.Context()).Query(`SELECT token_id, client_id, request_id, COUNT(*) FROM {audit_events}
		GROUP BY token_id, client_id, request_id`)
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	events, of := int64(0), map[string]bool{}
	for rows.Next() {
		var id, client, request string
		var n int64
		if err := rows.Scan(&id, &client, &request, &n); err != nil {
			l.t.Fatal(err)
		}
		events, of[id] = events+n, true
		known, ok := l.stored.Load(id)
		if !ok {
			l.wrong("%d events of %s, which was not stored", n, id)
			continue
		}
		token := known.(*ledgerToken)
		if n != 1 || !token.asked.Load() || client != token.request.Client.GetID() || request != token.request.ID {
			l.wrong("%q has %d events of client %q in request %q", token.signature, n, client, request)
		}
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	l.stored.Range(func(id, token any) bool {
		if token := token.(*ledgerToken); token.revoked.Load() && !of[id.(string)] {
			l.wrong("%q was revoked, and has no event", token.signature)
		}
		return true
	})
	l.told.Range(func(id, _ any) bool {
		if !of[id.(string)] {
			l.wrong("the listener was told of %s, and there is no event", id)
		}
		return true
	})
	wantChain(l.t, l.Store, events, 0)
}
