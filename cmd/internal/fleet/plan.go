package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
)

// outcome is what happens to one client.
type outcome string

const (
	create    outcome = "create"
	change    outcome = "change"
	unchanged outcome = "unchanged"
	resume    outcome = "resume" // it was created, and its secret has not got here
)

// Plan brings the clients of a server to what entries say. Fill in the first fields, call Make, and then Apply.
type Plan struct {
	API      *apiclient.Admin
	Terminal *terminal.Terminal
	Secrets  *Secrets // nil: there is no folder for them
	// SecretLife is how long the secrets of new clients work; zero: they have no end.
	SecretLife time.Duration

	steps    []*step
	mistakes mistakes
}

// step is what is to do for one client.
type step struct {
	entry   *Entry
	outcome outcome
	etag    string
	changes map[string]difference
	secret  bool // it gets one
}

// difference is a member before and after a change, as JSON.
type difference struct {
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// Make asks the server about each entry. It changes nothing. The error tells all mistakes, or why the server cannot tell.
func (p *Plan) Make(ctx context.Context, entries []*Entry) error {
	for _, entry := range entries {
		step, err := p.stepFor(ctx, entry)
		if err == nil {
			p.steps = append(p.steps, step)
			continue
		}
		if !p.noted(entry, err) {
			return err
		}
	}
	return p.mistakes.err()
}

// noted notes a mistake of the file; false: err is none.
func (p *Plan) noted(e *Entry, err error) bool {
	var problem *apiclient.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest && problem.Status != http.StatusConflict {
		return false
	}
	for _, mistake := range problem.Errors {
		detail := mistake.Detail
		if problem.Status == http.StatusConflict {
			detail += ": " + problem.Detail
		}
		p.mistakes.add(e.lineOf(mistake.Pointer), e.id, mistake.Pointer, mistake.Code, "%s", detail)
	}
	if len(problem.Errors) == 0 {
		p.mistakes.add(e.line, e.id, "", "", "%s", problem.Error())
	}
	return true
}

var dryRun = url.Values{"dry_run": {"true"}}

func (p *Plan) stepFor(ctx context.Context, e *Entry) (*step, error) {
	var before, after map[string]json.RawMessage
	found, err := p.API.Decode(ctx, apiclient.Get("clients", e.id), &before)
	if apiclient.IsStatus(err, http.StatusNotFound) {
		return p.creation(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	s := &step{entry: e, outcome: unchanged, etag: found.ETag, changes: map[string]difference{}, secret: p.Secrets.isPending(e.id)}
	if s.secret {
		s.outcome = resume
	}
	patch := e.patch(s.etag)
	patch.Query = dryRun
	if _, err := p.API.Decode(ctx, patch, &after); err != nil {
		return nil, err
	}
	for _, name := range client.MemberNames() {
		if !bytes.Equal(before[name], after[name]) {
			s.changes[name] = difference{before[name], after[name]}
		}
	}
	if len(s.changes) > 0 && s.outcome == unchanged {
		s.outcome = change
	}
	return s, nil
}

// creation is the step for a client that is not there.
func (p *Plan) creation(ctx context.Context, e *Entry) (*step, error) {
	var after struct {
		Method string `json:"token_endpoint_auth_method"`
	}
	call := apiclient.Post(e.registration(0), "clients")
	call.Query = dryRun
	if _, err := p.API.Decode(ctx, call, &after); err != nil {
		return nil, err
	}
	made := client.Client{TokenEndpointAuthMethod: after.Method}
	s := &step{entry: e, outcome: create, secret: made.UsesSecret()}
	if s.secret && p.Secrets.has(e.id) {
		p.mistakes.add(e.line, e.id, "", "exists", "%s is there already and is not overwritten, and the client is not; move the file away", p.Secrets.path(e.id))
	}
	return s, nil
}

// registration is the body of the request that creates the client.
func (e *Entry) registration(secretLife time.Duration) map[string]any {
	body := maps.Clone(e.members)
	body["client_id"] = e.id
	if secretLife > 0 {
		body["secret_expires_in"] = int64(secretLife / time.Second)
	}
	return body
}

func (e *Entry) patch(etag string) apiclient.Call {
	return apiclient.Call{
		Method: http.MethodPatch, Path: []string{"clients", e.id}, Body: e.members, ContentType: "application/merge-patch+json", IfMatch: etag,
	}
}
