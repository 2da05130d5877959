package provider

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

func TestPublicAddress(t *testing.T) {
	for address, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.0": true,
		"100.63.255.255": true, "100.128.0.0": true, "198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001:82a::200e": true, "2001:4860:4860::8888": true, "2001:200::1": true,

		"0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, // unspecified, this network, broadcast
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::": false, // loopback
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, // private
		"fc00::1": false, "fd00:ec2::254": false, // unique local
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, // link and site local
		"100.64.0.1": false, "100.127.255.255": false, "100.100.100.200": false, // shared (carrier NAT)
		"224.0.0.1": false, "239.255.255.255": false, "ff02::1": false, "ff0e::1": false, // multicast
		"240.0.0.1": false, "192.0.0.192": false, "192.88.99.1": false, "168.63.129.16": false, // reserved, protocols, clouds
		"192.31.196.1": false, "192.52.193.1": false, "192.175.48.1": false, "2620:4f:8000::1": false, // AS112, AMT
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "2001:db8::1": false, "3fff::1": false, // documentation
		"198.18.0.1": false, "198.19.255.255": false, "2001:2::1": false, // benchmarks
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": false, "::8.8.8.8": false, // mapped and compatible
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, // NAT64
		"2002:7f00:1::": false, "2002:808:808::1": false, // 6to4
		"2001::1": false, "2001:0:808:808::1": false, "2001:10::1": false, "2001:20::1": false, // Teredo, ORCHID
		"100::1": false, "5f00::1": false, "4000::1": false, "2606:4700::1%eth0": false, // discard, SRv6, unassigned, a zone
	} {
		if got := publicAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("publicAddress(%s) = %v", address, got)
		}
	}
	if publicAddress(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

// keySetServer counts the requests it answers.
func keySetServer(t *testing.T, start func(http.Handler) *httptest.Server, handler http.HandlerFunc) (url string, requests func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func goodKeySet() string {
	return string(okay(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{publicJWK(assertionKeys().ed)}})))
}

func serveBody(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestJWKSFetcherReachesOnlyPublicHTTPS(t *testing.T) {
	plain, plainRequests := keySetServer(t, httptest.NewServer, serveBody(goodKeySet()))
	secure, secureRequests := keySetServer(t, httptest.NewTLSServer, serveBody(goodKeySet()))
	port := secure[strings.LastIndexByte(secure, ':'):]
	for _, location := range []string{
		plain, secure,
		"https://localhost" + port, // a name that leads to a forbidden address
		"https://[::ffff:127.0.0.1]" + port,
		"https://0.0.0.0" + port,
		"https://user:secret@192.0.2.1/jwks.json",
		"https:///jwks.json", "https://:443/jwks.json", "/jwks.json", "", "://", "https://192.0.2.1:https\n",
		"file:///etc/passwd", "gopher://192.0.2.1/", "ftp://192.0.2.1/",
	} {
		f := NewJWKSFetcher(JWKSFetcherOptions{})
		set, err := f.Resolve(t.Context(), location, false)
		if set != nil || err == nil {
			t.Errorf("%q was fetched", location)
		}
		if !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("%q: error = %v (%s)", location, err, debugOf(err))
		}
	}
	if plainRequests()+secureRequests() != 0 {
		t.Error("a forbidden server was asked")
	}
}

func TestJWKSFetcherInsecureAllowLoopback(t *testing.T) {
	location, _ := keySetServer(t, httptest.NewServer, serveBody(goodKeySet()))
	set, err := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true}).Resolve(t.Context(), location, false)
	if err != nil || len(set.Keys) != 1 {
		t.Errorf("loopback over http: %v, %v (%s)", set, err, debugOf(err))
	}
	withUser := strings.Replace(location, "//", "//user:secret@", 1)
	for _, location := range []string{withUser, "http://192.0.2.1/", "http://10.0.0.1/", "https://10.0.0.1/", "http://8.8.8.8/"} {
		_, err := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true}).Resolve(t.Context(), location, false)
		wantError(t, err, fosite.ErrInvalidClient, "only https URLs on public internet addresses")
	}
}

func TestJWKSFetcherChecksCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(serveBody(goodKeySet()))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	f := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true}).(*jwksFetcher)
	_, err := f.Resolve(t.Context(), server.URL, false)
	wantError(t, err, fosite.ErrTemporarilyUnavailable, "")

	f = NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true}).(*jwksFetcher)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	f.client.Transport.(*guardedTransport).https.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	if set, err := f.Resolve(t.Context(), server.URL, false); err != nil || len(set.Keys) != 1 {
		t.Errorf("a trusted certificate: %v, %v (%s)", set, err, debugOf(err))
	}
}

// A closed network has its own addresses, and its certificates.
func TestJWKSFetcherInsecureAllowPrivateAddresses(t *testing.T) {
	f := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowPrivateAddresses: true}).(*jwksFetcher)
	plain, plainRequests := keySetServer(t, httptest.NewServer, serveBody(goodKeySet()))
	_, err := f.Resolve(t.Context(), plain, false)
	wantError(t, err, fosite.ErrInvalidClient, "only https URLs")
	if plainRequests() != 0 {
		t.Error("http was used")
	}
	server := httptest.NewUnstartedServer(serveBody(goodKeySet()))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	_, err = f.Resolve(t.Context(), server.URL, false)
	wantError(t, err, fosite.ErrTemporarilyUnavailable, "") // a certificate that nobody trusts

	f = NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowPrivateAddresses: true}).(*jwksFetcher)
	f.client.Transport.(*guardedTransport).https.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if set, err := f.Resolve(t.Context(), server.URL, false); err != nil || len(set.Keys) != 1 {
		t.Errorf("a private address: %v, %v (%s)", set, err, debugOf(err))
	}
}

func TestGuardedHTTPClientUsesNoProxy(t *testing.T) {
	guard := guardedHTTPClient(reach{loopback: true}).Transport.(*guardedTransport)
	for _, transport := range []http.RoundTripper{guard.https, guard.http} {
		if transport.(*http.Transport).Proxy != nil {
			t.Error("a proxy would dial addresses that nobody checks")
		}
	}
}

func TestJWKSFetcherJudgesAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, goodKeySet())
		}
	}
	pad := func(n int) string { return goodKeySet() + strings.Repeat(" ", n-len(goodKeySet())) }
	tests := map[string]struct {
		handler http.HandlerFunc
		want    *fosite.RFC6749Error
	}{
		"64 KiB":           {serveBody(pad(64 << 10)), nil},
		"one byte more":    {serveBody(pad(64<<10 + 1)), fosite.ErrInvalidClient},
		"an endless body":  {endless, fosite.ErrInvalidClient},
		"not JSON":         {serveBody("<html>"), fosite.ErrInvalidClient},
		"no keys":          {serveBody(`{}`), fosite.ErrInvalidClient},
		"null":             {serveBody(`null`), fosite.ErrInvalidClient},
		"keys is a string": {serveBody(`{"keys":"x"}`), fosite.ErrInvalidClient},
		"two documents":    {serveBody(goodKeySet() + goodKeySet()), fosite.ErrInvalidClient},
		"a redirect":       {status(302), fosite.ErrInvalidClient},
		"204":              {status(204), fosite.ErrInvalidClient},
		"404":              {status(404), fosite.ErrInvalidClient},
		"408":              {status(408), fosite.ErrTemporarilyUnavailable},
		"429":              {status(429), fosite.ErrTemporarilyUnavailable},
		"500":              {status(500), fosite.ErrTemporarilyUnavailable},
		"503":              {status(503), fosite.ErrTemporarilyUnavailable},
		"hangs up":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fosite.ErrTemporarilyUnavailable},
		"hangs up halfway": {halfway, fosite.ErrTemporarilyUnavailable},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 32<<10))
			_, _ = io.WriteString(w, goodKeySet())
		}, fosite.ErrTemporarilyUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			location, requests := keySetServer(t, httptest.NewServer, test.handler)
			set, err := NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true}).Resolve(t.Context(), location, false)
			if test.want != nil {
				wantError(t, err, test.want, "")
			} else if err != nil || len(set.Keys) != 1 {
				t.Errorf("set = %v, error = %v (%s)", set, err, debugOf(err))
			}
			if requests() != 1 {
				t.Errorf("%d requests, want 1", requests())
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
			return
		}
	}
}

