package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/internal/params"

	"github.com/ory/fosite"
)

// Revocations is a feed of what has ended, for resource servers that keep answers about tokens. A storage.Store has one.
type Revocations struct {
	// Read returns what has ended after a cursor: tokens for one of resources, and clients. The empty cursor means all that is
	// known, and "now" nothing. limit bounds the work.
	Read func(ctx context.Context, cursor string, resources []string, limit int) (RevocationPage, error)
	// Changed tells whether anything has ended after a cursor, and the cursor of this moment. While requests wait, it is called
	// five times a second.
	Changed func(ctx context.Context, cursor string) (changed bool, now string, err error)
	// Stopping is closed when the server stops: whoever waits is answered at once. nil: never.
	Stopping <-chan struct{}

	watch revocationWatch
}

const (
	defaultRevocations = 1000
	maxRevocations     = 5000
	maxRevocationWait  = 30 * time.Second
	maxFeedCursor      = 512
	// maxFeedPage is how many bytes of entries a page has at most, where they are more than one. Readers bound what they read.
	maxFeedPage = 512 << 10
	// feedReadLimit bounds each look at the database; the request itself may wait for longer than others.
	feedReadLimit = 10 * time.Second
)

// feedRequest is a request for the feed.
type feedRequest struct {
	caller    fosite.Client
	resources []string
	after     string
	wait      time.Duration
	limit     int
}

// revocations is the feed of revocations. The caller authenticates as for an introspection: in the header of a GET, or in any
// way with a POST.
func (s *Server) revocations(w http.ResponseWriter, r *http.Request) {
	request, err := s.feedRequest(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	streams := wantsStream(r)
	if streams || request.wait > 0 {
		leave, ok := s.Revocations.watch.join(request.caller.GetID())
		if !ok {
			w.Header().Set("Retry-After", "1")
			s.fail(w, r, &fosite.RFC6749Error{ErrorField: fosite.ErrTemporarilyUnavailable.ErrorField, CodeField: http.StatusTooManyRequests,
				DescriptionField: "Too many requests of this client wait for revocations, or of all clients. Ask again later, or without wait."})
			return
		}
		defer leave()
	}
	if streams {
		s.stream(w, r, request)
		return
	}
	if request.wait > 0 {
		waitsLonger(w, request.wait)
	}
	page, err := s.nextRevocations(r.Context(), request)
	switch {
	case r.Context().Err() != nil && err != nil:
		return // the caller has hung up
	case err != nil:
		s.fail(w, r, err)
		return
	}
	writeRawJSON(w, http.StatusOK, encodePlain(page))
}

// waitsLonger lets a request take longer than others.
func waitsLonger(w http.ResponseWriter, wait time.Duration) {
	controller, end := http.NewResponseController(w), time.Now().Add(wait+2*feedReadLimit)
	_ = controller.SetReadDeadline(end)
	_ = controller.SetWriteDeadline(end)
}

// feedRequest authenticates the caller and reads the parameters.
func (s *Server) feedRequest(w http.ResponseWriter, r *http.Request) (*feedRequest, error) {
	form, sent, err := feedParameters(w, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), feedReadLimit)
	defer cancel()
	caller, failed := s.authenticate(ctx, r, form)
	if failed == nil && caller.IsPublic() {
		failed = fosite.ErrInvalidClient.WithHint("Only clients that authenticate may read the revocations.")
	}
	if failed != nil {
		return nil, failed
	}
	server, ok := caller.(ResourceServerClient)
	if !ok || len(server.GetIntrospects()) == 0 {
		return nil, fosite.ErrAccessDenied.WithHint("Only resource servers may read the revocations. Register the client with introspects.")
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" && wantsStream(r) {
		sent.Set("after", last)
	}
	request := &feedRequest{caller: caller, resources: server.GetIntrospects(), limit: defaultRevocations}
	if resource := sent.Get("resource"); resource != "" {
		if !slices.Contains(request.resources, resource) {
			return nil, fosite.ErrAccessDenied.WithHintf("The client does not speak for the resource %q, so it does not hear of its tokens. Register the client with introspects for it.", resource)
		}
		request.resources = []string{resource}
	}
	if err := request.read(sent); err != nil {
		return nil, err
	}
	return request, nil
}

