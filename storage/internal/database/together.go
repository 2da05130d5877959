package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel/trace"
)

// Together has callers on PostgreSQL share statements: those that arrive while as many statements are under way as may be
// share the next one. Whoever joins a statement does so before it is sent, so it sees all that was acknowledged before the
// caller came. docs/decisions/0011-shared-statements.md says why that is right, and what it saves.
type Together[T any] struct {
	turns *Turns[member[T]]
	run   func(ctx context.Context, group []T) error
	toEnd bool // what was begun goes on without its caller
}

// member is one caller's part of a statement.
type member[T any] struct {
	ctx  context.Context
	part T
}

const (
	// statementLimit bounds a statement for several callers in time. That of one alone has the caller's own limit, if there is one.
	statementLimit = 10 * time.Second
	// patience is when the next statement no longer waits for one that is under way, whose connection may be dead.
	patience = 100 * time.Millisecond
)

// AtOnce is how many statements of a kind are under way. Fewer make larger groups, which cost less for each caller; one keeps a
// core of the database busy, and one of ours.
func AtOnce() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// NewTogether makes run share statements, of which atOnce may be under way. run may be called more than once for a part, after
// an error, and so must start from scratch.
func NewTogether[T any](atOnce int, run func(ctx context.Context, group []T) error) *Together[T] {
	t := &Together[T]{run: run}
	t.turns = NewTurns(statementLimit, atOnce, t.runGroup)
	t.turns.mayLeave, t.turns.patience = true, patience
	return t
}

// NewTogetherToTheEnd is NewTogether for changes that wait for each other in the database: one statement is under way, however
// long it takes, and it runs to its end whoever goes away.
func NewTogetherToTheEnd[T any](run func(ctx context.Context, group []T) error) *Together[T] {
	t := &Together[T]{run: run, toEnd: true}
	t.turns = NewTurns(statementLimit, 1, t.runGroup)
	return t
}

// Do runs part, with those of others. It returns when ctx ends, even while the statement is under way (unless that runs to its
// end); part still belongs to the statement then.
func (t *Together[T]) Do(ctx context.Context, part T) error {
	ctx, span := spans.Start(ctx, "shared statement", trace.SpanKindInternal)
	defer span.End()
	return t.turns.Do(ctx, member[T]{ctx, part})
}

func (t *Together[T]) runGroup(ctx context.Context, group []*Job[member[T]]) {
	if len(group) == 1 {
		group[0].Done <- t.runAlone(ctx, group[0].What)
		return
	}
	parts, together := make([]T, len(group)), spans.Group{Size: len(group)}
	for i, j := range group {
		parts[i] = j.What.part
		together.Add(j.What.ctx)
	}
	err := t.run(together.Context(ctx), parts)
	if err != nil && isOfOne(err) { // and took the others with it; in halves, so that one among many costs few statements
		half := len(group) / 2
		t.runGroup(ctx, group[:half])
		t.runGroup(ctx, group[half:])
		return
	}
	for _, j := range group {
		j.Done <- err
	}
}

// runAlone runs a statement like any other, which ends with its caller or goes on without.
func (t *Together[T]) runAlone(group context.Context, caller member[T]) error {
	if t.toEnd {
		return t.run(memberContext{group, caller.ctx}, []T{caller.part})
	}
	ctx := caller.ctx
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, statementLimit)
		defer cancel()
	}
	return t.run(ctx, []T{caller.part})
}

// refused is a value that no statement can take.
type refused struct{ error }

func (e refused) Unwrap() error { return e.error }

// isOfOne tells whether an error is that of one part of a statement: of a value that is refused, or of a row that is locked. All
// else is an outage, of which all parts are told.
func isOfOne(err error) bool {
	if value := (refused{}); errors.As(err, &value) {
		return true
	}
	state := sqlState(err)
	// data_exception, integrity_constraint_violation, program_limit_exceeded, lock_not_available
	return state == "55P03" || slices.ContainsFunc([]string{"22", "23", "54"}, func(class string) bool { return strings.HasPrefix(state, class) })
}

// ManyOf is the beginning of a FROM that gives a statement the rows of its callers: an array for each column, whose type is
// PostgreSQL's. See [Arrays]. The planner cannot see how long arrays in a subquery are, so it plans a prepared statement once
// and not anew for each length.
func ManyOf(columns []Column) string {
	var arrays, names []string
	for _, c := range columns {
		arrays, names = append(arrays, `(SELECT CAST(? AS `+c.Type+`[]))`), append(names, c.Name)
	}
	return `unnest(` + strings.Join(arrays, ", ") + `) WITH ORDINALITY AS given (` + strings.Join(names, ", ") + `, position)`
}

// Column is one of what callers give, with its type on PostgreSQL.
type Column struct{ Name, Type string }

// Columns reads a list like that of a CREATE TABLE: "id TEXT, time BIGINT".
func Columns(list string) (columns []Column) {
	for _, column := range strings.Split(list, ",") {
		name, kind, _ := strings.Cut(strings.TrimSpace(column), " ")
		columns = append(columns, Column{name, kind})
	}
	return columns
}

// Arrays turns rows of values, one of each column in their order, into the arrays that [ManyOf] takes.
func Arrays(columns []Column, rows [][]any) (arrays []any, err error) {
	for i, c := range columns {
		var array any
		switch c.Type {
		case "BIGINT":
			array, err = arrayOf[int64](rows, i)
		case "BYTEA":
			array, err = arrayOf[[]byte](rows, i)
		default:
			array, err = arrayOf[string](rows, i)
		}
		if err != nil {
			return nil, refused{fmt.Errorf("storage: column %s: %w", c.Name, err)}
		}
		arrays = append(arrays, array)
	}
	return arrays, nil
}

// Values are args as a driver takes them, which share nothing with their caller any more.
func Values(args []any) ([]any, error) {
	values := make([]any, len(args))
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

func arrayOf[T any](rows [][]any, column int) ([]*T, error) {
	array := make([]*T, len(rows))
	for i, row := range rows {
		value, err := driver.DefaultParameterConverter.ConvertValue(row[column])
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		typed, ok := value.(T)
		if !ok {
			return nil, fmt.Errorf("a value of type %T", value)
		}
		array[i] = &typed
	}
	return array, nil
}
