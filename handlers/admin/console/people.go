package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// person is an account as the API shows it, or somebody without one who is kept out.
type person struct {
	ID         string     `json:"id"`
	Username   string     `json:"username"`
	Groups     []string   `json:"groups"`
	Status     string     `json:"status"`
	CreatedAt  *time.Time `json:"created_at"`
	DisabledAt *time.Time `json:"disabled_at"`
}

// Path is the person's page, or one below it.
func (p person) Path(below string) string { return base + "/people/" + url.PathEscape(p.ID) + below }

// api is the person's path in the API.
func (p person) api(below string) string { return "/users/" + url.PathEscape(p.ID) + below }

// Title is how to call the person.
func (p person) Title() string {
	if p.Username != "" {
		return p.Username
	}
	return p.ID
}

// consent is what a person has allowed a client.
type consent struct {
	Subject    string     `json:"subject"`
	Username   string     `json:"username"`
	ClientID   string     `json:"client_id"`
	ClientName string     `json:"client_name"`
	Scope      string     `json:"scope"`
	Resources  []string   `json:"resources"`
	CreatedAt  *time.Time `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// Person is who has allowed it.
func (c consent) Person() person { return person{ID: c.Subject, Username: c.Username} }

// Client is to whom.
func (c consent) Client() registration {
	name := c.ClientName
	if name == "" {
		name = c.ClientID
	}
	return registration{ID: c.ClientID, Name: name}
}

// peopleData is the data of people.html.
type peopleData struct {
	filters
	People []person
}

func (v *visit) peoplePage() error {
	data := peopleData{filters: filters{Fields: []field{
		{Name: "q", Label: "Search", Hint: "User name", Kind: text},
		{Name: "status", Label: "Status", Kind: choice, Options: []option{{"", "Any"}, {"active", "Active"}, {"disabled", "Disabled"}}},
	}}}
	var status int
	var err error
	if data.People, status, err = listed[person](v, &data.filters, "/people", "/users"); err != nil {
		return err
	}
	return v.render(status, "people", v.page("People", "people", data))
}

// consentsData is the data of consents.html.
type consentsData struct {
	filters
	Consents []consent
}

func (v *visit) consentsPage() error {
	data := consentsData{filters: filters{Fields: []field{
		{Name: "username", Label: "User name", Hint: "In full", Kind: text},
		{Name: "client_id", Label: "Client id", Hint: "In full", Kind: text},
	}}}
	var status int
	var err error
	if data.Consents, status, err = listed[consent](v, &data.filters, "/consents", "/consents"); err != nil {
		return err
	}
	return v.render(status, "consents", v.page("Consents", "people", data))
}

// personData is the data of person.html.
type personData struct {
	Person   person
	Account  bool // there is an account, or the person is kept out
	Consents []consent
	Next     string
}

// personPage shows an account and its consents. Whoever logs in by a provider or a proxy has no account here, and may have consents.
func (v *visit) personPage() error {
	data := personData{Person: person{ID: v.named("id")}, Account: true}
	_, err := v.get(data.Person.api(""), nil, &data.Person)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		data.Account = false
	} else if err != nil {
		return err
	}
	query := url.Values{}
	if cursor := v.r.URL.Query().Get("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	var found list[consent]
	if _, err := v.get(data.Person.api("/consents"), query, &found); err != nil {
		return err
	}
	if data.Consents = found.Items; !data.Account && len(data.Consents) == 0 {
		return p
	}
	if !data.Account {
		data.Person.Username = data.Consents[0].Username
	}
	if found.NextCursor != "" {
		data.Next = data.Person.Path("") + "?" + url.Values{"cursor": {found.NextCursor}}.Encode()
	}
	return v.render(http.StatusOK, "person", v.page(data.Person.Title(), "people", data))
}

// personAct is a change of a person that is confirmed.
type personAct struct {
	title, button string
	danger        bool
	says          []string
	done          string
}

// personActs are named as the API's.
var personActs = map[string]personAct{
	"disable": {
		title: "Disable %s?", button: "Disable the account", danger: true, done: "person-disabled",
		says: []string{
			"They are logged out, and every access in their name ends, until the account is enabled again.",
			"What they have allowed is remembered.",
		},
	},
	"enable": {
		title: "Let %s in again?", button: "Let them in", done: "person-enabled",
		says: []string{"They can log in again. Access that has ended does not come back: applications ask for it again."},
	},
	"revoke": {
		title: "End everything of %s?", button: "End everything", danger: true, done: "person-ended",
		says: []string{
			"They are logged out of every browser, every access in their name ends, what they have allowed is forgotten, and they get in no more.",
			"Let them in again afterwards if that was a mistake; they then log in and allow everything anew.",
		},
	},
}

func (v *visit) personActPage() error {
	act, someone := personActs[v.named("act")], person{ID: v.named("id")}
	version, err := v.get(someone.api(""), nil, &someone)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound && v.named("act") == "revoke" { // without an account here
		err = nil
	}
	if err != nil {
		return err
	}
	data := confirmData{Says: act.says, Back: someone.Path(""), Button: act.button, Danger: act.danger}
	if v.named("act") != "revoke" { // which takes everybody as they are
		data.Version = version
	}
	return v.confirm(strings.ReplaceAll(act.title, "%s", someone.Title()), "people", data)
}

func (v *visit) personAct() error {
	act, someone := v.named("act"), person{ID: v.named("id")}
	to := someone.Path("?done=" + personActs[act].done)
	return v.act(http.MethodPost, someone.api("/"+act), nil, to)
}

func (v *visit) withdrawPage() error {
	someone, c := person{ID: v.named("id")}, registration{ID: v.named("client_id")}
	return v.confirm("Withdraw what was allowed?", "people", confirmData{
		Says: []string{
			"Person: " + someone.ID, "Client: " + c.ID,
			"The client's access in the person's name ends at once. It may ask the person again.",
		},
		Back: someone.Path(""), Button: "Withdraw", Danger: true,
	})
}

// withdraw leads to the consents: the person's page is gone with the last one of somebody without an account.
func (v *visit) withdraw() error {
	someone := person{ID: v.named("id")}
	return v.act(http.MethodDelete, someone.api("/consents/"+url.PathEscape(v.named("client_id"))), nil, base+"/consents?done=withdrawn")
}
