package cmd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/audit"
)

// The commands on admin keys where a flag names a server.

func (a *app) createServedKey(ctx context.Context, flags *apiclient.Flags, key *audit.AdminKey, file string) error {
	api, err := a.adminAPI(flags)
	if err != nil {
		return err
	}
	output, err := terminal.CreateSecretFile(file)
	if err != nil {
		return err
	}
	body := map[string]any{"name": key.Name, "role": key.Role}
	if len(key.Clients) > 0 {
		body["client_ids"] = key.Clients
	}
	if !key.ExpiresAt.IsZero() {
		body["expires_at"] = key.ExpiresAt.Format(time.RFC3339)
	}
	var made adminKeyView
	if _, err := api.Decode(ctx, apiclient.Post(body, "keys"), &made); err != nil {
		output.Discard()
		return err
	}
	if output != nil {
		if err := output.Write(made.Key); err != nil {
			return fmt.Errorf("%w; the key was made and is lost: end it with fosite-mcp admin-key revoke %s", err, made.Name)
		}
	}
	return printNewAdminKey(&a.Terminal, made, output != nil, file)
}

func (a *app) listServedKeys(ctx context.Context, flags *apiclient.Flags) error {
	api, err := a.adminAPI(flags)
	if err != nil {
		return err
	}
	keys, err := allServed[adminKeyView](ctx, api, url.Values{}, "keys")
	if err != nil {
		return err
	}
	return printItems(&a.Terminal, keys, func(key adminKeyView) adminKeyView { return key }, adminKeyHead...)
}

func (a *app) revokeServedKey(ctx context.Context, flags *apiclient.Flags, name string) error {
	api, err := a.adminAPI(flags)
	if err != nil {
		return err
	}
	_, err = api.Do(ctx, apiclient.Delete("keys", name))
	if apiclient.IsStatus(err, http.StatusNotFound) {
		return apiclient.Instead(err, "there is no admin key %s that works; see fosite-mcp admin-key list", terminal.Printable(name))
	}
	if err != nil {
		return err
	}
	return a.revokedKey(name)
}

func (a *app) revokedKey(name string) error {
	return a.Done(map[string]any{"name": name, "revoked": true}, "revoked admin key %s", terminal.Printable(name))
}
