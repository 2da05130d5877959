package authserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"fosite-mcp/handlers"
)

// finishing is how long requests that are under way may take once the listeners are closed. A request has requestLimit.
const finishing = 20 * time.Second

// arriving is how long requests may be on their way when the listeners are closed: [http.Server.Shutdown] hangs up on those that it
// reads afterwards, and a proxy cannot repeat a POST.
const arriving = 250 * time.Millisecond

// ending is how far the end of the server has come.
type ending struct {
	draining atomic.Bool   // each connection ends with its next answer
	closing  chan struct{} // closed with the listeners: who waits for revocations is answered
}

func newEnding() *ending { return &ending{closing: make(chan struct{})} }

// health is what both listeners say at /livez and /readyz.
func (p *parts) health() handlers.Health {
	return handlers.Health{Ready: p.store.Ping, Draining: p.end.draining.Load}
}

// service is one listener with what it serves.
type service struct {
	listener net.Listener
	handler  http.Handler
	tls      bool
}

// serve runs the services until ctx ends, the server has drained, or one of them fails.
func (s *Instance) serve(ctx context.Context, drain time.Duration, end *ending, certificate *tlsCertificate, services ...service) error {
	failed := make(chan error, len(services))
	var servers []*http.Server
	var listeners []net.Listener
	for _, svc := range services {
		server, listener := s.newServer(svc.handler), &completeListener{Listener: svc.listener}
		servers, listeners = append(servers, server), append(listeners, listener)
		if svc.tls {
			server.TLSConfig = certificate.config()
		}
		go func() {
			if svc.tls {
				failed <- server.ServeTLS(listener, "", "")
				return
			}
			failed <- server.Serve(listener)
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-s.Drain:
		err = s.drain(ctx, drain, end, failed)
	}
	s.Log.InfoContext(ctx, "stopping", "requests_may_take", finishing)
	for _, listener := range listeners {
		err = errors.Join(err, listener.Close())
	}
	close(end.closing)
	if end.draining.Load() {
		_ = s.pause(ctx, arriving, nil)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(grace))
	}
	return err
}

func (s *Instance) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		// OPTIONS * is a request like any other: it gets an id, a log line and a metric.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
}

// drain lets proxies and load balancers find out that this server is leaving, and serves them meanwhile.
func (s *Instance) drain(ctx context.Context, wait time.Duration, end *ending, failed <-chan error) error {
	if wait == 0 {
		return nil
	}
	end.draining.Store(true)
	s.Log.InfoContext(ctx, "draining: /readyz answers 503, everything else is served; another signal ends this", "wait", wait)
	return s.pause(ctx, wait, failed)
}

// pause waits, unless ctx ends or something fails.
func (s *Instance) pause(ctx context.Context, wait time.Duration, failed <-chan error) error {
	after := s.after
	if after == nil {
		after = time.After
	}
	select {
	case <-after(wait):
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	return nil
}
