package resource

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// live is a verifier that follows the feed, and has read it.
func live(t *testing.T, a *authorization, edit ...func(*JWTConfig)) *JWTVerifier {
	t.Helper()
	config := a.jwtConfig(t)
	for _, e := range edit {
		e(&config)
	}
	v := startedJWT(t, config)
	synctest.Wait()
	return v
}

func withoutEndpoint(c *JWTConfig) { c.Endpoint = "" }

// signed makes a token with an id.
func signed(id string) string {
	return testKeys()[algEdDSA].token(time.Now(), map[string]any{"jti": "id-" + id, "client_id": "ci"})
}

func wantOutage(t *testing.T, v Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err == nil || errors.Is(err, ErrInactive) {
		t.Errorf("at %s: error %v, want an outage", time.Now().Format("05.000"), err)
	}
}

func TestRevokedJWTIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.pageSize = 2
		for i := range 9 {
			a.revoke(fmt.Sprint(i))
		}
		v := live(t, a, withoutEndpoint)
		for i := range 9 { // revoked before the verifier has started
			verify(t, v, signed(fmt.Sprint(i)), false)
		}
		token := signed("new")
		verify(t, v, token, true)
		a.revoke("new")
		time.Sleep(defaultBound / 50)
		verify(t, v, token, false)
		verify(t, v, signed("newer"), true)
	})
}

func TestFeedIsLoadedAgainAfterAResetAndAfterGarbage(t *testing.T) {
	for name, event := range map[string]func(*authorization){
		"reset":   func(a *authorization) { a.epoch = "e2" },
		"garbage": func(a *authorization) { a.feedBody = "<html>" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthorization()
				a.revoke("1")
				v := live(t, a, withoutEndpoint)
				token := signed("1")
				verify(t, v, token, false)
				a.change(func() { event(a) })
				for range 100 {
					time.Sleep(10 * time.Millisecond)
					if _, err := v.Verify(t.Context(), token); err == nil {
						t.Fatal("a revoked token passed while the feed was loaded again")
					}
				}
				a.change(func() { a.feedBody = "" })
				time.Sleep(3 * time.Second)
				verify(t, v, token, false)
				verify(t, v, signed("2"), true)
			})
		})
	}
}

func TestTokensOfAChangedClientAreAskedAbout(t *testing.T) {
	for _, kind := range []string{kindClient, kindAll, "a kind of next year"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthorization()
			v := live(t, a)
			without := live(t, a, withoutEndpoint)
			before := signed("1")
			verify(t, v, before, true)
			if a.times(before) != 0 {
				t.Error("asked without need")
			}
			time.Sleep(500 * time.Millisecond)
			a.tell(kind, "ci")
			time.Sleep(defaultBound / 50)
			same := signed("2") // in the same second
			for _, token := range []string{before, same} {
				wantOutage(t, without, token)
				verifyNamed(t, v, token)
				if a.times(token) != 1 {
					t.Errorf("%s: asked %d times, want once", kind, a.times(token))
				}
			}
			time.Sleep(3 * time.Second)
			after := signed("3")
			verify(t, v, after, true)
			verify(t, without, after, true)
			if a.times(after) != 0 {
				t.Errorf("%s: a token that was issued later was asked about", kind)
			}
			other := testKeys()[algEdDSA].token(time.Now().Add(-time.Minute), map[string]any{"client_id": "bot"})
			if _, err := without.Verify(t.Context(), other); (err == nil) != (kind == kindClient) {
				t.Errorf("%s: a token of another client: error %v", kind, err)
			}
		})
	}
}

// verifyNamed verifies a token that is asked about, whatever the answer names.
func verifyNamed(t *testing.T, v Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestWithoutTheFeedNothingIsDecidedOfflineAfterTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v, without := live(t, a), live(t, a, withoutEndpoint)
		token := signed("1")
		a.change(func() { a.cut = true; a.ended[token] = true })
		cut := time.Now()
		var last time.Duration
		for time.Since(cut) < 2*defaultBound {
			if _, err := v.Verify(t.Context(), token); err == nil {
				last = time.Since(cut)
			}
			time.Sleep(40 * time.Millisecond)
		}
		if last >= defaultBound || last < defaultBound/3 {
			t.Errorf("let through until %s after the revocation", last)
		}
		verify(t, v, token, false) // asked
		wantOutage(t, without, token)
		v.Close()
		verifyNamed(t, v, signed("2"))
	})
}

