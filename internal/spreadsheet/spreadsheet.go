// Package spreadsheet writes CSV (RFC 4180) that a spreadsheet takes for text: no cell of it is a formula.
package spreadsheet

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode/utf8"
)

// formula are the characters with which a spreadsheet takes a cell for a formula, and the apostrophe, so that [Text] finds out
// whether one was put before them.
const formula = "=+-@\t\r\n＝＋－＠'"

// Write writes rows. An apostrophe before a cell that could be a formula makes it text.
func Write(w io.Writer, rows ...[]string) error {
	writer := csv.NewWriter(w)
	writer.UseCRLF = true
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = guarded(cell)
		}
		if err := writer.Write(cells); err != nil {
			return err
		}
	}
	writer.Flush()
	return writer.Error()
}

func guarded(cell string) string {
	if isFormula(cell) {
		return "'" + cell
	}
	return cell
}

func isFormula(cell string) bool {
	first, size := utf8.DecodeRuneInString(cell)
	return size > 0 && strings.ContainsRune(formula, first)
}

// Text is the cell that Write was given.
func Text(cell string) string {
	if rest, found := strings.CutPrefix(cell, "'"); found && isFormula(rest) {
		return rest
	}
	return cell
}
