package terminal

import "fosite-mcp/internal/spreadsheet"

// CSV prints a row for a spreadsheet. No cell of it is a formula.
func (c *Terminal) CSV(cells ...string) error { return spreadsheet.Write(c.Stdout, cells) }

// FromCSV is a cell that CSV has printed.
func FromCSV(cell string) string { return spreadsheet.Text(cell) }
