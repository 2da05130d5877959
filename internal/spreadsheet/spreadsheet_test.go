package spreadsheet

import (
	"bytes"
	"encoding/csv"
	"testing"
)

func TestNoCellIsAFormula(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "plain": "plain", "a=b": "a=b", "=HYPERLINK(\"x\")": `"'=HYPERLINK(""x"")"`, "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)",
		"\t=1": "'\t=1", "＝1": "'＝1", "'tis": "''tis", "a,b": `"a,b"`, "a\"b": `"a""b"`,
		// Where a comma is for decimals, a semicolon begins a cell.
		"x;=cmd|'/C calc'!A0;y": "x;'=cmd|'/C calc'!A0;y", `x;"=1`: `"x;'""=1"`, ";;-1": ";;'-1", "a;b": "a;b", "a;'b": "a;''b", "=1;=2": "'=1;'=2", "\xff;=\xff": "\xff;'=\xff",
	} {
		var out bytes.Buffer
		if err := Write(&out, []string{cell, "x"}); err != nil || out.String() != want+",x\r\n" {
			t.Errorf("%q is written as %q (%v), want %q", cell, out.String(), err, want+",x\r\n")
		}
		if row, err := csv.NewReader(&out).Read(); err != nil || Text(row[0]) != cell {
			t.Errorf("%q is read as %q (%v)", cell, row, err)
		}
	}
}
