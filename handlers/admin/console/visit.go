package console

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
)

// visit is one request for a page.
type visit struct {
	*site
	w       http.ResponseWriter
	r       *http.Request
	session *session // nil: nobody is logged in
}

// maxForm bounds what a form may hold.
const maxForm = 64 << 10

// endpoint serves one path. Strangers get the page for logging in, whatever they ask for: they learn nothing.
func (s *site) endpoint(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := audit.Origin{RequestID: handlers.RequestID(r), IP: clientaddr.String(clientaddr.Of(r))} // of audit events
		v := &visit{site: s, w: w, r: r.WithContext(audit.WithOrigin(r.Context(), origin))}
		if err := v.serve(e); err != nil {
			v.fail(err)
		}
	})
}

func (v *visit) serve(e endpoint) error {
	if err := v.origins.Check(v.r); err != nil {
		v.log.WarnContext(v.r.Context(), "refused a form from another site", "path", v.r.URL.EscapedPath(), "origin", v.r.Header.Get("Origin"))
		return &problem{Status: http.StatusForbidden, Title: "That was not accepted",
			Detail: "The form was sent from another site, or the address of this page is not the one that your browser shows. Nothing was changed."}
	}
	posted := v.r.Method == http.MethodPost && e.post != nil
	var err, unread error
	if posted {
		unread = v.readForm() // first: who is logged in is looked at when the form is here, however slowly it comes
	}
	if v.session, err = v.current(); err != nil {
		return err
	}
	if v.session == nil && !e.open {
		return errLoggedOut
	}
	if method, path, needed := strings.Cut(e.needs, " "); needed && v.r.Method != http.MethodPost && !v.session.actor.May(method, path) {
		return &problem{Status: http.StatusForbidden, Title: "Not allowed", Detail: "Your admin key may not do this. Log in with another one."}
	}
	byMethod := map[string]http.HandlerFunc{}
	add := func(do func(*visit) error, methods ...string) {
		for _, method := range methods {
			if do != nil {
				byMethod[method] = func(http.ResponseWriter, *http.Request) { err = do(v) }
			}
		}
	}
	add(e.get, http.MethodGet, http.MethodHead)
	add(e.post, http.MethodPost)
	if len(byMethod) == 0 {
		return notFound()
	}
	if unread != nil {
		return unread
	}
	if posted && !e.open && !sameToken(v.r.PostForm.Get("csrf"), v.session.formToken()) {
		return &problem{Status: http.StatusForbidden, Title: "That page was out of date",
			Detail: "Nothing was changed. Open the page again, and repeat what you did."}
	}
	handlers.Methods(byMethod, func(http.ResponseWriter, *http.Request) {
		err = &problem{Status: http.StatusMethodNotAllowed, Title: "Not offered", Detail: "This page cannot be used in that way."}
	})(v.w, v.r)
	return err
}

// readForm reads what has the form of ours.
func (v *visit) readForm() error {
	bad := &problem{Status: http.StatusBadRequest, Title: "That was not a form of this page",
		Detail: "Nothing was changed. Open the page again."}
	mediaType, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return bad
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return bad
	}
	for name, values := range v.r.PostForm {
		if len(values) > 1 && !manyValued[name] {
			return bad
		}
	}
	return nil
}

// manyValued are the fields that a form may hold more than once: boxes to tick.
var manyValued = map[string]bool{"scope": true, "audience": true, "introspects": true, "grant_types": true}

// named is the decoded variable of the path. One that cannot be decoded is nobody's id.
func (v *visit) named(variable string) string {
	value, err := url.PathUnescape(mux.Vars(v.r)[variable])
	if err != nil {
		return ""
	}
	return value
}

// redirect sends the browser to another page of the console after a form.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// errLoggedOut says that nobody is logged in.
var errLoggedOut = errors.New("console: nobody is logged in")
