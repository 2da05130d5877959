// Package model holds the store's tables as GORM models, and the types of their columns. [Models] lists them by [Part].
//
// The names of tables follow the NamingStrategy of the host's *gorm.DB. The names of columns are fixed: SQL of the store
// has them in it.
package model

import (
	"reflect"
	"sync"

	"gorm.io/gorm/schema"
)

// A Part is a group of tables that one can have without the others.
type Part string

const (
	Tokens  Part = "tokens"
	Clients Part = "clients"
	Audit   Part = "audit"
	People  Part = "people"
)

// Parts lists all parts, in the order in which their tables are made.
func Parts() []Part { return []Part{Tokens, Clients, Audit, People} }

var models = map[Part][]any{
	Tokens:  {&Grant{}, &AccessToken{}, &RefreshToken{}, &AuthorizeSession{}, &UsedAssertion{}, &TrustedKey{}, &ClientRevocation{}, &KeySet{}, &Revocation{}},
	Clients: {&Client{}, &ClientSecret{}},
	Audit:   {&AuditEvent{}, &AuditChain{}, &IdempotencyKey{}, &AdminKey{}, &Setting{}},
	People:  {&User{}, &UserGroup{}, &Consent{}, &LoginSession{}},
}

// Models returns a pointer to the zero value of each model of parts, or of all parts if none is named.
func Models(parts ...Part) []any {
	if len(parts) == 0 {
		parts = Parts()
	}
	var all []any
	for _, part := range parts {
		all = append(all, models[part]...)
	}
	return all
}

// TableName tells how namer calls the table of model, a pointer to one of the structs of this package.
func TableName(namer schema.Namer, model any) string {
	if named, ok := model.(schema.TablerWithNamer); ok {
		return named.TableName(namer)
	}
	return namer.TableName(reflect.TypeOf(model).Elem().Name())
}

// TableNames maps the store's own name of each table (access_tokens) to the one that namer gives it. It must not be changed.
func TableNames(namer schema.Namer) map[string]string {
	usual, ok := namer.(schema.NamingStrategy)
	if ok && usual.NameReplacer == nil {
		if known, ok := tableNames.Load(usual); ok {
			return known.(map[string]string)
		}
	}
	names := make(map[string]string)
	for _, model := range Models() {
		names[OwnName(model)] = TableName(namer, model)
	}
	if ok && usual.NameReplacer == nil {
		tableNames.Store(usual, names)
	}
	return names
}

// tableNames keeps them, by schema.NamingStrategy: GORM takes long to find a plural.
var tableNames sync.Map

// OwnName is the name of a model's table that the store's SQL has in it, and that it has without a NamingStrategy.
func OwnName(model any) string {
	if known, ok := ownNames.Load(reflect.TypeOf(model)); ok {
		return known.(string)
	}
	name := TableName(schema.NamingStrategy{}, model)
	ownNames.Store(reflect.TypeOf(model), name)
	return name
}

// ownNames keeps them, by the type of the model: see tableNames.
var ownNames sync.Map
