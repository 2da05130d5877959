package handlers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/storage/people"
)

// loggedIn is a login of a person with groups that were looked up at a time (zero: now).
func (f *fixture) loggedIn(subject string, at time.Time, groups ...string) {
	f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
		return &handlers.Decision{Subject: subject, Username: "alice", Groups: groups, GroupsAt: at}, nil
	}
}

// groups are those that a resource server is told; "inactive" when it is told that.
func (f *fixture) groups(access string) string {
	f.t.Helper()
	a := f.inspect(access)
	if a.json["active"] != true {
		return "inactive"
	}
	list, _ := a.json["groups"].([]any)
	names := make([]string, len(list))
	for i, name := range list {
		names[i], _ = name.(string)
	}
	return strings.Join(names, " ")
}

// ends is the exp of an active token.
func (f *fixture) ends(access string) int64 {
	f.t.Helper()
	exp, _ := f.inspect(access).json["exp"].(float64)
	return int64(exp)
}

// The groups of a local account count as they are at each check, however old the login and the grant.
func TestGroupsTakenFromALocalAccountAreGoneAtTheNextCheck(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		user := &people.User{Username: "alice", PasswordHash: []byte("x"), Groups: []string{"docs", "staff"}}
		if err := f.store.Users().Create(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		f.loggedIn(user.ID, f.clock, "docs", "staff")
		got := f.login()
		f.clock = f.clock.Add(2 * time.Hour) // longer than groups of others count
		for _, c := range []struct {
			groups []string
			want   string
		}{{[]string{"docs", "staff"}, "docs staff"}, {[]string{"docs"}, "docs"}, {nil, ""}, {[]string{"new"}, "new"}} {
			if err := f.store.Users().SetGroups(t.Context(), "alice", c.groups); err != nil {
				t.Fatal(err)
			}
			if told := f.groups(got.access); told != c.want {
				t.Errorf("told %q, want %q", told, c.want)
			}
			if got = f.tokens(refresh(got.refresh)); f.groups(got.access) != c.want {
				t.Errorf("refreshed: told %q, want %q", f.groups(got.access), c.want)
			}
		}
		if end := f.ends(got.access); end != f.clock.Add(twoWeeks*time.Second).Unix() {
			t.Errorf("the token of a local account ends at %v, want in two weeks", time.Unix(end, 0))
		}
	}, withGroupsFor(time.Hour))
}

func withGroupsFor(age time.Duration) func(*fixture) {
	return func(f *fixture) { f.change = func(o *provider.Options) { o.GroupsMaxAge = age } }
}

// Nobody tells this server what an upstream provider or a proxy has taken from a person since the login.
func TestGroupsFromElsewhereGrowOld(t *testing.T) {
	f := newFixture(t, withGroupsFor(time.Hour))
	f.clock = f.clock.Truncate(time.Millisecond) // as precise as what is stored
	f.app("app")
	machine := f.token("ci", f.client("ci"))
	f.loggedIn("oidc|7", f.clock.Add(-10*time.Minute), "staff")
	member := f.login()
	if end := f.ends(member.access); end != f.clock.Add(50*time.Minute).Unix() {
		t.Errorf("the token ends at %v, want the end of its groups in fifty minutes", time.Unix(end, 0))
	}
	member = f.tokens(refresh(member.refresh))
	f.loggedIn("oidc|8", f.clock)
	other := f.login()

	end := f.clock.Add(50 * time.Minute)
	f.clock = end.Add(-time.Second)
	if told := f.groups(member.access); told != "staff" {
		t.Errorf("a second before their end: told %q", told)
	}
	member = f.tokens(refresh(member.refresh))
	f.clock = end
	if told := f.groups(member.access); told != "inactive" {
		t.Errorf("at their end: told %q, want the token inactive", told)
	}
	if a := f.do(refresh(member.refresh)); a.status != 400 || a.json["error"] != "invalid_grant" {
		t.Errorf("refreshed: %d %s, want 400 invalid_grant", a.status, a.text)
	}
	if told := f.groups(other.access); told != "" {
		t.Errorf("a person without groups: told %q", told)
	}
	f.tokens(refresh(other.refresh))
	if told := f.groups(machine); told != "" {
		t.Errorf("a machine: told %q", told)
	}
	f.loggedIn("oidc|7", f.clock, "new")
	if told := f.groups(f.login().access); told != "new" {
		t.Errorf("after another login: told %q", told)
	}
}

