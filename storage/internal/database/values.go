package database

import "database/sql/driver"

// values makes values of args that GORM would take for lists.
func values(args []any) []any {
	for i, arg := range args {
		switch arg := arg.(type) {
		case []byte:
			args[i] = value[[]byte]{arg}
		case []string:
			args[i] = value[[]string]{arg}
		case []int64:
			args[i] = value[[]int64]{arg}
		case [][]byte:
			args[i] = value[[][]byte]{arg}
		}
	}
	return args
}

// value is a byte string, or an array of PostgreSQL's.
type value[T []byte | []string | []int64 | [][]byte] struct{ of T }

// Value implements [driver.Valuer].
func (v value[T]) Value() (driver.Value, error) {
	if v.of == nil {
		return nil, nil
	}
	return v.of, nil
}
