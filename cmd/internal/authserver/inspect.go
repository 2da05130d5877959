package authserver

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
)

// What a start checks, for fosite-mcp doctor: these functions change nothing.

// Certificate is the one that a server with these files serves; nil where there are none.
func Certificate(files config.TLS) (*x509.Certificate, error) {
	c, err := newCertificate(files, nil)
	if err != nil || c == nil {
		return nil, err
	}
	return c.current.Leaf, nil
}

// CompareClocks compares this machine's clock with the database's. says is empty while they agree. A server does not start with a
// clock that is refused.
func CompareClocks(ctx context.Context, store *storage.Store) (says string, refused bool, err error) {
	difference, err := store.ClockDifference(ctx)
	if err == nil && difference.Abs() > notableDifference {
		says = told(difference)
	}
	return says, difference.Abs() > refusedDifference, err
}

// CheckIssuer says why the database is not one of the configured issuer, if it has one.
func CheckIssuer(ctx context.Context, store *storage.Store, issuer string) error {
	stored, started, err := store.Settings().Get(ctx, "issuer")
	if err != nil || !started {
		return err
	}
	return sameIssuer(stored, issuer)
}

// SystemSecrets is what can be said of the configured system secrets.
type SystemSecrets struct {
	Previous int       // how many of system_secrets_previous there are
	Adopted  bool      // the database is used with the current one; otherwise the next start makes it so
	Since    time.Time // since when that is so; zero: since the first start, or nobody knows
}

// InspectSecrets compares the system secrets with the database. An error says why a server would not start with them.
func InspectSecrets(ctx context.Context, store *storage.Store, cfg config.Config) (found SystemSecrets, err error) {
	known, started, err := store.Settings().Get(ctx, fingerprintFact)
	if err != nil {
		return found, err
	}
	path := filepath.Join(cfg.DataDir, systemSecretFile)
	if _, err := os.Stat(path); err != nil && cfg.SystemSecret == "" {
		if started {
			return found, fmt.Errorf("this database was started with a system secret, and there is none: system_secret is not set, and %s is not there", path)
		}
		return found, nil // the first start makes one
	}
	secrets, err := readSystemSecrets(cfg)
	if err != nil {
		return found, err
	}
	own, previous := secrets.fingerprints()
	found = SystemSecrets{Previous: len(previous), Adopted: known == own}
	if started && known != own && !slices.Contains(previous, known) {
		return found, errOtherSecret
	}
	if found.Adopted {
		found.Since, err = secretSince(ctx, store, own)
	}
	return found, err
}

// Document is a public document of a server.
type Document struct {
	URL  string // where clients look for it
	Body []byte
}

// Documents are the metadata, and the keys of JWTs, as a server with these settings serves them.
func Documents(ctx context.Context, store *storage.Store, cfg config.Config) (list []Document, err error) {
	secrets := systemSecrets{current: make([]byte, 32)} // no document depends on it
	keys, err := newSigningKeys(store, cfg, secrets)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	observer := observe.New(log, nil)
	p := &parts{cfg: cfg, log: log, store: store, secrets: secrets, observer: observer, limits: newLimits(cfg, observer), keys: keys, end: newEnding(),
		clock: &clock{}}
	public, _, err := p.routers(nil)
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	err = public.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		origin := issuer.Scheme + "://" + issuer.Host
		switch {
		case err != nil:
			return nil //nolint:nilerr // the last route has no path
		case cfg.IssuesJWT() && cfg.PublicURL+path == cfg.Endpoint("jwks.json"):
			origin = cfg.PublicURL
		case !strings.Contains(path, "/.well-known/"):
			return nil
		}
		body, err := answer(ctx, public, origin+path)
		list = append(list, Document{URL: origin + path, Body: body})
		return err
	})
	return list, err
}

// answer is what a handler answers to a GET.
func answer(ctx context.Context, handler http.Handler, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.RemoteAddr = "127.0.0.1:1"
	recorded := &recorder{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(recorded, request)
	if recorded.status != http.StatusOK {
		return nil, fmt.Errorf("this server would answer %d at %s", recorded.status, address)
	}
	return recorded.body.Bytes(), nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
