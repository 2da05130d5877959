package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readClients passes each client of r to visit as it reads it, so that the file may be large. The file holds one or more
// arrays, pages ({"items":[…]}, the answer of a list) or single clients. partial: the last page names a next page.
func readClients(r io.Reader, visit func(index int, raw json.RawMessage) error) (partial bool, err error) {
	d := &decoder{json: json.NewDecoder(r), visit: visit}
	for {
		err := d.value()
		if errors.Is(err, io.EOF) && d.atStart {
			if d.index == 0 && !d.any {
				return false, errors.New("the file is empty")
			}
			return d.partial, nil
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return d.partial, d.explained(err)
		}
	}
}

type decoder struct {
	json    *json.Decoder
	visit   func(index int, raw json.RawMessage) error
	index   int
	any     bool // a value was read
	atStart bool // between two values
	partial bool
}

func (d *decoder) explained(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends in the middle of its JSON; is it complete?")
	case errors.As(err, &syntax):
		return fmt.Errorf("the file is not JSON (%w, near byte %d)", err, d.json.InputOffset())
	}
	return err
}

// value reads one value at the top.
func (d *decoder) value() error {
	d.atStart = true
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	d.atStart, d.any = false, true
	switch token {
	case json.Delim('['):
		return d.array()
	case json.Delim('{'):
		return d.object()
	}
	return errors.New("want an array of clients, or what a list of clients answers")
}

// array reads clients up to the closing bracket.
func (d *decoder) array() error {
	for d.json.More() {
		var raw json.RawMessage
		if err := d.json.Decode(&raw); err != nil {
			return err
		}
		d.index++
		if err := d.visit(d.index, raw); err != nil {
			return err
		}
	}
	_, err := d.json.Token()
	return err
}

// object reads a page, or a single client.
func (d *decoder) object() error {
	members, isPage := map[string]json.RawMessage{}, false
	for d.json.More() {
		name, err := d.json.Token()
		if err != nil {
			return err
		}
		if name == "items" {
			if bracket, err := d.json.Token(); err != nil || bracket != json.Delim('[') {
				return errors.Join(err, errors.New("items is not an array of clients"))
			}
			if err := d.array(); err != nil {
				return err
			}
			isPage = true
			continue
		}
		var raw json.RawMessage
		if err := d.json.Decode(&raw); err != nil {
			return err
		}
		members[name.(string)] = raw
	}
	if _, err := d.json.Token(); err != nil {
		return err
	}
	if isPage {
		// The last page counts.
		d.partial = false
		for _, cursor := range []string{"next_cursor", "next_page_token"} { // ours; Hydra's
			if value := members[cursor]; len(value) > 0 && !isUnset(cursor, value) {
				d.partial = true
			}
		}
		return nil
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return err
	}
	d.index++
	return d.visit(d.index, raw)
}
