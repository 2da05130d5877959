package clients_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// A page is read in the order of registration, so that it ends once it is full. The secrets that end soon are read once.
func TestNoFilterLooksAtTheSecretsOfEachClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		statement := s.ListStatement(soon(t), clients.Filter{
			Status: client.Active, Owner: "a", UnusedSince: time.Now(), ExpiresBefore: time.Now().Add(time.Hour), Limit: 50,
		})
		explain, once, never := "EXPLAIN QUERY PLAN ", []string{"LIST SUBQUERY", "by_creation"}, []string{"CORRELATED", "TEMP B-TREE"}
		if s.db.Name() == "postgres" {
			explain, once, never = "EXPLAIN ", []string{"hashed SubPlan"}, nil
		}
		plan := planOf(t, s, explain+statement)
		for _, part := range once {
			if !strings.Contains(plan, part) {
				t.Errorf("no %s in the plan %s", part, plan)
			}
		}
		for _, part := range never {
			if strings.Contains(plan, part) {
				t.Errorf("%s in the plan %s", part, plan)
			}
		}
	})
}

// planOf is the last column of what the engine says, whose lines are the steps of its plan.
func planOf(t *testing.T, s *fixture, explain string) string {
	t.Helper()
	rows, err := s.db.Raw(explain).Rows()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	plan, targets := "", make([]any, len(columns))
	for i := range targets {
		targets[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		plan += fmt.Sprintln(*targets[len(targets)-1].(*any))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
