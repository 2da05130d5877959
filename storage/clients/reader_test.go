package clients_test

import (
	"strings"
	"testing"
)

// A plan is kept. One that reads a whole table, made while that is small, would do so when it is large.
func TestReadingManyClientsLooksThemUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		if s.db.Name() != "postgres" {
			return
		}
		var plan []string
		if err := s.db.Raw("EXPLAIN "+s.ManyStatement(), []string{"machine"}).Scan(&plan).Error; err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") || strings.Contains(text, "Hash") || strings.Count(text, "Index") < 2 {
			t.Error(text)
		}
	})
}
