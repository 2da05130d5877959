package migration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"fosite-mcp/storage/internal/migration"
	"fosite-mcp/storage/internal/model"
)

func TestRowsAreWrittenAsTheyAreGiven(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "oauth_")
			if err := db.AutoMigrate(model.Models()...); err != nil {
				t.Fatal(err)
			}
			created, none := model.At(time.UnixMilli(1_700_000_000_123).UTC()), model.List{}
			client := model.Client{
				ID: "machine", Status: "active", Scope: model.List{"a", "b c"}, Audience: none, Introspects: none, GrantTypes: none, ResponseTypes: none,
				RedirectURIs: none, Metadata: model.JSON(`{"a": 1}`), Version: 7, AccessTokenLifespan: model.Seconds(time.Hour), CreatedAt: created, UpdatedAt: created,
			}
			token := model.AccessToken{Signature: model.Hash{1, 0, 2}, Request: model.Request{
				RequestID: "r", ClientID: "machine", Scope: none, Audience: none, RequestedScope: &none, IssuedAt: created,
			}}
			secret := model.ClientSecret{ID: "s", ClientID: "machine", Slow: true, CreatedAt: created}
			for _, row := range []any{&client, &token, &secret} {
				given := fmt.Sprintf("%+v", row)
				if err := db.Create(row).Error; err != nil {
					t.Fatal(err)
				}
				if now := fmt.Sprintf("%+v", row); now != given {
					t.Errorf("Create has made %s of %s", now, given)
				}
			}
			var storedClient model.Client
			var storedToken model.AccessToken
			var storedSecret model.ClientSecret
			for _, found := range []*gorm.DB{
				db.Limit(1).Find(&storedClient, "id = ?", "machine"),
				db.Where("signature IN ?", []model.Hash{{1, 0, 2}, {3}}).Limit(1).Find(&storedToken),
				db.Raw("SELECT * FROM oauth_client_secrets WHERE slow = ?", model.Flag(true)).Scan(&storedSecret),
			} {
				if found.Error != nil || found.RowsAffected != 1 {
					t.Fatal(found.RowsAffected, found.Error)
				}
			}
			if diff := cmp.Diff([]any{client, token, secret}, []any{storedClient, storedToken, storedSecret}); diff != "" {
				t.Errorf("other rows come back (-written +read):\n%s", diff)
			}
		})
	}
}

// SQLite's audit events are copied into a table whose id is the key of the row.
func TestAuditEventsStayAsTheyAre(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "")
			db.release(t, lastReleased)
			var events []model.AuditEvent
			for _, id := range []int64{2, 7, 9} {
				events = append(events, model.AuditEvent{
					ID: id, Time: model.At(time.UnixMilli(10 * id).UTC()), Actor: "a", Action: "b", ClientID: "c", TokenID: "d", RequestID: "e",
					IP: "f", Outcome: "g", Changes: model.JSON(`{"h": 1}`), PrevHash: model.Hash{1, 0}, Hash: model.Hash{0, 2},
				})
			}
			if err := db.Create(&events).Error; err != nil {
				t.Fatal(err)
			}
			up(t, db.DB)
			var stored []model.AuditEvent
			if err := db.Order("id").Find(&stored).Error; err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(events, stored); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
		})
	}
}

// An earlier version's AutoMigrate made the id a BIGINT on SQLite, and AutoMigrate leaves the type of a key as it is.
func TestTheIDsOfAuditEventsMayBeOfAnEarlierVersion(t *testing.T) {
	db := open(t, "sqlite", "")
	up(t, db.DB)
	for _, statement := range []string{
		"DROP TABLE fosite_mcp_migrations",
		"DROP TABLE audit_events",
		"CREATE TABLE `audit_events` (`id` BIGINT,`time` BIGINT NOT NULL,`actor` text NOT NULL,`action` text NOT NULL,`client_id` text NOT NULL DEFAULT ''," +
			"`token_id` text NOT NULL DEFAULT '',`request_id` text NOT NULL DEFAULT '',`ip` text NOT NULL DEFAULT '',`outcome` text NOT NULL," +
			"`changes` text NOT NULL DEFAULT '',`prev_hash` blob NOT NULL,`hash` blob NOT NULL,PRIMARY KEY (`id`))",
	} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := migration.New(db.DB).Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.AutoMigrate(model.Models()...); err != nil {
			t.Fatal(err)
		}
	}
}
