package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is a closed loop: each connection sends the next request when it has the answer to the last one. It speaks just
// enough HTTP, so that little of the machine goes to it.
type load struct {
	address      string
	conns        int
	requests     [][]byte // sent in turn
	expect       string   // in every answer
	warm, window time.Duration
	count        int  // of requests, instead of a window
	keep         bool // the tokens in the answers
	server       int  // process whose CPU time is measured; 0: none
	database     engine
}

// result is what came of a load.
type result struct {
	latencies              []time.Duration // sorted
	took                   time.Duration
	tokens                 []string
	serverCPU, databaseCPU float64 // microseconds per request
}

func (l *load) run(ctx context.Context) (*result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next, begun atomic.Int64
	var mu sync.Mutex
	all := new(result)
	var failure error
	var workers sync.WaitGroup
	started := time.Now()
	for range l.conns {
		workers.Go(func() {
			own, err := l.connection(ctx, &next, &begun)
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, own.latencies...)
			all.tokens = append(all.tokens, own.tokens...)
			if err != nil && failure == nil {
				failure = err
				cancel()
			}
		})
	}
	if l.count == 0 {
		pause(ctx, l.warm)
		server, database := l.cpu()
		started = time.Now()
		begun.Store(started.UnixNano())
		pause(ctx, l.window)
		begun.Store(0)
		all.took = time.Since(started)
		serverAfter, databaseAfter := l.cpu()
		all.serverCPU, all.databaseCPU = serverAfter-server, databaseAfter-database
		cancel()
	}
	workers.Wait()
	if l.count > 0 {
		all.took = time.Since(started)
	}
	slices.Sort(all.latencies)
	if failure == nil && len(all.latencies) == 0 {
		failure = errors.New("no answers within the window")
	}
	if n := float64(len(all.latencies)); n > 0 {
		all.serverCPU, all.databaseCPU = all.serverCPU/n*1e6, all.databaseCPU/n*1e6
	}
	return all, failure
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cpu is how many seconds of it the server and the database have used.
func (l *load) cpu() (server, database float64) {
	if l.server == 0 {
		return 0, 0
	}
	return processCPU(l.server), l.database.cpu()
}

// connection runs one connection until the load ends.
func (l *load) connection(ctx context.Context, next, begun *atomic.Int64) (own result, err error) {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return own, err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for ctx.Err() == nil {
		n := int(next.Add(1)) - 1
		if l.count > 0 && n >= l.count {
			break
		}
		start := time.Now()
		if _, err := conn.Write(l.requests[n%len(l.requests)]); err != nil {
			return own, err
		}
		status, body, err := readAnswer(reader)
		if err != nil {
			return own, err
		}
		if status != 200 || !bytes.Contains(body, []byte(l.expect)) {
			return own, fmt.Errorf("unexpected answer %d: %s", status, body)
		}
		// Only what lies in the window counts.
		if from := begun.Load(); l.count > 0 || from > 0 && start.UnixNano() >= from {
			own.latencies = append(own.latencies, time.Since(start))
		}
		if l.keep {
			_, rest, _ := strings.Cut(string(body), `"access_token":"`)
			token, _, _ := strings.Cut(rest, `"`)
			own.tokens = append(own.tokens, token)
		}
	}
	return own, nil
}

// readAnswer reads an HTTP/1.1 response that says how long it is.
func readAnswer(r *bufio.Reader) (status int, body []byte, err error) {
	lines := textproto.NewReader(r)
	first, err := lines.ReadLine()
	if err != nil {
		return 0, nil, err
	}
	_, rest, _ := strings.Cut(first, " ")
	if status, err = strconv.Atoi(rest[:min(3, len(rest))]); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		line, err := lines.ReadLineBytes()
		if err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, err
			}
		}
	}
	if length < 0 {
		return 0, nil, errors.New("a response without Content-Length")
	}
	body = make([]byte, length)
	for read := 0; read < length; {
		n, err := r.Read(body[read:])
		if err != nil {
			return 0, nil, err
		}
		read += n
	}
	return status, body, nil
}
