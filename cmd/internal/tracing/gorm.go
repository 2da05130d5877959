package tracing

import (
	"errors"
	"regexp"
	"strings"

	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
)

// statements is a plugin of GORM's that records each statement as a span of the request that waits for it: its SQL, without the
// values, and what PostgreSQL calls an error, without its text, which may quote a value.
type statements struct{}

// Name implements [gorm.Plugin].
func (statements) Name() string { return "fosite-mcp:traces" }

// Initialize implements [gorm.Plugin].
func (statements) Initialize(db *gorm.DB) error {
	calls := db.Callback()
	return errors.Join(
		around(calls.Create().Before("gorm:create").Register, calls.Create().After("gorm:create").Register),
		around(calls.Query().Before("gorm:query").Register, calls.Query().After("gorm:query").Register),
		around(calls.Update().Before("gorm:update").Register, calls.Update().After("gorm:update").Register),
		around(calls.Delete().Before("gorm:delete").Register, calls.Delete().After("gorm:delete").Register),
		around(calls.Row().Before("gorm:row").Register, calls.Row().After("gorm:row").Register),
		around(calls.Raw().Before("gorm:raw").Register, calls.Raw().After("gorm:raw").Register),
	)
}

type register func(name string, call func(*gorm.DB)) error

func around(before, after register) error {
	return errors.Join(before("traces:begin", begin), after("traces:end", end))
}

type spanKey struct{}

func begin(tx *gorm.DB) {
	if _, span := spans.Start(tx.Statement.Context, "SQL", trace.SpanKindClient); span.IsRecording() {
		tx.Statement.Settings.Store(spanKey{}, span)
	}
}

func end(tx *gorm.DB) {
	kept, ok := tx.Statement.Settings.LoadAndDelete(spanKey{})
	if !ok {
		return
	}
	span, ok := kept.(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	text := tx.Statement.SQL.String()
	span.SetName(summary(text))
	span.SetAttributes(attribute.String("db.system.name", system(tx)), attribute.String("db.query.text", text))
	if tx.Error == nil || errors.Is(tx.Error, gorm.ErrRecordNotFound) {
		return
	}
	span.SetStatus(codes.Error, "")
	var answer interface{ SQLState() string }
	if errors.As(tx.Error, &answer) {
		span.SetAttributes(attribute.String("db.response.status_code", answer.SQLState()))
	}
}

func system(tx *gorm.DB) string {
	if tx.Name() == "postgres" {
		return "postgresql"
	}
	return tx.Name()
}

var tableOf = regexp.MustCompile("(?i)\\b(?:FROM|INTO|UPDATE)\\s+[\"`]?(\\w+)")

// summary is the kind of a statement, and the first table in it.
func summary(text string) string {
	kind, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	if found := tableOf.FindStringSubmatch(text); found != nil {
		return kind + " " + found[1]
	}
	return kind
}
