package console

import (
	"errors"
	"net/http"

	"fosite-mcp/internal/browser"
)

// formData is the data of form.html: the form of a client.
type formData struct {
	Client  registration // that is changed; empty for a new one
	Fields  []field
	Problem string // what is wrong, apart from single fields
	Others  []string
	Action  string
	Back    string
	Button  string
	Once    string // names the attempt to register, so that it succeeds once
	Version string // of the client that is changed
}

// Open tells that the folded fields are to be seen: one of them is wrong.
func (d formData) Open() bool {
	for _, f := range d.Fields {
		if f.Folded && f.Problem != "" {
			return true
		}
	}
	return false
}

// refused takes over why the API has refused the form. Of an outage it makes nothing: that is no fault of the form's.
func (d *formData) refused(err error) error {
	var p *problem
	if !errors.As(err, &p) || p.Status >= http.StatusInternalServerError || p.Status == http.StatusUnauthorized {
		return err
	}
	d.Problem, d.Others = p.Detail, p.blame(d.Fields)
	switch p.Status {
	case http.StatusBadRequest:
		d.Problem = "Nothing was changed. Look at what is marked below."
	case http.StatusPreconditionFailed:
		d.Problem = "Somebody has changed the client since you opened this page. Nothing was changed. " +
			"Open the page again, and repeat what you did."
	case http.StatusUnprocessableEntity:
		d.Problem = "This form has registered a client before. Send it again to register another one."
		d.Once = browser.NewToken()
	}
	return nil
}

const pageNewClient = base + "/new-client"

func (v *visit) newClientPage() error {
	return v.showNewClient(http.StatusOK, formData{Fields: v.newClientFields(), Once: browser.NewToken()})
}

func (v *visit) showNewClient(status int, data formData) error {
	data.Action, data.Back, data.Button = pageNewClient, base+"/clients", "Register the client"
	return v.render(status, "form", v.page("New client", "clients", data))
}

func (v *visit) newClient() error {
	data := formData{Fields: v.newClientFields(), Once: v.r.PostForm.Get("once")}
	fill(data.Fields, v.r.PostForm)
	body := map[string]any{}
	for _, f := range data.Fields {
		if value := f.json(); f.Kind == boxes || f.Value != "" {
			body[f.Name] = value
		}
	}
	a, err := v.send(http.MethodPost, "/clients", body, http.Header{"Idempotency-Key": {data.Once}})
	if err != nil {
		if err := data.refused(err); err != nil {
			return err
		}
		return v.showNewClient(http.StatusBadRequest, data)
	}
	var made struct {
		registration
		Secret string `json:"client_secret"`
	}
	if err := a.decode(&made); err != nil {
		return err
	}
	if !made.UsesSecret() {
		return v.redirect(made.Path("") + "?done=registered")
	}
	return v.showSecret(a, secretData{Client: made.registration, Secret: made.Secret, New: true})
}

// secretData is the data of secret.html.
type secretData struct {
	Client registration
	Secret string // empty: it was shown before
	New    bool   // the client is new, too
}

// showSecret shows a secret, once. A form that is sent again, such as by a reload of the page, is answered by the API as it was the
// first time, and the page leaves the secret out: whoever comes to the browser later does not see it.
func (v *visit) showSecret(a *answer, data secretData) error {
	if a.header.Get("Idempotency-Replayed") != "" {
		data.Secret = ""
	}
	title := "New secret"
	if data.New {
		title = "New client"
	}
	return v.render(http.StatusOK, "secret", v.page(title, "clients", data))
}
