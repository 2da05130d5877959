package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
	"github.com/spf13/cobra"
)

// keyCommand is the group of commands on the keys that sign JWT access tokens. They work on the database.
func keyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Manage the keys that sign JWT access tokens",
		Long: `Manage the keys that sign JWT access tokens, for resources with token_format jwt. The server makes them and replaces them
every tokens.key_lifespan. These commands work on the database directly, with the settings of the server; the server may be
running.`,
		Example: "  fosite-mcp key list\n  fosite-mcp key rotate",
	}
	c.AddCommand(keyListCommand(a), keyRotateCommand(a))
	return c
}

// keyView is a signing key as --json shows it.
type keyView struct {
	ID          string     `json:"kid"`
	State       string     `json:"state"`
	Algorithm   string     `json:"alg"`
	PublishedAt *time.Time `json:"published_at"`
	MaySign     *time.Time `json:"may_sign_from"`
	SignsSince  *time.Time `json:"signs_since"`
	RetiredAt   *time.Time `json:"retired_at"`
	EndsAt      *time.Time `json:"last_token_ends_at"`
}

func viewOfKey(k provider.SigningKey) keyView {
	return keyView{
		ID: k.ID, State: string(k.State), Algorithm: k.Algorithm, PublishedAt: optional(k.PublishedAt), MaySign: optional(k.MaySign),
		SignsSince: optional(k.SignsSince), RetiredAt: optional(k.RetiredAt), EndsAt: optional(k.EndsAt),
	}
}

func (v keyView) cells() []string {
	ends := terminal.Time(v.EndsAt)
	if v.State == string(provider.KeyRetired) && ends == "" {
		ends = "not known yet"
	}
	return []string{v.ID, v.State, v.Algorithm, terminal.Time(v.PublishedAt), terminal.Time(v.SignsSince), terminal.Time(v.RetiredAt), ends}
}

func keyListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the signing keys; never their private halves",
		Long: `List the signing keys; never their private halves. The next key is published and signs nothing yet, the current one signs,
and a retired one verifies what it has signed, until the last of these tokens has ended.`,
		Example: "  fosite-mcp key list\n  fosite-mcp key list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withData(c.Context(), func(ctx context.Context, cfg config.Config, store *storage.Store) error {
				keys, err := provider.ListSigningKeys(ctx, store)
				if err != nil {
					return err
				}
				if len(keys) == 0 {
					a.Notice("%s", whyNoKeys(cfg))
				}
				return printItems(&a.Terminal, keys, viewOfKey, "KID", "STATE", "ALG", "PUBLISHED", "SIGNS SINCE", "RETIRED", "LAST TOKEN ENDS")
			})
		},
	}
}

// whyNoKeys says why there are none, and what to do.
func whyNoKeys(cfg config.Config) string {
	if cfg.IssuesJWT() {
		return "there are no signing keys yet: the server makes them when it starts"
	}
	return "there are no signing keys: no resource has token_format jwt, and tokens.format is opaque"
}

func keyRotateCommand(a *app) *cobra.Command {
	var now, yes bool
	var id string
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Have the next key sign from now on",
		Long: `Have the next key sign from now on, and publish another next one. The key that has signed until now is retired: its tokens go
on verifying. A next key must have been published for some minutes, so that all verifiers know it.

--now is for a key that has leaked, the current one or the one of --key: it is taken away at once, whether verifiers know the
next one or not. Tokens that it has signed are refused: by running servers within a minute, by verifiers once they fetch the
JWKS again. Their clients have to get new ones.`,
		Example: "  fosite-mcp key rotate\n  fosite-mcp key rotate --now",
		RunE: func(c *cobra.Command, _ []string) error {
			if id != "" && !now {
				return terminal.BadUsage("--key names a key that has leaked, and needs --now")
			}
			return a.withData(c.Context(), func(ctx context.Context, cfg config.Config, store *storage.Store) error {
				keys, err := provider.ListSigningKeys(ctx, store)
				if err != nil {
					return err
				}
				if len(keys) == 0 {
					return errors.New(whyNoKeys(cfg))
				}
				if now {
					if id, err = leakedKey(keys, id); err != nil {
						return err
					}
					consequence := fmt.Sprintf("Every token that the key %s has signed is refused from now on, and its client has to get a new one", id)
					if err := a.Confirm(ctx, yes, consequence, id); err != nil {
						return err
					}
				}
				return a.rotateKey(audit.WithOrigin(ctx, audit.Origin{Actor: shellActor()}), cfg, store, id)
			})
		},
	}
	c.Flags().BoolVar(&now, "now", false, "take a leaked key away at once; its tokens are refused from then on")
	c.Flags().StringVar(&id, "key", "", "with --now: the `kid` of the key that has leaked (default: the current one)")
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

// leakedKey is the id of the key to take away: that which was named, or the current one's.
func leakedKey(keys []provider.SigningKey, named string) (string, error) {
	i := slices.IndexFunc(keys, func(k provider.SigningKey) bool {
		return k.ID == named || named == "" && k.State == provider.KeyCurrent
	})
	if i < 0 {
		return "", apiclient.NotFound("there is no such key; see fosite-mcp key list")
	}
	return keys[i].ID, nil
}

// rotateKey has the next key sign, or takes the leaked one away.
func (a *app) rotateKey(ctx context.Context, cfg config.Config, store *storage.Store, leaked string) error {
	keys, err := authserver.SigningKeys(ctx, store, cfg)
	if err != nil {
		return err
	}
	if leaked != "" {
		_, err := keys.Discard(ctx, leaked)
		if errors.Is(err, fosite.ErrNotFound) {
			return apiclient.Instead(err, "the key is gone already; see fosite-mcp key list")
		}
		if err != nil {
			return fromProvider(err)
		}
		return a.Done(map[string]any{"kid": leaked, "discarded": true},
			"took the key %s away; running servers sign with the next one within a second and refuse its tokens within ten, verifiers when they fetch the JWKS again (in 5 minutes, if they keep to its max-age)", leaked)
	}
	signs, err := keys.Rotate(ctx)
	var early *provider.NextKeyTooYoungError
	if errors.As(err, &early) {
		return fmt.Errorf("the next key may sign from %s on, because some verifiers may not know it yet; wait, or replace a key that has leaked with --now",
			early.MaySign.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return fromProvider(err)
	}
	return a.Done(map[string]any{"kid": signs.ID, "alg": signs.Algorithm, "rotated": true}, "the key %s signs from now on; running servers use it within a second", signs.ID)
}