func halfway(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, goodKeySet())
}

func TestKeySetKeepsOnlyPublicKeysItUnderstands(t *testing.T) {
	keys := assertionKeys()
	encode := func(key any, kid string) string {
		return string(okay(json.Marshal(jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig", Algorithm: "EdDSA"})))
	}
	body := fmt.Sprintf(`{"keys":[%s]}`, strings.Join([]string{
		encode(keys.ed.Public(), "good"),
		encode(keys.ed, "private"),
		encode([]byte("a symmetric secret"), "symmetric"),
		`{"kty":"OKP","crv":"X25519","x":"AAAA","kid":"another curve"}`,
		`{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA","kid":"another kty"}`,
		`{"kty":"RSA","kid":"no modulus"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"short"}`,
		`7`, `null`, `{}`, `"x"`,
	}, ","))
	set, err := decodeKeySet([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: keys.ed.Public(), KeyID: "good", Use: "sig", Algorithm: "EdDSA"}}}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("key set (-want +got):\n%s", diff)
	}
}

func TestKeySetLife(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 5 * time.Minute, "public": 5 * time.Minute, "max-age=x": 5 * time.Minute, "max-age=99999999999": 5 * time.Minute,
		"max-age=0": time.Minute, "max-age=-5": time.Minute, "no-store": time.Minute, "no-cache, max-age=600": time.Minute,
		"max-age=600": 10 * time.Minute, "public, Max-Age=\"600\"": 10 * time.Minute, "max-age=86400": time.Hour,
	} {
		header := http.Header{}
		if value != "" {
			header.Set("Cache-Control", value)
		}
		if got := freshFor(header, defaultKeySetLife, minKeySetLife, maxKeySetLife); got != want {
			t.Errorf("freshFor(%q) = %v, want %v", value, got, want)
		}
	}
}

// scriptedTransport answers each request with the function, without a network.
type scriptedTransport func(*http.Request) (*http.Response, error)

func (f scriptedTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerKeySet() (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(goodKeySet()))}, nil
}

// scriptedFetcher has a clock that the test moves, and counts the requests.
func scriptedFetcher(answer scriptedTransport) (f *jwksFetcher, clock *time.Time, requests map[string]int) {
	now := assertionNow
	requests = map[string]int{}
	f = NewJWKSFetcher(JWKSFetcherOptions{Now: func() time.Time { return now }}).(*jwksFetcher)
	f.client.Transport = scriptedTransport(func(r *http.Request) (*http.Response, error) {
		requests[r.URL.String()]++
		return answer(r)
	})
	return f, &now, requests
}

const keySetURL = "https://machine.example.com/jwks.json"

