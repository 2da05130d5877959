package provider

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
)

// issuedClient is a client whose platform makes its assertions.
type issuedClient struct {
	*assertionClient
	issuer, subject string
	reusable        bool
}

func (c *issuedClient) GetAssertionIssuer() (issuer, subject string, reusable bool) {
	return c.issuer, c.subject, c.reusable
}

const podSubject = "system:serviceaccount:search:indexer"

func podClient(reusable bool) *issuedClient {
	return &issuedClient{assertingClient("indexer", publicJWK(assertionKeys().rsa)), "https://oidc.cluster.example/id", podSubject, reusable}
}

func podForm(assertion, clientID string) url.Values {
	form := assertionForm(assertion)
	form.Set("client_id", clientID)
	return form
}

func TestAClientAuthenticatesWithWhatItsPlatformSays(t *testing.T) {
	for name, claims := range map[string]claimSet{
		"for the issuer among others": kubernetesClaims(nil),
		"for the token URL":           kubernetesClaims(claimSet{"aud": assertionTokenURL}),
		"without jti":                 kubernetesClaims(claimSet{"jti": ""}),
	} {
		v, store := verifierFor(podClient(false))
		form := podForm(signed(t, claims), "indexer")
		client, err := v.authenticate(t.Context(), form)
		if err != nil || client.GetID() != "indexer" {
			t.Errorf("%s: %v", name, debugOf(err))
		}
		if _, err := v.authenticate(t.Context(), form); len(store.used) != 1 {
			t.Errorf("%s: used up %v", name, store.used)
		} else {
			wantError(t, err, fosite.ErrInvalidClient, "used before")
		}
	}
	v, store := verifierFor(podClient(true))
	for range 3 {
		if _, err := v.authenticate(t.Context(), podForm(signed(t, kubernetesClaims(nil)), "indexer")); err != nil {
			t.Errorf("reusable: %v", debugOf(err))
		}
	}
	if len(store.used) != 0 {
		t.Errorf("used up %v", store.used)
	}
}

func TestPlatformsAssertionsThatAreRefused(t *testing.T) {
	own := goodClaims(claimSet{"iss": "indexer", "sub": "indexer"})
	for name, test := range map[string]struct {
		claims   claimSet
		clientID string
		key      any
		reason   string
	}{
		"another issuer":            {claims: kubernetesClaims(claimSet{"iss": "https://evil.example"}), reason: "iss is not the client's"},
		"another pod":               {claims: kubernetesClaims(claimSet{"sub": "system:serviceaccount:other:indexer"}), reason: "sub is not the client's"},
		"another audience":          {claims: kubernetesClaims(claimSet{"aud": "https://kubernetes.default.svc"}), reason: "aud"},
		"without exp":               {claims: kubernetesClaims(claimSet{"exp": nil}), reason: "no exp"},
		"until tomorrow":            {claims: kubernetesClaims(claimSet{"exp": assertionNow.Add(24 * time.Hour).Unix()}), reason: "too far"},
		"expired":                   {claims: kubernetesClaims(claimSet{"exp": assertionNow.Add(-time.Hour).Unix()}), reason: "expired"},
		"another key":               {claims: kubernetesClaims(nil), key: assertionKeys().p256, reason: "no registered key"},
		"for another client":        {claims: kubernetesClaims(nil), clientID: "machine", reason: "no issuer of its own"},
		"for nobody":                {claims: kubernetesClaims(nil), clientID: "nobody", reason: "unknown client"},
		"without client_id":         {claims: kubernetesClaims(nil), clientID: "-", reason: "iss is not sub"},
		"the client's own word":     {claims: own, reason: "its issuer's"},
		"an issuer that is subject": {claims: kubernetesClaims(claimSet{"iss": podSubject}), reason: ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, store := verifierFor(podClient(false), assertingClient("machine", publicJWK(assertionKeys().rsa)))
			alg, key := jose.RS256, any(assertionKeys().rsa)
			if test.key != nil {
				alg, key = jose.ES256, test.key
			}
			form := podForm(signAssertion(t, alg, key, "", test.claims), "indexer")
			switch test.clientID {
			case "-":
				form.Del("client_id")
			case "":
			default:
				form.Set("client_id", test.clientID)
			}
			_, err := v.authenticate(t.Context(), form)
			wantError(t, err, fosite.ErrInvalidClient, test.reason)
			if len(store.used) != 0 {
				t.Errorf("used up %v", store.used)
			}
		})
	}
}

func TestOfFiftyWithOneAssertionOfAPlatformOneAuthenticates(t *testing.T) {
	v, _ := verifierFor(podClient(false))
	assertion := signed(t, kubernetesClaims(nil))
	var in atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			each := *v
			each.tried = RefusedClient{}
			if _, err := each.authenticate(t.Context(), podForm(assertion, "indexer")); err == nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("%d are in", in.Load())
	}
}

// Without keys of the client those of the issuer count, where it publishes them. While it is down nobody is refused.
func TestAPlatformsKeysAreFoundByItsMetadata(t *testing.T) {
	up := true
	issuer, _ := issuerServer(t, issuerDocument, func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{publicJWK(assertionKeys().rsa)}})
	})
	pod := podClient(true)
	pod.issuer, pod.JSONWebKeys = issuer, nil
	v, _ := verifierFor(pod)
	form := podForm(signed(t, kubernetesClaims(claimSet{"iss": issuer})), "indexer")
	_, err := v.authenticate(t.Context(), form)
	wantError(t, err, fosite.ErrInvalidClient, "no keys of the client's issuer")
	v.keys = NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true})
	if _, err := v.authenticate(t.Context(), form); err != nil {
		t.Error(debugOf(err))
	}
	up = false
	v.keys = NewJWKSFetcher(JWKSFetcherOptions{InsecureAllowLoopback: true})
	_, err = v.authenticate(t.Context(), form)
	wantError(t, err, fosite.ErrTemporarilyUnavailable, "")
}
