package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"fosite-mcp/handlers/resource"
)

const shutdownTime = 10 * time.Second

// Logger writes to w, at debug level too if that is asked for.
func (o *Options) Logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if o.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// Open listens, and fills in Resource where it follows from the address.
func (o *Options) Open() (net.Listener, error) {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", o.Listen, err)
	}
	if o.Resource == "" {
		o.Resource = "http://" + listener.Addr().String() + "/authed/mcp"
	}
	return listener, nil
}

// Serve serves until ctx ends: at first that the authorization server cannot be reached yet, and once it is found what build makes.
// From then on build's handler answers, and serving is called.
func (o *Options) Serve(ctx context.Context, listener net.Listener, answers Answers, logger *slog.Logger,
	build func(*resource.Introspector) (http.Handler, error), serving func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var handler replaceable
	handler.set(resource.CORS(http.HandlerFunc(notYet)))
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- serve(ctx, listener, &handler, answers, logger)
	}()
	verifier, err := o.Verifier(ctx, logger)
	if err == nil {
		defer verifier.Close()
		var ready http.Handler
		if ready, err = build(verifier); err == nil {
			handler.set(ready)
			serving()
			return <-served
		}
	}
	stop()
	if ended := <-served; errors.Is(err, context.Canceled) {
		return ended // a signal came while waiting for the authorization server
	}
	return err
}

// replaceable is a handler that another one may take the place of.
type replaceable struct{ current atomic.Pointer[http.Handler] }

func (h *replaceable) set(next http.Handler) { h.current.Store(&next) }

// ServeHTTP implements [http.Handler].
func (h *replaceable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*h.current.Load()).ServeHTTP(w, r)
}

// notYet answers while nobody can tell whether a token is good: never 401, or clients would throw a good one away.
func notYet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/livez" {
		fmt.Fprintln(w, "ok")
		return
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, "This server cannot reach the authorization server yet. Try again in 5 seconds.", http.StatusServiceUnavailable)
}

// Verifier finds the authorization server, which may start at the same time, and checks tokens there. Close it.
func (o *Options) Verifier(ctx context.Context, logger *slog.Logger) (*resource.Introspector, error) {
	config := resource.Config{
		Endpoint: o.introspection, ClientID: o.clientID, Secret: o.secret(),
		Resource: o.Resource, InsecureAllowHTTP: o.InsecureAllowHTTP, Logger: logger,
	}
	if o.cache {
		config.Cache = &resource.Cache{}
	}
	if config.Endpoint == "" || o.cache {
		discover := func() error { return config.Discover(ctx, o.Issuer) }
		if err := retry(ctx, discover, wait, func(err error) {
			logger.Warn("waiting for the authorization server (another one: --issuer)", "issuer", o.Issuer, "error", err)
		}); err != nil {
			return nil, fmt.Errorf("%w (start the authorization server, correct --issuer, or set --introspection-endpoint)", err)
		}
	}
	config.Endpoint = cmp.Or(o.introspection, config.Endpoint)
	return resource.NewIntrospector(config)
}

// secret reads the file again at each check, so that it can be replaced. A pipe can be read but once.
func (o *Options) secret() func() (string, error) {
	if info, err := os.Stat(o.clientSecretFile); err == nil && info.Mode().IsRegular() {
		return resource.SecretFile(o.clientSecretFile)
	}
	return func() (string, error) { return o.clientSecret, nil }
}

// Answers are what a server sends.
type Answers int

const (
	// Documents are sent within half a minute.
	Documents Answers = iota
	// Streams go on for as long as both sides like. They are cut off when the server stops.
	Streams
)

// serve serves until ctx ends, and then lets requests in progress finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, answers Answers, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       bodyTime,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	if answers == Streams {
		server.ReadTimeout, server.WriteTimeout = 0, 0
		server.Handler = timelyBodies(handler)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving stopped: %w", err)
	case <-ctx.Done():
	}
	logger.Info("stopping: requests in progress may finish", "within", shutdownTime)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		server.Close()
		if answers == Streams {
			return nil
		}
		return fmt.Errorf("some requests did not finish within %s and were cut off: %w", shutdownTime, err)
	}
	return nil
}

// bodyTime is how long a client may take to send a request. The token was verified before, and may end meanwhile: this is not longer
// than a revoked token may pass anyway.
const bodyTime = 5 * time.Second

// timelyBodies bounds how long a body may take, and not what comes after it: a ReadTimeout would end streams.
func timelyBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if control := http.NewResponseController(w); r.Body != http.NoBody && control.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
			r.Body = &timelyBody{r.Body, control}
		}
		next.ServeHTTP(w, r)
	})
}

type timelyBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements [io.Reader].
func (b *timelyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
