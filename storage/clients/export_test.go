package clients

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"
)

const RegistrationLimit = registrationLimit

// Remembers tells whether the registration of the client is in memory.
func (r *Registry) Remembers(id string) bool { return r.registrations.get(id) != nil }

func TestRegistrationsAreBounded(t *testing.T) {
	var r registrations
	for i := range registrationsLimit + 10 {
		id := strconv.Itoa(i)
		r.put(&client.Client{ID: id, Name: "name of " + id}, new(model.Client))
		if known := r.get(id); known == nil || known.Name != "name of "+id {
			t.Fatalf("client %d was not remembered", i)
		}
	}
	if n := len(r.byID); n != registrationsLimit {
		t.Errorf("%d clients are remembered; want %d", n, registrationsLimit)
	}
	if r.put(&client.Client{ID: "large"}, &model.Client{Metadata: model.JSON(strings.Repeat("x", registrationLimit))}); r.get("large") != nil {
		t.Error("a registration of any size is remembered")
	}
}

// ManyStatement reads many clients on PostgreSQL.
func (r *Registry) ManyStatement() string { return r.db.SQL(r.alone.many) }

// ListStatement is the query of List.
func (r *Registry) ListStatement(ctx context.Context, filter Filter) string {
	var rows []model.Client
	statement := r.list(ctx, &filter).Session(&gorm.Session{DryRun: true}).Find(&rows).Statement
	return statement.Dialector.Explain(statement.SQL.String(), statement.Vars...)
}
