package database

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fosite-mcp/storage/internal/model"
)

// statements is what a Together has sent. Each waits until release.
type statements struct {
	mu     sync.Mutex
	groups [][]int
	held   chan struct{}
	answer func(group []int) error
}

func (s *statements) run(ctx context.Context, group []int) error {
	s.mu.Lock()
	s.groups = append(s.groups, slices.Clone(group))
	s.mu.Unlock()
	if s.held != nil {
		select {
		case <-s.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.answer != nil {
		return s.answer(group)
	}
	return nil
}

// call has part done and says with which error.
func call(ctx context.Context, t *Together[int], part int) chan error {
	ended := make(chan error, 1)
	go func() { ended <- t.Do(ctx, part) }()
	synctest.Wait()
	return ended
}

func TestCallersThatArriveDuringAStatementShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogether(1, s.run)
		var calls []chan error
		for part := range 5 {
			calls = append(calls, call(t.Context(), together, part))
		}
		if len(s.groups) != 1 {
			t.Errorf("under way: %v, want the first caller alone", s.groups)
		}
		close(s.held)
		for _, ended := range calls {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if want := [][]int{{0}, {1, 2, 3, 4}}; !reflect.DeepEqual(s.groups, want) {
			t.Errorf("statements for %v, want %v", s.groups, want)
		}
	})
}

func TestSoManyStatementsAreUnderWayAsMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogether(2, s.run)
		for part := range 4 {
			call(t.Context(), together, part)
		}
		if want := [][]int{{0}, {1}}; !reflect.DeepEqual(s.groups, want) {
			t.Errorf("under way: %v, want %v", s.groups, want)
		}
		close(s.held)
	})
}

// In halves: one that fails among many costs few statements, and no other its answer.
func TestAPartThatFailsTakesNoOtherWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := stateError("22021")
		s := &statements{held: make(chan struct{}), answer: func(group []int) error {
			if slices.Contains(group, 77) {
				return refused
			}
			return nil
		}}
		together := NewTogether(1, s.run)
		var calls []chan error
		for part := range 129 {
			calls = append(calls, call(t.Context(), together, part))
		}
		close(s.held)
		for part, ended := range calls {
			if err := <-ended; (err != nil) != (part == 77) {
				t.Errorf("part %d: %v", part, err)
			}
		}
		if len(s.groups) != 1+1+2*7 {
			t.Errorf("%d statements, want one for the first, one for the 128 behind it, and two for each halving", len(s.groups))
		}
	})
}

func TestAnOutageIsToldToAllAndAskedOnce(t *testing.T) {
	for _, outage := range []error{syscall.ECONNREFUSED, context.DeadlineExceeded, fmt.Errorf("query: %w", syscall.ECONNRESET), stateError("53300"), stateError("57P03"), stateError("40001"), stateError("42P01"), syscall.ETIMEDOUT} {
		synctest.Test(t, func(t *testing.T) {
			s := &statements{held: make(chan struct{}), answer: func([]int) error { return outage }}
			together := NewTogether(1, s.run)
			var calls []chan error
			for part := range 5 {
				calls = append(calls, call(t.Context(), together, part))
			}
			close(s.held)
			for part, ended := range calls {
				if err := <-ended; !errors.Is(err, outage) {
					t.Errorf("part %d: %v, want %v", part, err, outage)
				}
			}
			if len(s.groups) != 2 {
				t.Errorf("%v: statements for %v, want no more than two", outage, s.groups)
			}
		})
	}
}

type callersKey struct{}

type stateError string

func (e stateError) Error() string    { return "SQLSTATE " + string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestACallerThatGoesAwayLeavesTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogether(1, s.run)
		first := call(t.Context(), together, 0)
		var calls []chan error
		for part := 1; part <= 3; part++ {
			ctx, cancel := context.WithCancel(t.Context())
			ended := call(ctx, together, part)
			if part == 3 {
				defer cancel()
				calls = append(calls, ended)
				continue
			}
			cancel() // also the one who was to send the next statement
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("part %d: %v", part, err)
			}
		}
		close(s.held)
		for _, ended := range append(calls, first) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if want := [][]int{{0}, {3}}; !reflect.DeepEqual(s.groups, want) {
			t.Errorf("statements for %v, want %v", s.groups, want)
		}
	})
}

func TestACallerAloneTakesItsStatementAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := call(ctx, NewTogether(1, s.run), 0)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestACallerInAGroupNeedNotWaitForItsStatement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogether(1, s.run)
		first := call(t.Context(), together, 0)
		second := call(t.Context(), together, 1)
		ctx, cancel := context.WithCancel(t.Context())
		third := call(ctx, together, 2)
		s.held <- struct{}{}
		<-first
		synctest.Wait()
		cancel()
		if err := <-third; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(s.held)
		if err := <-second; err != nil {
			t.Errorf("the other in the group: %v", err)
		}
	})
}

// A statement whose connection is dead must not hold up the others until somebody notices.
func TestAStatementThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		together := NewTogether(1, func(_ context.Context, group []int) error {
			if group[0] == 0 {
				<-hang
			}
			return nil
		})
		first := call(t.Context(), together, 0)
		began := time.Now()
		if err := together.Do(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("the second waited for %s, want %s", took, patience)
		}
		close(hang)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := together.Do(t.Context(), 2); err != nil || len(together.turns.turn) != 0 {
			t.Errorf("afterwards: %v, %d turns are taken", err, len(together.turns.turn))
		}
	})
}

func TestArraysHoldAValueOfEachRow(t *testing.T) {
	columns := Columns("id TEXT, at BIGINT,\n\tkey BYTEA, list TEXT")
	arrays, err := Arrays(columns, [][]any{
		{"a", model.At(time.UnixMilli(5)), []byte{1}, (*model.List)(nil)},
		{model.Text(""), model.Time{}, model.Hash(nil), &model.List{"x", "y"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	five := int64(5)
	a, list := "a", "x y"
	if want := []any{[]*string{&a, nil}, []*int64{&five, nil}, []*[]byte{{1}, nil}, []*string{nil, &list}}; !reflect.DeepEqual(arrays, want) {
		t.Errorf("%#v, want %#v", arrays, want)
	}
	if _, err := Arrays(columns[:1], [][]any{{int64(1)}}); err == nil {
		t.Error("a number became a text")
	}
	if got := ManyOf(columns[:2]); got != "unnest((SELECT CAST(? AS TEXT[])), (SELECT CAST(? AS BIGINT[]))) WITH ORDINALITY AS given (id, at, position)" {
		t.Error(got)
	}
}

// What was begun is not undone by a caller who goes away: it may be somebody who replays a stolen token.
func TestAChangeGoesOnWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogetherToTheEnd(s.run)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), callersKey{}, "the caller's"))
		ended := call(ctx, together, 0)
		cancel()
		synctest.Wait()
		close(s.held)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		alone := NewTogetherToTheEnd(func(ctx context.Context, _ []int) error {
			if ctx.Value(callersKey{}) != "the caller's" {
				t.Error("a statement of one caller has not the values of its context")
			}
			return nil
		})
		if err := alone.Do(context.WithoutCancel(ctx), 0); err != nil {
			t.Error(err)
		}
	})
}

// The next change could only wait for the same row, on one more connection.
func TestAChangeThatHangsSendsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogetherToTheEnd(s.run)
		first, second := call(t.Context(), together, 0), call(t.Context(), together, 1)
		time.Sleep(5 * time.Second)
		if len(s.groups) != 1 {
			t.Errorf("under way: %v", s.groups)
		}
		close(s.held)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
	})
}

func TestTheCallerWhoSendsForAGroupMayLeaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{})}
		together := NewTogether(1, s.run)
		first := call(t.Context(), together, 0)
		ctx, cancel := context.WithCancel(t.Context())
		sender, other := call(ctx, together, 1), call(t.Context(), together, 2)
		s.held <- struct{}{}
		<-first
		synctest.Wait()
		cancel()
		if err := <-sender; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(s.held)
		if err := <-other; err != nil {
			t.Errorf("the other in the group: %v", err)
		}
	})
}

func TestAPanicInASharedStatementIsToldToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &statements{held: make(chan struct{}), answer: func(group []int) error {
			if len(group) > 1 {
				panic("a host's callback")
			}
			return nil
		}}
		together := NewTogether(1, s.run)
		calls := []chan error{call(t.Context(), together, 0), call(t.Context(), together, 1), call(t.Context(), together, 2)}
		close(s.held)
		if err := errors.Join(<-calls[0]); err != nil {
			t.Error(err)
		}
		for _, ended := range calls[1:] {
			if err := <-ended; !errors.Is(err, errPanicked) {
				t.Error(err)
			}
		}
		if err := together.Do(t.Context(), 3); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
