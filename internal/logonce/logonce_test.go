package logonce

import (
	"strconv"
	"testing"
)

func TestASubjectComesFirstOnce(t *testing.T) {
	var s Set
	if !s.First("a") || s.First("a") || !s.First("b") {
		t.Error("a and b were to be said once each")
	}
}

// Whoever invents subjects fills no memory and no log.
func TestThereIsAnEnd(t *testing.T) {
	var s Set
	said := 0
	for i := range 10 * Max {
		if s.First(strconv.Itoa(i)) {
			said++
		}
	}
	if said != Max || len(s.said) != Max {
		t.Errorf("%d said, %d remembered; want %d", said, len(s.said), Max)
	}
}
