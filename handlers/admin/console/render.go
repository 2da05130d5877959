package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var files embed.FS

var (
	style, _  = files.ReadFile("templates/style.css") // embedded, so that it is there
	styleHash = sha256.Sum256(style)
	stylePath = base + "/style.css?" + hex.EncodeToString(styleHash[:8])
	templates = sync.OnceValue(parse) // by the first visit: most runs of the program have none
)

// parse reads the templates: each page together with the layout and what pages have in common.
func parse() map[string]*template.Template {
	shared := template.New("layout.html").Option("missingkey=error").Funcs(template.FuncMap{
		"when": when, "join": func(list []string) string { return strings.Join(list, ", ") }, "seg": url.PathEscape,
		"list": func(items ...any) []any { return items },
	})
	template.Must(shared.ParseFS(files, "templates/layout.html", "templates/shared.html"))
	pages := map[string]*template.Template{}
	entries, err := files.ReadDir("templates")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		name, isPage := strings.CutSuffix(entry.Name(), ".html")
		if isPage && name != "layout" && name != "shared" {
			pages[name] = template.Must(template.Must(shared.Clone()).ParseFS(files, "templates/"+entry.Name()))
		}
	}
	return pages
}

// when shows a time; nil: a dash.
func when(t *time.Time) template.HTML {
	if t == nil || t.IsZero() {
		return `<span class="muted">–</span>`
	}
	utc := t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, utc.Format(time.RFC3339), utc.Format("2006-01-02 15:04 UTC")))
}

// page is the data of a template.
type page struct {
	Style   string
	Title   string
	Section string // of the navigation
	Name    string // of the admin key, or of the person; empty: nobody is logged in
	Role    string
	Bound   bool // the key is for single clients
	CSRF    string
	Done    string // what has just been done
	Data    any

	visit *visit
}

func (v *visit) page(title, section string, data any) *page {
	p := &page{Style: stylePath, Title: title, Section: section, Data: data, visit: v}
	if s := v.session; s != nil {
		p.Name, p.Role, p.Bound, p.CSRF = cmp.Or(s.Username, s.actor.Name), string(s.actor.Role), s.actor.Clients != nil, s.formToken()
		p.Done = done[v.r.URL.Query().Get("done")]
	}
	return p
}

// May tells whether who is logged in may do an operation of the API. What they may not do is not offered.
func (p *page) May(method, path string) bool {
	return p.visit.session != nil && p.visit.session.actor.May(method, path)
}

// done is what a page says after a change that has led to it.
var done = map[string]string{
	"registered": "The client is registered.", "changed": "The client is changed.", "deleted": "The client is deleted.",
	"disabled": "The client is disabled.", "enabled": "The client is enabled.",
	"revoked": "All tokens issued so far are revoked.", "token-revoked": "The token is revoked.", "secret-deleted": "The secret is deleted.",
	"person-disabled": "The account is disabled.", "person-enabled": "The person can log in again.",
	"person-ended": "Everything of this person has ended.", "withdrawn": "What was allowed is withdrawn.",
}

// policy lets a page load its style and post to this server, and nothing else.
const policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// render writes a page that nobody may keep or frame.
func (v *visit) render(status int, name string, p *page) error {
	var body bytes.Buffer
	if err := templates()[name].ExecuteTemplate(&body, "layout.html", p); err != nil {
		return err
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer, which would turn the Origin of our own forms into "null".
	header.Set("Referrer-Policy", "same-origin")
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body.Bytes()) // the browser has gone
	}
	return nil
}

// serveStyle serves the style. Its address has its hash, so that browsers may keep it.
func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	_, _ = w.Write(style)
}