func TestJWTIsNotDecidedBeforeTheFeedIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.cut = true
		wantOutage(t, live(t, a, withoutEndpoint), signed("1"))
	})
}

func TestOpaqueTokenIsAskedAboutWhereThereIsAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		verify(t, live(t, a), "ci-1", true)
		verify(t, live(t, a, withoutEndpoint), "ci-1", false)
	})
}

// A revocation is forgotten when the token has expired, and a token that lives
// longer is not decided here.
func TestRevocationsAreForgottenAfterTheLongestLifespan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := live(t, a, withoutEndpoint, func(c *JWTConfig) { c.MaxLifespan, c.Bound = time.Hour, 10*time.Minute })
		wantOutage(t, v, testKeys()[algEdDSA].token(time.Now(), map[string]any{"exp": time.Now().Add(time.Hour + 2*time.Minute).Unix()}))
		verify(t, v, testKeys()[algEdDSA].token(time.Now(), map[string]any{"exp": time.Now().Add(time.Hour + time.Second).Unix()}), true)
		for hour := range 10 {
			for i := range 100 {
				a.revoke(fmt.Sprint(hour, "-", i))
			}
			a.tell(kindClient, fmt.Sprint("client", hour))
			time.Sleep(10 * time.Second)
			// Half a lifespan later the newest ones are known still.
			time.Sleep(30 * time.Minute)
			verify(t, v, signed(fmt.Sprint(hour, "-", 99)), false)
			time.Sleep(30 * time.Minute)
		}
		known := len(v.ended.young.tokens) + len(v.ended.old.tokens)
		clients := len(v.ended.young.clients) + len(v.ended.old.clients)
		if known < 100 || known > 400 || clients > 4 {
			t.Errorf("%d tokens and %d clients are known of 1000 and 10 that were revoked in 10 hours", known, clients)
		}
	})
}

// A client's tokens may be revoked for times to come, which last longer than tokens live. Each of these tokens is unsure.
func TestRevocationOfTokensToComeIsKeptUntilTheyHaveExpired(t *testing.T) {
	for _, kind := range []string{kindClient, kindAll} {
		synctest.Test(t, func(t *testing.T) {
			const lifespan = time.Hour
			k, began := newKillSwitch(lifespan), time.Now()
			for _, until := range []time.Duration{10 * time.Minute, 90 * time.Minute, 10 * time.Hour} {
				end := began.Add(until)
				k.revoked([]revocation{{kind, "ci", numericDate{end}}})
				for ; time.Since(began) < until+lifespan; time.Sleep(10 * time.Minute) {
					k.revoked([]revocation{{Kind: kindToken, ID: "other"}})
					issued := time.Now()
					if issued.After(end) {
						issued = end // this one has not expired yet
					}
					if k.judge(&Token{ID: "new", ClientID: "ci", IssuedAt: issued}) != unsure {
						t.Fatalf("%s until %s: forgotten after %s", kind, until, time.Since(began))
					}
				}
				for range 4 * 6 {
					time.Sleep(10 * time.Minute)
					k.revoked([]revocation{{Kind: kindToken, ID: "other"}})
				}
				if len(k.young.clients)+len(k.old.clients) > 0 || k.judge(&Token{ID: "new", ClientID: "ci", IssuedAt: time.Now()}) != notRevoked {
					t.Errorf("%s until %s: still known", kind, until)
				}
				began = time.Now()
			}
		})
	}
}

// A service that is registered for another resource would hear of no token.
func TestFeedOfAnotherResourceDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.speaksFor = "https://other.example.com/"
		offline, cached := live(t, a, withoutEndpoint), following(t, a)
		wantOutage(t, offline, signed("1"))
		verify(t, cached, "ci-1", true)
		verify(t, cached, "ci-1", true)
		if a.times("ci-1") != 2 {
			t.Errorf("asked %d times, want 2: nothing is kept", a.times("ci-1"))
		}
		a.change(func() { a.speaksFor = here })
		time.Sleep(2 * refusedBackoff)
		verify(t, offline, signed("1"), true)
		a.change(func() { a.speaksFor = "" })
		time.Sleep(2 * defaultBound)
		wantOutage(t, offline, signed("1"))
	})
}
