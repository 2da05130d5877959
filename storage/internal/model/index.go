package model

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// IndexName is the name of an index of table, a name that the host's NamingStrategy has made. Indexes have no prefix of
// their own, and two stores may share a database.
func IndexName(table, index string) string {
	return strings.ReplaceAll(table, ".", "_") + "_" + index
}

// CreateClauses adds none. GORM calls it once it has parsed a column and before anybody sees the model, which is the one
// place where the names in index tags can be completed: GORM takes them as they are. Every model with an index has a
// column of type Time.
func (Time) CreateClauses(field *schema.Field) []clause.Interface {
	isTime := func(f *schema.Field) bool { return f.IndirectFieldType == reflect.TypeFor[Time]() }
	if fields := field.Schema.Fields; fields[slices.IndexFunc(fields, isTime)] == field {
		for _, f := range fields {
			nameIndexes(f)
		}
	}
	return nil
}

// nameIndexes makes index:access_tokens_by_expiry of index:by_expiry.
func nameIndexes(field *schema.Field) {
	var settings []string
	delete(field.TagSettings, "INDEX")
	for _, setting := range strings.Split(field.Tag.Get("gorm"), ";") {
		if index, ok := strings.CutPrefix(setting, "index:"); ok {
			name, options, _ := strings.Cut(index, ",")
			if !hasIndex(field, name) {
				continue
			}
			index = IndexName(field.Schema.Table, name) + "," + options
			field.TagSettings["INDEX"] = index
			setting = "index:" + index
		}
		settings = append(settings, setting)
	}
	field.Tag = reflect.StructTag("gorm:" + strconv.Quote(strings.Join(settings, ";")))
}

// hasIndex: a model that embeds a struct can have some of its indexes, those in the tag "indexes".
func hasIndex(field *schema.Field, name string) bool {
	if len(field.BindNames) == 1 {
		return true
	}
	embedded, _ := field.Schema.ModelType.FieldByName(field.BindNames[0])
	indexes, some := embedded.Tag.Lookup("indexes")
	return !some || slices.Contains(strings.Fields(indexes), name)
}
