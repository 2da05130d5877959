package handlers

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// streamLife is how long a stream lasts. Then the caller connects and authenticates again.
	streamLife = 30 * time.Second
	// streamBeat is how often a stream says that nothing has ended.
	streamBeat = time.Second
)

// wantsStream tells whether the caller prefers server-sent events.
func wantsStream(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/event-stream")
}

// stream sends the feed as server-sent events (HTML Standard §9.2): what has ended, and each second the cursor of the moment. It ends when the
// caller has to authenticate again, or when nobody knows what has ended; then the caller goes on with Last-Event-ID.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, request *feedRequest) {
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	feed, controller := s.Revocations, http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(streamLife + feedReadLimit))
	for first := true; ctx.Err() == nil; first = false {
		news := feed.watch.news()
		page, err := feed.page(ctx, request.after, request)
		switch {
		case err != nil && first:
			s.fail(w, r, err)
			return
		case err != nil, !first && page.concerns(request.caller.GetID()):
			return
		}
		if first {
			beginStream(w)
		}
		_ = controller.SetWriteDeadline(time.Now().Add(feedReadLimit))
		if _, err = w.Write(page.forCaller(request.caller.GetID()).events()); err == nil {
			err = controller.Flush()
		}
		if request.after = page.Cursor; err != nil {
			return
		}
		if !page.More && !feed.pause(ctx, news, page.Cursor) {
			return
		}
	}
}

// pause waits for something to tell. It is false when the stream has to end.
func (f *Revocations) pause(ctx context.Context, news <-chan struct{}, cursor string) bool {
	f.watch.follow(f.Changed, cursor)
	beat := time.NewTimer(streamBeat)
	defer beat.Stop()
	select {
	case <-news:
	case <-beat.C:
	case <-f.Stopping:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func beginStream(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // nginx would hold it back
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("retry: 1000\n\n"))
}

// events are a page as server-sent events. The cursor comes last: who is cut off before it gets the page again.
func (p RevocationPage) events() []byte {
	var text bytes.Buffer
	if p.Reset {
		text.WriteString("event: reset\ndata: {}\n\n")
	}
	for _, entry := range p.Revocations {
		fmt.Fprintf(&text, "event: revocation\ndata: %s\n\n", encodePlain(entry))
	}
	fmt.Fprintf(&text, "event: cursor\nid: %s\ndata: {\"more\":%t}\n\n", p.Cursor, p.More)
	return text.Bytes()
}
