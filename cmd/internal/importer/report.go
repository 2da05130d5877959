package importer

import (
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/console"
)

// outcome is what happens to one client.
type outcome string

const (
	outcomeCreate    outcome = "create"
	outcomeUpdate    outcome = "update"
	outcomeUnchanged outcome = "unchanged"
	outcomeRefused   outcome = "refused"
)

// report is what is printed about one client.
type report struct {
	Index    int      `json:"index"` // from 1
	ClientID string   `json:"client_id"`
	Result   outcome  `json:"result"`
	Applied  bool     `json:"applied"`
	Changes  []string `json:"changes,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// refuse makes it the report on a refused client.
func (l report) refuse(reason error) report {
	l.Changes = nil
	l.Result, l.Reason = outcomeRefused, strings.ReplaceAll(reason.Error(), "\n", "; ")
	return l
}

func (i *Importer) print(line report) error {
	if i.Console.JSON {
		return i.Console.Encode(line)
	}
	words := string(line.Result)
	switch {
	case line.Result == outcomeRefused:
		words += ": " + line.Reason
	case line.Applied:
		words += "d" // created, updated
	case line.Result != outcomeUnchanged:
		words = "would " + words
	}
	if len(line.Changes) > 0 {
		words += " " + strings.Join(line.Changes, ", ")
	}
	for _, note := range line.Notes {
		words += "; " + note
	}
	_, err := fmt.Fprintf(i.Console.Stdout, "%d  %s  %s\n", line.Index, console.Printable(line.ClientID), console.Printable(words))
	return err
}

func (i *Importer) summary() {
	would := "would be "
	if i.Apply {
		would = ""
	}
	i.Console.Notice("%d %screated, %d %supdated, %d unchanged, %d refused", i.count[outcomeCreate], would, i.count[outcomeUpdate], would,
		i.count[outcomeUnchanged], i.count[outcomeRefused])
	if !i.Apply && i.count[outcomeCreate]+i.count[outcomeUpdate] > 0 {
		i.Console.Notice("nothing was changed; add --apply to do it")
	}
}