func TestJWKSFetcherCaching(t *testing.T) {
	down := errors.New("connection reset")
	var failure error
	f, clock, requests := scriptedFetcher(func(*http.Request) (*http.Response, error) {
		if failure != nil {
			return nil, failure
		}
		return answerKeySet()
	})
	for _, step := range []struct {
		rule        string
		later       time.Duration
		failure     error
		ignoreCache bool
		wantErr     bool
		requests    int
	}{
		{rule: "the first call fetches", requests: 1},
		{rule: "the second is answered from the cache", later: time.Second, requests: 1},
		{rule: "a forced fetch just after a fetch is not made", later: 8 * time.Second, ignoreCache: true, requests: 1},
		{rule: "a forced fetch a while after it is", later: time.Second, ignoreCache: true, requests: 2},
		{rule: "and starts the next pause", later: 9 * time.Second, ignoreCache: true, requests: 2},
		{rule: "a set lives for five minutes", later: 4*time.Minute + 50*time.Second, requests: 2},
		{rule: "and no longer", later: time.Second, requests: 3},
		{rule: "a forced fetch that fails is reported", later: time.Minute, ignoreCache: true, failure: down, wantErr: true, requests: 4},
		{rule: "but the good set stays", later: time.Second, failure: down, requests: 4},
		{rule: "a forced fetch just after a failure is not made", later: time.Second, ignoreCache: true, failure: down, wantErr: true, requests: 4},
		{rule: "without a good set a failure is reported", later: 5 * time.Minute, failure: down, wantErr: true, requests: 5},
		{rule: "and not tried again at once", later: 4 * time.Second, wantErr: true, requests: 5},
		{rule: "but soon", later: time.Second, requests: 6},
	} {
		*clock = clock.Add(step.later)
		failure = step.failure
		set, err := f.Resolve(t.Context(), keySetURL, step.ignoreCache)
		if step.wantErr {
			wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
		} else if err != nil || len(set.Keys) != 1 {
			t.Errorf("%s: set = %v, error = %v", step.rule, set, err)
		}
		if requests[keySetURL] != step.requests {
			t.Errorf("%s: %d requests, want %d", step.rule, requests[keySetURL], step.requests)
		}
	}
}

// What strangers name neither displaces nor holds up the keys of those whom an administrator trusts.
func TestJWKSFetcherKeepsStrangersApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		var now, most atomic.Int64
		f, clock, _ := scriptedFetcher(nil)
		var requests atomic.Int64
		f.client.Transport = scriptedTransport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Hostname() == "slow.example.com" {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer now.Add(-1)
				<-slow
			}
			if r.URL.String() == keySetURL {
				requests.Add(1)
			}
			return answerKeySet()
		})
		trusted := forClient(t.Context(), (&client.Client{ID: "trusted", TokenEndpointAuthMethod: "private_key_jwt", JWKSURI: keySetURL}).Fosite().(fosite.OpenIDConnectClient))
		strange := forClient(t.Context(), (&client.Client{ID: documentURL, TokenEndpointAuthMethod: "private_key_jwt", JWKSURI: keySetURL, RegisteredBy: client.MetadataDocument}).Fosite().(fosite.OpenIDConnectClient))
		resolve := func(ctx context.Context, location string) {
			if _, err := f.Resolve(ctx, location, false); err != nil {
				t.Error(location, err)
			}
		}
		resolve(trusted, keySetURL)
		for i := range 2 * maxCachedKeySets {
			*clock = clock.Add(time.Millisecond)
			resolve(strange, fmt.Sprintf("https://host%d.example.com/jwks.json", i))
		}
		if resolve(trusted, keySetURL); requests.Load() != 1 {
			t.Errorf("the keys of an administrator's choice were fetched %d times", requests.Load())
		}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { resolve(strange, fmt.Sprintf("https://slow.example.com/%d.json", i)) })
		}
		synctest.Wait()
		resolve(trusted, "https://idp.example.com/jwks.json")
		resolve(strange, "https://quick.example.com/jwks.json")
		close(slow)
		all.Wait()
		if n := most.Load(); n != fetchesOfHostAtOnce {
			t.Errorf("%d fetches of one host at once", n)
		}
	})
}

