package storage

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// feedCursor says what a reader of the feed has seen.
type feedCursor struct {
	epoch string // of which database, and since when; empty: the beginning
	known snapshot
	// While a reader is between two pages: the last row that it has seen, and what it will know after the last page.
	place feedPlace
	next  snapshot
}

type feedPlace struct {
	position int64
	id       []byte
}

// snapshot is PostgreSQL's: the transactions below xmin have ended, those from xmax on had not begun, and of those between some
// were running. On SQLite positions take the place of transactions, and none is running.
type snapshot struct {
	xmin, xmax int64
	running    []int64
}

var fromBeginning = feedCursor{known: snapshot{xmin: 1, xmax: 1}}

// paging tells whether the reader is between two pages.
func (c feedCursor) paging() bool { return c.next.xmin > 0 }

// isAfter tells whether the cursor is from the future of now: from another life of the database.
func (c feedCursor) isAfter(now snapshot) bool {
	return c.known.xmax > now.xmax || c.next.xmax > now.xmax
}

// after is the cursor after a page that ends with the row last and was read at the moment now. full: there may be more.
//
// The rows of several pages are those that the first page's snapshot sees, and perhaps more. So that snapshot is what the
// reader knows after them, and what was committed meanwhile comes with the page after the last one.
func (c feedCursor) after(now feedCursor, last feedRow, full, postgres bool) feedCursor {
	next := now.known
	if c.paging() {
		next = c.next
	}
	switch {
	case !full:
		return feedCursor{epoch: now.epoch, known: next}
	case !postgres:
		return feedCursor{epoch: now.epoch, known: snapshot{xmin: last.position + 1, xmax: last.position + 1}}
	}
	return feedCursor{epoch: now.epoch, known: c.known, place: feedPlace{last.position, last.id}, next: next}
}

// String is the cursor on the wire: EPOCH.KNOWN or EPOCH.KNOWN.NEXT.POSITION.ID.
func (c feedCursor) String() string {
	parts := []string{c.epoch, c.known.short()}
	if c.paging() {
		parts = append(parts, c.next.short(), strconv.FormatInt(c.place.position, 36), base64.RawURLEncoding.EncodeToString(c.place.id))
	}
	return strings.Join(parts, ".")
}

// parseFeedCursor reads a cursor. One that it does not understand is not known: an earlier or later version has made it.
func parseFeedCursor(text string) (c feedCursor, known bool) {
	if text == "" || text == FromNow {
		return fromBeginning, true
	}
	parts := strings.Split(text, ".")
	if len(parts) != 2 && len(parts) != 5 || parts[0] == "" {
		return fromBeginning, false
	}
	c = feedCursor{epoch: parts[0]}
	var err error
	if c.known, err = parseShort(parts[1]); err != nil {
		return fromBeginning, false
	}
	if len(parts) == 5 {
		var errs [3]error
		c.next, errs[0] = parseShort(parts[2])
		c.place.position, errs[1] = strconv.ParseInt(parts[3], 36, 64)
		c.place.id, errs[2] = base64.RawURLEncoding.DecodeString(parts[4])
		if errors.Join(errs[:]...) != nil {
			return fromBeginning, false
		}
	}
	return c, true
}

// String is the snapshot as PostgreSQL writes it: xmin:xmax:id,id,…
func (s snapshot) String() string {
	text := fmt.Appendf(nil, "%d:%d:", s.xmin, s.xmax)
	for i, id := range s.running {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, id, 10)
	}
	return string(text)
}

// parseSnapshot reads what PostgreSQL writes.
func parseSnapshot(text string) (s snapshot, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, errors.New("the database shows a snapshot of another form")
	}
	numbers := parts[:2:2]
	if parts[2] != "" {
		numbers = append(numbers, strings.Split(parts[2], ",")...)
	}
	all := make([]int64, len(numbers))
	for i, number := range numbers {
		if all[i], err = strconv.ParseInt(number, 10, 64); err != nil {
			return s, errors.New("the database shows a snapshot of another form")
		}
	}
	return snapshot{all[0], all[1], all[2:]}, nil
}

// maxShort bounds a snapshot on the wire. Of a longer one xmin is left: what was committed after it comes twice.
const maxShort = 150

// short is the snapshot in few characters: in base 36, the ids less the ones before them.
func (s snapshot) short() string {
	text := strconv.AppendInt(nil, s.xmin, 36)
	text = strconv.AppendInt(append(text, '~'), s.xmax-s.xmin, 36)
	before := s.xmin
	for _, id := range s.running {
		text = strconv.AppendInt(append(text, '~'), id-before, 36)
		before = id
	}
	if len(text) > maxShort {
		return snapshot{xmin: s.xmin, xmax: s.xmin}.short()
	}
	return string(text)
}

func parseShort(text string) (s snapshot, err error) {
	bad := errors.New("no snapshot")
	if len(text) > maxShort {
		return s, bad
	}
	before := int64(0)
	for i, number := range strings.Split(text, "~") {
		n, err := strconv.ParseInt(number, 36, 64)
		n += before
		if err != nil || n < max(before, 1) {
			return s, bad
		}
		switch i {
		case 0:
			s.xmin, before = n, n
		case 1:
			s.xmax = n
		default:
			s.running, before = append(s.running, n), n
		}
	}
	if s.xmax == 0 || len(s.running) > 0 && before >= s.xmax {
		return s, bad
	}
	return s, nil
}
