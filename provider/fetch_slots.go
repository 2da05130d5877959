package provider

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	fetchesAtOnce       = 16
	fetchesOfHostAtOnce = 2 // a host that answers slowly leaves room for others
)

// fetchSlots limit the fetches of what strangers have put somewhere: at once, and of one host at once.
type fetchSlots struct {
	all   *semaphore.Weighted
	mu    sync.Mutex
	hosts map[string]*hostSlots // that somebody waits for, or fetches from
}

type hostSlots struct {
	*semaphore.Weighted
	users int
}

func newFetchSlots() *fetchSlots {
	return &fetchSlots{all: semaphore.NewWeighted(fetchesAtOnce), hosts: make(map[string]*hostSlots)}
}

// acquire waits until location may be fetched. Call release after the fetch.
func (s *fetchSlots) acquire(ctx context.Context, location string) (release func(), err error) {
	host := location
	if u, err := url.Parse(location); err == nil {
		host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	}
	slots := s.join(host)
	if err := slots.Acquire(ctx, 1); err != nil {
		s.leave(host)
		return nil, err
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		slots.Release(1)
		s.leave(host)
		return nil, err
	}
	return func() {
		s.all.Release(1)
		slots.Release(1)
		s.leave(host)
	}, nil
}

func (s *fetchSlots) join(host string) *hostSlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := s.hosts[host]
	if slots == nil {
		slots = &hostSlots{Weighted: semaphore.NewWeighted(fetchesOfHostAtOnce)}
		s.hosts[host] = slots
	}
	slots.users++
	return slots
}

func (s *fetchSlots) leave(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slots := s.hosts[host]; slots.users == 1 {
		delete(s.hosts, host)
	} else {
		slots.users--
	}
}