// feedParameters are the form with credentials, and all parameters.
func feedParameters(w http.ResponseWriter, r *http.Request) (form, sent url.Values, err error) {
	if r.Method == http.MethodPost {
		if err := parseForm(w, r); err != nil {
			return nil, nil, err
		}
		return r.PostForm, r.PostForm, nil
	}
	sent = r.URL.Query()
	params.DropEmpty(sent)
	if name := params.Repeated(sent); name != "" {
		return nil, nil, fosite.ErrInvalidRequest.WithHintf("The parameter %q is given more than once.", name)
	}
	for _, name := range append([]string{"client_id", "client_assertion_type"}, secretParameters...) {
		if sent.Has(name) {
			return nil, nil, fosite.ErrInvalidRequest.WithHintf("Send %q in the body of a POST, not in the URL.", name)
		}
	}
	r.PostForm, r.Form = url.Values{}, sent
	return r.PostForm, sent, nil
}

// feedCredentials are the parameters with which a client may authenticate.
var feedCredentials = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

func (f *feedRequest) read(sent url.Values) error {
	for name := range sent {
		if !slices.Contains(feedCredentials, name) && name != "after" && name != "wait" && name != "limit" && name != "resource" {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %q means nothing here. There are: after, wait, limit, resource.", name)
		}
	}
	if f.after = sent.Get("after"); len(f.after) > maxFeedCursor {
		return fosite.ErrInvalidRequest.WithHintf("The parameter %q is longer than %d bytes. Send the cursor of an answer.", "after", maxFeedCursor)
	}
	if text := sent.Get("wait"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if f.wait = time.Duration(seconds * float64(time.Second)); err != nil || !(seconds >= 0 && f.wait <= maxRevocationWait) {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %q is no number of seconds from 0 to %d.", "wait", int(maxRevocationWait.Seconds()))
		}
	}
	if text := sent.Get("limit"); text != "" {
		var err error
		if f.limit, err = strconv.Atoi(text); err != nil || f.limit < 1 || f.limit > maxRevocations {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %q is no number from 1 to %d.", "limit", maxRevocations)
		}
	}
	return nil
}

// nextRevocations is the page after the cursor, as soon as there is something in it, or when the time to wait is over.
func (s *Server) nextRevocations(ctx context.Context, request *feedRequest) (page RevocationPage, err error) {
	feed, over := s.Revocations, time.NewTimer(request.wait)
	defer over.Stop()
	for after, waited, last := request.after, false, request.wait == 0; ; waited = true {
		news := feed.watch.news()
		if page, err = feed.page(ctx, after, request); err != nil {
			return page, err
		}
		if waited && page.concerns(request.caller.GetID()) {
			// Nobody knows whether the caller may still read. It asks again, and is authenticated.
			return RevocationPage{Cursor: after, Revocations: []RevocationEntry{}}, nil
		}
		if last || len(page.Revocations) > 0 || page.More || page.Reset {
			return page.forCaller(request.caller.GetID()), nil
		}
		after = page.Cursor
		feed.watch.follow(feed.Changed, after)
		select {
		case <-news:
		case <-over.C:
			last = true
		case <-feed.Stopping:
			last = true
		case <-ctx.Done():
			return page, fmt.Errorf("waiting for revocations: %w", ctx.Err())
		}
	}
}

// page reads one, and half of it again where it is too long. A cursor that is "now" at first is the moment of the first page.
func (f *Revocations) page(ctx context.Context, after string, request *feedRequest) (RevocationPage, error) {
	ctx, cancel := context.WithTimeout(ctx, feedReadLimit)
	defer cancel()
	page, err := f.Read(ctx, after, request.resources, request.limit)
	for limit := request.limit / 2; err == nil && limit > 0 && page.tooLong(); limit /= 2 {
		page, err = f.Read(ctx, after, request.resources, limit)
	}
	if page.Revocations == nil {
		page.Revocations = []RevocationEntry{}
	}
	return page, err
}
