// Package logonce keeps a log readable: what is wrong with a client is said once, not at each of its requests.
package logonce

import "sync"

// Max is how many subjects are told apart; of further ones nothing is said.
const Max = 100

// Set remembers what was said. The zero value is ready.
type Set struct {
	mu   sync.Mutex
	said map[string]bool
}

// First tells whether this is the first time for subject, and whether there is still room to say it.
func (s *Set) First(subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[subject] || len(s.said) == Max {
		return false
	}
	if s.said == nil {
		s.said = make(map[string]bool)
	}
	s.said[subject] = true
	return true
}
