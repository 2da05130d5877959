package migration_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/storage/internal/model"
)

// Who reads the feed of revocations from its beginning hears of what had ended before there was a feed.
func TestFeedBeginsWithWhatEndedBeforeTheUpgrade(t *testing.T) {
	for _, engine := range engines {
		for _, first := range [][]model.Part{nil, {model.Tokens}, {model.People}} {
			t.Run(fmt.Sprint(engine, " beginning with ", first), func(t *testing.T) {
				db := open(t, engine, "")
				db.release(t, lastReleased)
				bytes := func(text string) string {
					if engine == "sqlite" {
						return "CAST('" + text + "' AS BLOB)"
					}
					return "'" + text + "'"
				}
				for _, statement := range []string{
					`INSERT INTO clients (id, status, epoch, revoked_before, created_at, updated_at) VALUES
						('alive', 'active', 0, 0, 1, 1), ('disabled', 'disabled', 0, 0, 1, 1), ('ended', 'active', 0, 7, 1, 1), ('leaked', 'active', 0, 0, 1, 1)`,
					`INSERT INTO client_secrets (id, client_id, hash, epoch, created_at) VALUES ('s', 'leaked', '', 1, 1), ('t', 'alive', '', 0, 1)`,
					`INSERT INTO grants (id, client_id, created_at, revoked_at) VALUES ('g1', 'alive', 1, 2), ('g2', 'alive', 1, NULL), ('g3', 'alive', 1, 3)`,
					`INSERT INTO access_tokens (signature, request_id, client_id, epoch, scope, audience, issued_at, expires_at, revoked_at) VALUES
						(` + bytes("one") + `, 'r', 'alive', 0, '', '', 1, 9, 2), (` + bytes("two") + `, 'r', 'alive', 0, '', '', 1, NULL, 3), (` + bytes("three") + `, 'r', 'alive', 0, '', '', 1, 9, NULL)`,
				} {
					if err := db.Exec(statement).Error; err != nil {
						t.Fatal(err)
					}
				}
				up(t, db.DB, first...)
				up(t, db.DB)
				var rows []model.Revocation
				if err := db.Order("position, id").Find(&rows).Error; err != nil {
					t.Fatal(err)
				}
				var told []string
				positions := map[int64]bool{}
				for _, row := range rows {
					positions[row.Position] = true
					name := row.Name
					if row.Kind == "token" {
						name = string(row.ID)
					}
					if told = append(told, row.Kind+" "+name); row.Kind == "token" && row.ExpiresAt.IsZero() != (name == "two") {
						t.Errorf("%s is kept until %s", name, row.ExpiresAt.Time)
					}
				}
				if engine == "sqlite" && len(positions) != len(rows) {
					t.Errorf("%d positions of %d rows", len(positions), len(rows))
				}
				slices.Sort(told)
				want := []string{"client disabled", "client ended", "client leaked", "grant g1", "grant g3", "token one", "token two"}
				if diff := cmp.Diff(want, slices.Compact(told)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if err := db.Exec("UPDATE clients SET status = 'disabled' WHERE id = 'alive'").Error; err != nil {
					t.Fatal(err)
				}
				var since int64
				if err := db.Model(&model.Revocation{}).Where("name = 'alive'").Count(&since).Error; err != nil || since != 1 {
					t.Errorf("%d rows tell of a change after the upgrade, %v", since, err)
				}
			})
		}
	}
}
