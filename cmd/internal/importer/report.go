package importer

import (
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/terminal"
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
	if i.Terminal.JSON {
		return i.Terminal.Encode(line)
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
	_, err := fmt.Fprintf(i.Terminal.Stdout, "%d  %s  %s\n", line.Index, terminal.Printable(line.ClientID), terminal.Printable(words))
	return err
}

func (i *Importer) summary() {
	would := "would be "
	if i.Apply {
		would = ""
	}
	i.Terminal.Notice("%d %screated, %d %supdated, %d unchanged, %d refused", i.count[outcomeCreate], would, i.count[outcomeUpdate], would,
		i.count[outcomeUnchanged], i.count[outcomeRefused])
	if !i.Apply && i.count[outcomeCreate]+i.count[outcomeUpdate] > 0 {
		i.Terminal.Notice("nothing was changed; add --apply to do it")
	}
}
