package cmd

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/spf13/cobra"
)

// verdict is what there is to say of the chain of audit events.
type verdict struct {
	count, firstBad int64
	checkpoint      string // how it agrees with one; empty: none was given
}

func auditVerifyCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that no audit event was changed or removed",
		Long: `Check the chain of hashes through all audit events: on the database itself (with the settings of the server), or with
--admin-url or --admin-key-file on the server that answers there. Exits with 1 when an event was changed, removed or put in.

Whoever may write to the whole database can rebuild the chain. --checkpoint FILE shows that: audit checkpoint has written it
before, and it was kept elsewhere since.`,
		Example: "  fosite-mcp audit verify\n  fosite-mcp audit verify --admin-url https://auth.example.com:8081 --admin-key-file auditor.key --checkpoint 2026-11-01.json",
		RunE: func(c *cobra.Command, _ []string) error {
			checkpoint, err := readCheckpoint(a, file)
			if err != nil {
				return err
			}
			if admin.URL == "" && admin.KeyFile == "" {
				return a.withData(c.Context(), func(ctx context.Context, cfg config.Config, store *storage.Store) error {
					found, err := verifyDatabase(ctx, store, cfg, checkpoint)
					if err != nil {
						return err
					}
					return found.print(&a.Terminal)
				})
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			found, err := verifyServer(c.Context(), api, checkpoint)
			if err != nil {
				return err
			}
			return found.print(&a.Terminal)
		},
	}
	c.Flags().StringVar(&file, "checkpoint", "", "`file` that audit checkpoint has written, - for stdin")
	return c
}

func auditCheckpointCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint",
		Short: "Say where the audit log ends now, signed, to keep elsewhere",
		Long: `Print where the chain of audit events ends now, as JSON: the last event, its hash, how many there are, the time, and a
signature by the server (HMAC-SHA256, with a key derived from the system secret). Keep it where nobody who may write to the
database may write; audit verify --checkpoint compares the log with it. It works on the database itself (with the settings of the
server), or with --admin-url or --admin-key-file on the server that answers there.`,
		Example: "  fosite-mcp audit checkpoint > 2026-11-01.json",
		RunE: func(c *cobra.Command, _ []string) error {
			if admin.URL != "" || admin.KeyFile != "" {
				api, err := a.adminAPI(admin)
				if err != nil {
					return err
				}
				answer, err := api.Do(c.Context(), apiclient.Get("audit", "checkpoint"))
				if err != nil {
					return err
				}
				return a.PrintJSON(answer.Body)
			}
			return a.withData(c.Context(), func(ctx context.Context, cfg config.Config, store *storage.Store) error {
				key, _, err := authserver.CheckpointKeys(ctx, store, cfg)
				if err != nil {
					return err
				}
				checkpoint, err := store.Audit().Checkpoint(ctx, key)
				if err != nil {
					return err
				}
				return a.Encode(checkpoint)
			})
		},
	}
}

// readCheckpoint reads a file of audit checkpoint; nil: none was given.
func readCheckpoint(a *app, file string) (*audit.Checkpoint, error) {
	if file == "" {
		return nil, nil
	}
	reader, err := a.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--checkpoint: %w", err)
	}
	defer reader.Close()
	var c audit.Checkpoint
	decoder := json.NewDecoder(io.LimitReader(reader, 4096))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil || c.Hash == "" || c.Signature == "" {
		return nil, fmt.Errorf("--checkpoint: %s is not what fosite-mcp audit checkpoint has written", file)
	}
	return &c, nil
}

func verifyDatabase(ctx context.Context, store *storage.Store, cfg config.Config, checkpoint *audit.Checkpoint) (found verdict, err error) {
	if checkpoint != nil {
		key, previous, err := authserver.CheckpointKeys(ctx, store, cfg)
		if err != nil {
			return found, err
		}
		if !checkpoint.SignedWith(append(previous, key)...) {
			return found, errors.New("--checkpoint: was not signed with a system secret of this server, or was changed since; if the secret was replaced, put the earlier one into system_secrets_previous")
		}
		if found.checkpoint, err = store.Audit().Holds(ctx, checkpoint); err != nil {
			return found, err
		}
	}
	found.count, found.firstBad, err = store.Audit().Verify(ctx, nil)
	return found, err
}

// verifyServer has a server verify its log, part by part.
func verifyServer(ctx context.Context, api *apiclient.Admin, checkpoint *audit.Checkpoint) (found verdict, err error) {
	call := apiclient.Call{Method: http.MethodGet, Path: []string{"audit", "verify"}, Query: url.Values{}}
	if checkpoint != nil {
		encoded, err := json.Marshal(checkpoint)
		if err != nil {
			return found, err
		}
		call.Query.Set("checkpoint", base64.RawURLEncoding.EncodeToString(bytes.TrimSpace(encoded)))
	}
	for {
		var part struct {
			Intact     *bool  `json:"intact"`
			Events     int64  `json:"events"`
			FirstBad   int64  `json:"first_bad"`
			Checkpoint string `json:"checkpoint"`
			NextCursor string `json:"next_cursor"`
		}
		if _, err := api.Decode(ctx, call, &part); err != nil {
			return found, err
		}
		if part.Intact == nil || checkpoint != nil && call.Query.Has("checkpoint") && part.Checkpoint == "" {
			return found, api.Foreign(errors.New("it does not say whether the log is intact"))
		}
		if call.Query.Has("checkpoint") {
			found.checkpoint = part.Checkpoint
			call.Query.Del("checkpoint")
		}
		found.count, found.firstBad = found.count+part.Events, part.FirstBad
		if part.FirstBad != 0 || part.NextCursor == "" {
			return found, nil
		}
		if part.NextCursor == call.Query.Get("cursor") {
			return found, api.Foreign(errors.New("it answers the same part again and again"))
		}
		call.Query.Set("cursor", part.NextCursor)
	}
}

func (v verdict) print(out *terminal.Terminal) error {
	err := v.problem()
	if out.JSON {
		result := map[string]any{"intact": err == nil, "events": v.count}
		if v.firstBad != 0 {
			result["first_bad"] = v.firstBad
		}
		if v.checkpoint != "" {
			result["checkpoint"] = v.checkpoint
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
	if err != nil || out.JSON {
		return err
	}
	agrees := ""
	switch v.checkpoint {
	case audit.CheckpointHolds:
		agrees = ", which agrees with the checkpoint"
	case audit.CheckpointPruned:
		agrees = "; the event of the checkpoint was deleted by age (audit.retention), so nothing can be said about it"
	}
	_, err = fmt.Fprintf(out.Stdout, "intact: %d events, an unbroken chain%s\n", v.count, agrees)
	return err
}

// problem is what is wrong with the log, if anything is.
func (v verdict) problem() error {
	switch {
	case v.firstBad != 0:
		return fmt.Errorf("the audit log is not intact: event %d was changed, removed or put in (%d events before it are in order)", v.firstBad, v.count)
	case v.checkpoint == audit.CheckpointDiffers:
		return errors.New("the audit log is not intact: its event of the checkpoint is another one, so the log was rebuilt since, or the database was restored and used")
	case v.checkpoint == audit.CheckpointMissing:
		return errors.New("the audit log is not intact: it ends before the checkpoint, so events were cut off, or the database was restored")
	case v.checkpoint != "" && v.checkpoint != audit.CheckpointHolds && v.checkpoint != audit.CheckpointPruned:
		return errors.New("the server says of the checkpoint what this program does not know; use a program of its version")
	}
	return nil
}
