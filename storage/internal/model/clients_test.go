package model

import (
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorm.io/gorm/schema"

	"fosite-mcp/provider/client"
)

// filled is a client with a value in every field.
func filled(t *testing.T) *client.Client {
	t.Helper()
	c := new(client.Client)
	all := reflect.ValueOf(c).Elem()
	for i := range all.NumField() {
		field := all.Field(i)
		if !field.CanSet() {
			continue
		}
		switch field.Interface().(type) {
		case string, client.Status:
			field.SetString("x")
		case []string:
			field.Set(reflect.ValueOf([]string{"x", "y"}))
		case int64:
			field.SetInt(7)
		case bool:
			field.SetBool(true)
		case time.Time:
			field.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_000).UTC()))
		case time.Duration:
			field.SetInt(int64(time.Minute))
		case json.RawMessage:
			field.SetBytes([]byte(`{"team":"docs"}`))
		case *jose.JSONWebKeySet:
			field.Set(reflect.ValueOf(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("a key"), KeyID: "k"}}}))
		case *client.Trust:
			field.Set(reflect.ValueOf(&client.Trust{
				Profile: client.IDJAG, Issuer: "https://idp.example", Audience: []string{"https://auth.example"}, Subject: "x*",
				Claims: json.RawMessage(`{"team":"docs"}`), Reusable: true,
			}))
		case []client.Secret: // rows of their own
		default:
			t.Fatalf("the field %s has a type that this test does not know", all.Type().Field(i).Name)
		}
	}
	return c
}

func TestEveryFieldOfAClientIsStored(t *testing.T) {
	want := filled(t)
	row, err := NewClient(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := row.Client()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := cmpopts.IgnoreFields(client.Client{}, "Epoch", "RevokedBefore", "LastUsedAt") // have statements of their own
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(client.Client{}), cmpopts.EquateEmpty(), elsewhere); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARegistrationHasEveryOtherColumn(t *testing.T) {
	table, err := schema.Parse(new(Client), new(sync.Map), schema.NamingStrategy{})
	if err != nil {
		t.Fatal(err)
	}
	columns := slices.Clone(table.DBNames)
	for _, column := range new(Client).Registration() {
		at := slices.Index(columns, column.Name)
		if at < 0 {
			t.Errorf("there is no column %s", column.Name)
			continue
		}
		columns = slices.Delete(columns, at, at+1)
	}
	state := []string{"id", "status", "epoch", "revoked_before", "version", "updated_at", "expires_at", "last_used_at"}
	if diff := cmp.Diff(state, columns); diff != "" {
		t.Errorf("columns that are not part of a registration (-want +got):\n%s", diff)
	}
}
