package model_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/model"
)

func TestListsAreKeptAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		list   model.List
		stored string
	}{
		{nil, ""},
		{model.List{}, ""},
		{model.List{"mcp:search"}, "mcp:search"},
		{model.List{"a", "b\tc"}, "a b\tc"},
		{model.List{"with space", "b"}, `["with space","b"]`},
		{model.List{""}, `[""]`},
		{model.List{"[a"}, `["[a"]`},
		{model.List{"a\x00b"}, `["a\u0000b"]`},
	} {
		stored, err := c.list.Value()
		if err != nil || stored != c.stored {
			t.Errorf("%q is stored as %q (%v), want %q", c.list, stored, err, c.stored)
		}
		for _, value := range []any{c.stored, []byte(c.stored)} {
			var back model.List
			if err := back.Scan(value); err != nil || back == nil || len(back) != len(c.list) || len(back) > 0 && !reflect.DeepEqual(back, c.list) {
				t.Errorf("%q comes back as %q (%v), want %q", value, back, err, c.list)
			}
		}
	}
}

func TestColumnsKeepTheirValues(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 30, 0, int(7*time.Millisecond), time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		column driver.Valuer
		stored any
		into   sql.Scanner
		back   any
	}{
		"time":           {(model.At(at)), at.UnixMilli(), new(model.Time), model.At(at.UTC())},
		"no time":        {(model.Time{}), nil, new(model.Time), model.Time{}},
		"first time":     {(model.At(time.Unix(math.MinInt64/1000-1, 0))), int64(math.MinInt64), new(model.Time), model.At(time.UnixMilli(math.MinInt64).UTC())},
		"last time":      {(model.At(time.Unix(math.MaxInt64/1000+1, 0))), int64(math.MaxInt64), new(model.Time), model.At(time.UnixMilli(math.MaxInt64).UTC())},
		"hash":           {(model.Hash{0, 1}), []byte{0, 1}, new(model.Hash), model.Hash{0, 1}},
		"empty hash":     {(model.Hash{}), []byte{}, new(model.Hash), model.Hash{}},
		"no hash":        {(model.Hash(nil)), nil, new(model.Hash), model.Hash(nil)},
		"text":           {(model.Text("a")), "a", new(model.Text), model.Text("a")},
		"no text":        {(model.Text("")), nil, new(model.Text), model.Text("")},
		"JSON":           {(model.JSON(`{"b": 1}`)), `{"b": 1}`, new(model.JSON), model.JSON(`{"b": 1}`)},
		"no JSON":        {(model.JSON(nil)), "", new(model.JSON), model.JSON(nil)},
		"seconds":        {(model.Seconds(90 * time.Second)), int64(90), new(model.Seconds), model.Seconds(90 * time.Second)},
		"flag":           {(model.Flag(true)), int64(1), new(model.Flag), model.Flag(true)},
		"flag not given": {(model.Flag(false)), int64(0), new(model.Flag), model.Flag(false)},
	} {
		stored, err := c.column.Value()
		if err != nil || !reflect.DeepEqual(stored, c.stored) {
			t.Errorf("%s is stored as %#v (%v), want %#v", name, stored, err, c.stored)
		}
		if err := c.into.Scan(stored); err != nil || !reflect.DeepEqual(reflect.ValueOf(c.into).Elem().Interface(), c.back) {
			t.Errorf("%s comes back as %#v (%v), want %#v", name, c.into, err, c.back)
		}
	}
}

func TestScannedBytesAreNotTheDrivers(t *testing.T) {
	buffer := []byte("abc")
	var hash model.Hash
	var json model.JSON
	for _, column := range []sql.Scanner{&hash, &json} {
		if err := column.Scan(buffer); err != nil {
			t.Fatal(err)
		}
	}
	buffer[0] = 'x'
	if string(hash) != "abc" || string(json) != "abc" {
		t.Errorf("the columns share the driver's bytes: %q, %q", hash, json)
	}
}

func TestColumnOfAnotherTypeIsAnErrorWithoutItsValue(t *testing.T) {
	for _, column := range []sql.Scanner{
		new(model.Time), new(model.List), new(model.Hash), new(model.Text), new(model.JSON), new(model.Seconds), new(model.Flag),
	} {
		err := column.Scan(1.5)
		if want := fmt.Sprintf("%T holds a float64", column); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestPrefixMayBeASchema(t *testing.T) {
	names := model.TableNames(schema.NamingStrategy{TablePrefix: "oauth."})
	if names["audit_chain"] != "oauth.audit_chain" || names["used_assertions"] != "oauth.used_assertions" || len(names) != len(model.Models()) {
		t.Errorf("the tables are %v", names)
	}
	if name := model.IndexName("oauth.access_tokens", "by_expiry"); name != "oauth_access_tokens_by_expiry" {
		t.Errorf("the index is %s", name)
	}
}

func TestAFormIsReadAsItWasWritten(t *testing.T) {
	for form, stored := range map[string]any{
		"":                              nil,
		"grant_type=client_credentials": "!",
		url.Values{"grant_type": {"client_credentials"}, "resource": {"https://docs/!"}}.Encode():         "!&resource=https%3A%2F%2Fdocs%2F%21",
		url.Values{"a": {"grant_type=client_credentials", "!"}, "grant_type": {"x"}, "!": {"!"}}.Encode(): "%21=%21&a=grant_type%3Dclient_credentials&a=%21&grant_type=x",
	} {
		value, err := model.Form(form).Value()
		if err != nil || value != stored {
			t.Errorf("%q is stored as %v (%v), want %v", form, value, err, stored)
		}
		var read model.Form
		if err := read.Scan(value); err != nil || string(read) != form {
			t.Errorf("%q is read as %q (%v)", form, read, err)
		}
	}
}