func TestJWKSFetcherCacheIsBounded(t *testing.T) {
	f, clock, requests := scriptedFetcher(func(*http.Request) (*http.Response, error) { return answerKeySet() })
	ask := func(i int) {
		*clock = clock.Add(time.Millisecond)
		if _, err := f.Resolve(t.Context(), fmt.Sprintf("%s?%d", keySetURL, i), false); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxCachedKeySets {
		ask(i)
	}
	ask(0)                // 1 is now the one that was not asked for the longest
	ask(maxCachedKeySets) // one too many
	if len(f.chosen.cache) != maxCachedKeySets {
		t.Errorf("%d sets cached, want %d", len(f.chosen.cache), maxCachedKeySets)
	}
	ask(0)
	ask(1)
	if requests[keySetURL+"?0"] != 1 || requests[keySetURL+"?1"] != 2 {
		t.Errorf("the wrong set was dropped: 0 fetched %d times, 1 fetched %d times", requests[keySetURL+"?0"], requests[keySetURL+"?1"])
	}
}

func TestJWKSFetcherFetchesOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f, _, requests := scriptedFetcher(func(r *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return answerKeySet()
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		first, cancel := context.WithCancel(t.Context())
		impatient := make(chan error, 1)
		go func() {
			_, err := f.Resolve(first, keySetURL, false)
			impatient <- err
		}()
		synctest.Wait()
		patient := make(chan error, 8)
		for range cap(patient) {
			go func() {
				_, err := f.Resolve(t.Context(), keySetURL, false)
				patient <- err
			}()
		}
		synctest.Wait()
		cancel() // whoever came first leaves; the others still get their answer
		wantError(t, <-impatient, fosite.ErrTemporarilyUnavailable, "")
		close(release)
		for range cap(patient) {
			if err := <-patient; err != nil {
				t.Errorf("error = %v (%s)", err, debugOf(err))
			}
		}
		if requests[keySetURL] != 1 {
			t.Errorf("%d requests, want 1", requests[keySetURL])
		}
	})
}

func TestJWKSFetcherForcedFetchHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		f, clock, requests := scriptedFetcher(func(r *http.Request) (*http.Response, error) {
			if r.Context().Value(forced{}) != nil {
				<-hang
			}
			return answerKeySet()
		})
		known, err := f.Resolve(t.Context(), keySetURL, false)
		if err != nil {
			t.Fatal(err)
		}
		*clock = clock.Add(refreshPause)
		go func() { _, _ = f.Resolve(context.WithValue(t.Context(), forced{}, true), keySetURL, true) }()
		synctest.Wait()
		start := time.Now()
		set, err := f.Resolve(t.Context(), keySetURL, false)
		if err != nil || set != known || time.Since(start) != 0 {
			t.Errorf("set = %v, error = %v, after %v", set, err, time.Since(start))
		}
		close(hang)
		synctest.Wait()
		if requests[keySetURL] != 2 {
			t.Errorf("%d requests, want 2", requests[keySetURL])
		}
	})
}

// forced marks the context of a forced fetch.
type forced struct{}

func TestJWKSFetcherGivesUpAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scriptedFetcher(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		_, err := f.Resolve(t.Context(), keySetURL, false)
		wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("gave up after %v", waited)
		}
	})
}

func TestAssertionWithFetchedKeys(t *testing.T) {
	uri, requests := keySetServer(t, httptest.NewServer, serveBody(goodKeySet()))
	client := assertingClient("machine")
	client.JSONWebKeysURI = uri
	v, _ := verifierFor(client)
	v.keys = NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true, Now: v.now})
	for i := range 20 { // an attacker with garbage key ids
		_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, "EdDSA", assertionKeys().other, fmt.Sprint("garbage", i), goodClaims(nil))))
		wantError(t, err, fosite.ErrInvalidClient, "no key at the client's jwks_uri")
	}
	if _, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, "EdDSA", assertionKeys().ed, "", goodClaims(nil)))); err != nil {
		t.Errorf("refused: %v (%s)", err, debugOf(err))
	}
	if requests() != 1 {
		t.Errorf("the client's host was asked %d times, want once", requests())
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(goodKeySet()))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":"","x5c":["AA=="],"x5u":"%","x5t":"AA"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		set, err := decodeKeySet(body)
		if (set == nil) == (err == nil) {
			t.Fatalf("set = %v, error = %v", set, err)
		}
		if set == nil {
			return
		}
		for i := range set.Keys { // whatever was decoded must be safe to judge
			for _, alg := range assertionAlgorithms {
				fits(&set.Keys[i], string(alg))
			}
		}
	})
}
