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

// separator begins another cell for a spreadsheet in a country that writes a comma in decimals. It then reads a line as if there were
// no quotes around a cell.
const separator = ';'

// Write writes rows. An apostrophe before what could be a formula, at the begin of a cell or after a semicolon, makes it text.
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
	var out strings.Builder
	for starts := formula; cell != ""; {
		char, size := utf8.DecodeRuneInString(cell)
		if strings.ContainsRune(starts, char) {
			out.WriteByte('\'')
		}
		out.WriteString(cell[:size])
		cell, starts = cell[size:], startsAfter(char)
	}
	return out.String()
}

// startsAfter are the characters that could begin a formula after another one.
func startsAfter(char rune) string {
	if char == separator {
		return formula + `"` // which may be in front of one
	}
	return ""
}

// Text is the cell that Write was given.
func Text(cell string) string {
	var out strings.Builder
	for starts := formula; cell != ""; {
		char, size := utf8.DecodeRuneInString(cell)
		next, _ := utf8.DecodeRuneInString(cell[size:])
		if char == '\'' && strings.ContainsRune(starts, char) && cell[size:] != "" && strings.ContainsRune(starts, next) {
			cell, starts = cell[size:], "" // what follows is no apostrophe of Write's
			continue
		}
		out.WriteString(cell[:size])
		cell, starts = cell[size:], startsAfter(char)
	}
	return out.String()
}
