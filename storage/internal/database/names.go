package database

import (
	"strings"

	"gorm.io/gorm/schema"
)

// tableName is the host's name for what is called name by default. Its strategy makes a plural of what it gets; the few
// names that are no plural lose that again.
func tableName(namer schema.Namer, name string) string {
	table := namer.TableName(name)
	if !strings.HasSuffix(name, "s") {
		table = strings.TrimSuffix(table, "s")
	}
	return table
}
