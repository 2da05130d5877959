package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
)

// NeedsSecrets tells whether the plan makes secrets, which have to go somewhere.
func (p *Plan) NeedsSecrets() bool {
	return slices.ContainsFunc(p.steps, func(s *step) bool { return s.secret })
}

// Show tells what would be done.
func (p *Plan) Show() error {
	for _, step := range p.steps {
		if err := p.print(step, false); err != nil {
			return err
		}
	}
	p.summary(false)
	return nil
}

// Apply does it, client by client, and tells what is done. The first failure ends it; another run goes on from there.
func (p *Plan) Apply(ctx context.Context) error {
	for i, step := range p.steps {
		err := p.do(ctx, step)
		if err == nil {
			err = p.print(step, true)
		}
		if err != nil {
			return apiclient.Instead(err, "line %d: client %s: %s\n  %d of %d clients are as the file says; run the same command again to go on",
				step.entry.line, terminal.Printable(step.entry.id), err, i, len(p.steps))
		}
	}
	p.summary(true)
	return nil
}

func (p *Plan) do(ctx context.Context, s *step) error {
	switch s.outcome {
	case create:
		if s.secret {
			return p.createWithSecret(ctx, s)
		}
		_, err := p.API.Do(ctx, apiclient.Post(s.entry.registration(0), "clients"))
		return err
	case resume:
		if err := p.fetchSecret(ctx, s.entry.id); err != nil {
			return err
		}
	}
	if len(s.changes) == 0 {
		return nil
	}
	_, err := p.API.Do(ctx, s.entry.patch(s.etag))
	return err
}

// createWithSecret writes down the request before it is sent: whatever happens then, the same request is answered with the secret
// once more.
func (p *Plan) createWithSecret(ctx context.Context, s *step) error {
	body, err := json.Marshal(s.entry.registration(p.SecretLife))
	if err != nil {
		return err
	}
	if err := p.Secrets.begin(s.entry.id, body); err != nil {
		return err
	}
	return p.fetchSecret(ctx, s.entry.id)
}

// fetchSecret sends the request that was written down, and stores the secret of the answer.
func (p *Plan) fetchSecret(ctx context.Context, id string) error {
	if p.Secrets.has(id) { // it was stored, and the request was not forgotten any more
		return p.Secrets.forget(id)
	}
	begun, err := p.Secrets.begun(id)
	if err != nil {
		return err
	}
	call := apiclient.Post(begun.Request, "clients")
	call.IdempotencyKey = begun.IdempotencyKey
	var made struct {
		Secret string `json:"client_secret"`
	}
	_, err = p.API.Decode(ctx, call, &made)
	lost := err == nil && made.Secret == "" || apiclient.IsStatus(err, http.StatusUnprocessableEntity) || isTaken(err)
	switch {
	case lost:
		return fmt.Errorf("it is there, and its first secret is not shown any more. Make another: fosite-mcp client rotate %s --secret-file %s --expires-previous-in 0s",
			id, p.Secrets.path(id))
	case err != nil && refused(err):
		return errors.Join(err, p.Secrets.forget(id)) // there is no client
	case err != nil:
		return err
	}
	return p.Secrets.store(id, made.Secret)
}

// isTaken tells whether somebody else, or another admin key, has created the client.
func isTaken(err error) bool {
	var problem *apiclient.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusConflict && len(problem.Errors) > 0
}

// refused tells whether the server has said that it did not do what it was asked.
func refused(err error) bool {
	var problem *apiclient.Problem
	return errors.As(err, &problem) && problem.Status < http.StatusInternalServerError && problem.Status != http.StatusConflict && problem.Status != http.StatusTooManyRequests
}

// report is a line of JSON about one client.
type report struct {
	Line       int                   `json:"line"`
	ClientID   string                `json:"client_id"`
	Result     outcome               `json:"result"`
	Applied    bool                  `json:"applied"`
	Changes    map[string]difference `json:"changes,omitempty"`
	SecretFile string                `json:"secret_file,omitempty"`
}

func (p *Plan) print(s *step, applied bool) error {
	r := report{Line: s.entry.line, ClientID: s.entry.id, Result: s.outcome, Applied: applied && s.outcome != unchanged, Changes: s.changes}
	if s.secret && p.Secrets != nil {
		r.SecretFile = p.Secrets.path(s.entry.id)
	}
	if p.Terminal.JSON {
		return p.Terminal.Encode(r)
	}
	text := fmt.Sprintf("line %d  %s  %s", r.Line, r.ClientID, r.Result)
	if r.SecretFile != "" {
		text += "  secret in " + r.SecretFile
	}
	for _, name := range slices.Sorted(maps.Keys(s.changes)) {
		text += fmt.Sprintf("  %s: %s → %s", name, s.changes[name].Before, s.changes[name].After)
	}
	_, err := fmt.Fprintln(p.Terminal.Stdout, terminal.Printable(text))
	return err
}

func (p *Plan) summary(applied bool) {
	count := map[outcome]int{}
	for _, step := range p.steps {
		count[step.outcome]++
	}
	would := "would be "
	if applied {
		would = ""
	}
	text := fmt.Sprintf("%d %screated, %d %schanged, %d unchanged", count[create], would, count[change], would, count[unchanged])
	if n := count[resume]; n > 0 {
		text += fmt.Sprintf(", %d secrets fetched again", n)
	}
	p.Terminal.Notice("%s", text)
	if !applied && len(p.steps) > count[unchanged] {
		flags := "--yes"
		if p.Secrets == nil && p.NeedsSecrets() {
			flags += " and --secrets-dir DIR"
		}
		p.Terminal.Notice("nothing was changed; add %s to do it", flags)
	}
}
