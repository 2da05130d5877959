package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// confirmData is the data of confirm.html: a page that says what a button will do.
type confirmData struct {
	Says    []string
	Field   *field // a choice that goes with it; nil: none
	Problem string
	Action  string
	Back    string
	Button  string
	Danger  bool
	Version string // of what is changed
}

// confirm shows the page before a change.
func (v *visit) confirm(title, section string, data confirmData) error {
	data.Action = v.r.URL.EscapedPath()
	return v.render(http.StatusOK, "confirm", v.page(title, section, data))
}

// act makes a change that was confirmed, and leads to a page that says so. A change of something that is not as it was when the
// page was made is refused.
func (v *visit) act(method, path string, body any, to string) error {
	header := http.Header{}
	if version := v.r.PostForm.Get("version"); version != "" {
		header.Set("If-Match", version)
	}
	_, err := v.send(method, path, body, header)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusPreconditionFailed {
		return &problem{Status: p.Status, Title: "It has changed meanwhile",
			Detail: "Somebody has made a change since you opened this page. Nothing was changed now. Look at it again first."}
	}
	if err != nil {
		return err
	}
	return v.redirect(to)
}

// clientAct is a change of a client that is confirmed.
type clientAct struct {
	title, button string
	danger        bool
	says          []string
	method, below string // of the API
	body          any
	done          string
}

var clientActs = map[string]clientAct{
	"disable": {
		title: "Disable %s?", button: "Disable the client", danger: true, method: http.MethodPost, below: "/disable", done: "disabled",
		says: []string{"It gets no tokens, and those that it has do not work, until it is enabled again."},
	},
	"enable": {
		title: "Enable %s?", button: "Enable the client", method: http.MethodPost, below: "/enable", done: "enabled",
		says: []string{"It gets tokens again. Those that it had before work again until they expire."},
	},
	"delete": {
		title: "Delete %s?", button: "Delete the client for good", danger: true, method: http.MethodDelete, done: "deleted",
		says: []string{
			"Its secrets and tokens end at once, and what people have allowed it ends with them.",
			"This cannot be undone. Its id is never given out again.",
		},
	},
	"revoke": {
		title: "Revoke all tokens of %s?", button: "Revoke all tokens", danger: true, method: http.MethodPost, below: "/tokens/revoke",
		body: map[string]bool{"all": true}, done: "revoked",
		says: []string{"All tokens issued so far end at once. The client can get new ones: to stop it, disable it."},
	},
}

func (v *visit) clientActPage() error {
	act, c := clientActs[v.named("act")], registration{ID: v.named("client_id")}
	version, err := v.get(c.api(""), nil, &c)
	if err != nil {
		return err
	}
	data := confirmData{Says: act.says, Back: c.Path(""), Button: act.button, Danger: act.danger}
	if act.below != "/tokens/revoke" { // which changes no registration
		data.Version = version
	}
	if act.danger {
		n, err := v.count(c.api("/tokens"), url.Values{"active": {"true"}})
		if err != nil {
			return err
		}
		data.Says = append([]string{"Tokens of it that work now: " + n + "."}, data.Says...)
	}
	return v.confirm(strings.ReplaceAll(act.title, "%s", c.Name), "clients", data)
}

func (v *visit) clientAct() error {
	act, c := clientActs[v.named("act")], registration{ID: v.named("client_id")}
	to := c.Path("")
	if act.method == http.MethodDelete {
		to = base + "/clients"
	}
	return v.act(act.method, c.api(act.below), act.body, to+"?done="+act.done)
}

func (v *visit) secretDeletePage() error {
	c := registration{ID: v.named("client_id")}
	if _, err := v.get(c.api(""), nil, &c); err != nil {
		return err
	}
	var secrets list[secret]
	if _, err := v.get(c.api("/secrets"), nil, &secrets); err != nil {
		return err
	}
	for _, s := range secrets.Items {
		if s.ID != v.named("secret_id") {
			continue
		}
		says := []string{"Whoever uses it gets no more tokens with it."}
		if left := len(secrets.Items) - 1; left == 0 {
			says = append(says, "It is the client's only secret: the client cannot get tokens until it has another one.")
		} else {
			says = append(says, "Other secrets of the client: "+strconv.Itoa(left)+".")
		}
		return v.confirm("Delete the secret of "+c.Name+" that ends with "+s.Hint+"?", "clients", confirmData{
			Says: says, Back: c.Path("#secrets"), Button: "Delete the secret", Danger: true,
			Field: &field{Name: "revoke_tokens", Label: "Its tokens", Kind: boxes,
				Options: []option{{"true", "Revoke the tokens that were issued with it, too"}}},
		})
	}
	return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "The client has no such secret."}
}

func (v *visit) secretDelete() error {
	c := registration{ID: v.named("client_id")}
	path := c.api("/secrets/" + url.PathEscape(v.named("secret_id")))
	if v.r.PostForm.Get("revoke_tokens") == "true" {
		path += "?revoke_tokens=true"
	}
	return v.act(http.MethodDelete, path, nil, c.Path("?done=secret-deleted#secrets"))
}

func (v *visit) tokenRevokePage() error {
	c := registration{ID: v.named("client_id")}
	if _, err := v.get(c.api(""), nil, &c); err != nil {
		return err
	}
	return v.confirm("Revoke a token of "+c.Name+"?", "clients", confirmData{
		Says: []string{
			"Token id: " + v.named("token_id"),
			"It ends at once. Where a person has allowed it, everything that came of the same login ends with it.",
		},
		Back: c.Path("#tokens"), Button: "Revoke the token", Danger: true,
	})
}

func (v *visit) tokenRevoke() error {
	c := registration{ID: v.named("client_id")}
	body := map[string]string{"token_id": v.named("token_id")}
	return v.act(http.MethodPost, c.api("/tokens/revoke"), body, c.Path("?done=token-revoked#tokens"))
}
