package login

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

//go:embed templates
var embedded embed.FS

// pages are the parsed templates by their name.
type pages struct {
	templates map[string]*template.Template
	style     template.CSS
	styleHash string
}

// parsePages reads the templates, each from custom if it is there, and tries them out.
func parsePages(custom fs.FS) (*pages, error) {
	style, err := pageFile(custom, "style.css")
	if err != nil {
		return nil, err
	}
	if strings.Contains(strings.ToLower(style), "</style") {
		return nil, errors.New("style.css must not hold the end of a style element")
	}
	layout, err := pageFile(custom, "layout.html")
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(style))
	p := &pages{make(map[string]*template.Template), template.CSS(style), base64.StdEncoding.EncodeToString(hash[:])}
	functions := template.FuncMap{"date": func(t time.Time) string { return t.Format("2 January 2006") }}
	for name, data := range samples() {
		text, err := pageFile(custom, name+".html")
		if err != nil {
			return nil, err
		}
		parsed, err := template.New("layout.html").Funcs(functions).Option("missingkey=error").Parse(layout)
		if err == nil {
			_, err = parsed.New(name + ".html").Parse(text)
		}
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		p.templates[name] = parsed
		for _, sample := range data {
			if err := parsed.Execute(new(bytes.Buffer), sample); err != nil {
				return nil, fmt.Errorf("template %s does not fit its data: %w", name, err)
			}
		}
	}
	return p, nil
}

func pageFile(custom fs.FS, name string) (string, error) {
	if custom != nil {
		content, err := fs.ReadFile(custom, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(content), err
		}
	}
	content, err := embedded.ReadFile("templates/" + name)
	return string(content), err
}

// page begins the data of a page whose forms belong to the session token, which is empty when nobody is logged in.
func (s *Pages) page(w http.ResponseWriter, r *http.Request, token string) Page {
	return Page{Style: s.pages.style, Base: s.BasePath, CSRF: s.formToken(w, r, token)}
}

// render writes a page that nobody may keep or frame, and that loads and runs nothing.
func (s *Pages) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var body bytes.Buffer
	if err := s.pages.templates[name].Execute(&body, data); err != nil {
		s.Log.ErrorContext(r.Context(), "render a page", "page", name, "cause", err)
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", s.pages.policy(name))
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer, which would turn the Origin of our own forms into "null".
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // the browser has gone
	}
}

// policy allows the style that is in the page, images of this origin (a team's logo) and forms that end here.
//
// The form of the consent page leads to the client and on from there, to an application or to another page of the
// client's. Browsers hold each of these redirects against form-action (CSP Level 3 §6.4.2), and nobody knows them
// beforehand, so that page, which takes no secret, has none. A page between them, as after a login, would lose the
// person's click, and phones open no application without one.
func (p *pages) policy(name string) string {
	policy := "default-src 'none'; style-src 'sha256-" + p.styleHash + "'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
	if name == "consent" {
		return policy
	}
	return policy + "; form-action 'self'"
}