// Tokens may be older than the setting, and a code may be redeemed late.
func TestGroupsThatHaveEndedAreToldToNobody(t *testing.T) {
	t.Run("issued when groups counted longer", func(t *testing.T) {
		f := newFixture(t)
		f.app("app")
		f.loggedIn("oidc|7", f.clock, "staff")
		got := f.login()
		f.clock = f.clock.Add(2 * time.Hour)
		if told := f.groups(got.access); told != "staff" {
			t.Fatalf("without a limit: told %q", told)
		}
		withGroupsFor(time.Hour)(f)
		f.serve(f.store)
		if told := f.groups(got.access); told != "" {
			t.Errorf("told %q, want an active token without groups", told)
		}
		if a := f.do(refresh(got.refresh)); a.json["error"] != "invalid_grant" {
			t.Errorf("refreshed: %s, want invalid_grant", a.text)
		}
	})
	t.Run("issued before their age was stored", func(t *testing.T) {
		f := newFixture(t, withGroupsFor(time.Hour))
		f.app("app")
		f.loggedIn("oidc|7", f.clock, "staff")
		got := f.login()
		for _, table := range []string{"access_tokens", "refresh_tokens"} {
			if err := f.db.Exec(`UPDATE ` + table + ` SET session = json_remove(session, '$.groups_at')`).Error; err != nil {
				t.Fatal(err)
			}
		}
		if told := f.groups(got.access); told != "" {
			t.Errorf("told %q, want an active token without groups", told)
		}
		if a := f.do(refresh(got.refresh)); a.json["error"] != "invalid_grant" {
			t.Errorf("refreshed: %s, want invalid_grant", a.text)
		}
	})
	t.Run("issued by a version that stored when the person came", func(t *testing.T) {
		f := newFixture(t, withGroupsFor(time.Hour))
		f.app("app")
		f.loggedIn("oidc|7", f.clock, "staff")
		got := f.login()
		came := f.clock.Add(-30 * time.Minute).UTC().Truncate(time.Second)
		for _, table := range []string{"access_tokens", "refresh_tokens"} {
			if err := f.db.Exec(`UPDATE `+table+` SET session = json_set(json_remove(session, '$.groups_at'), '$.auth_time', ?)`, came.Format(time.RFC3339)).Error; err != nil {
				t.Fatal(err)
			}
		}
		if told := f.groups(got.access); told != "staff" {
			t.Errorf("half an hour later: told %q", told)
		}
		got = f.tokens(refresh(got.refresh))
		if end := f.ends(got.access); end != came.Add(time.Hour).Unix() {
			t.Errorf("refreshed: ends at %v, want with the groups", time.Unix(end, 0))
		}
	})
	t.Run("ended before the code is redeemed", func(t *testing.T) {
		f := newFixture(t, withGroupsFor(10*time.Second))
		f.app("app")
		f.loggedIn("oidc|7", f.clock, "staff")
		code := f.code()
		f.clock = f.clock.Add(10 * time.Second)
		got := f.tokens(redeem(code))
		if told, end := f.groups(got.access), f.ends(got.access); told != "" || end != f.clock.Add(twoWeeks*time.Second).Unix() {
			t.Errorf("told %q, ends at %v; want a whole token without groups", told, time.Unix(end, 0))
		}
	})
}

func TestTheAgeOfGroupsIsStoredWithThem(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	stored := func(at time.Time) time.Time {
		t.Helper()
		f.loggedIn("oidc|7", at, "staff")
		signature := f.oauth.Strategy.AccessTokenSignature(t.Context(), f.login().access)
		token, err := f.store.GetAccessTokenSession(t.Context(), signature, provider.NewSession())
		if err != nil {
			t.Fatal(err)
		}
		return token.GetSession().(*provider.Session).GroupsAt
	}
	at := f.clock.Add(-time.Hour).UTC().Truncate(time.Millisecond)
	if got := stored(at); !got.Equal(at) {
		t.Errorf("stored %v, want %v", got, at)
	}
	if got := stored(time.Time{}); got.Before(f.clock.Add(-time.Minute)) {
		t.Errorf("a login that does not say when: stored %v, want now", got)
	}
}
