package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// answerLimit bounds the wait for an answer.
const answerLimit = 30 * time.Second

// connection speaks just enough HTTP/1.1, so that little of the machine goes to the load: net/http takes more than twice as much.
type connection struct {
	address string
	reader  *bufio.Reader
	body    []byte
	expires time.Time // of the deadline

	mu          sync.Mutex
	conn        net.Conn
	interrupted bool
}

// exchange sends a request and reads the answer. The body is good until the next one.
func (c *connection) exchange(ctx context.Context, request []byte) (status int, body []byte, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, nil, err
		}
	}
	if now := time.Now(); c.expires.Sub(now) < answerLimit/2 {
		c.expires = now.Add(answerLimit)
		if err := c.conn.SetDeadline(c.expires); err != nil {
			return 0, nil, err
		}
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	return c.read()
}

func (c *connection) dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return errors.Join(net.ErrClosed, conn.Close())
	}
	c.conn, c.reader, c.expires = conn, bufio.NewReader(conn), time.Time{}
	return nil
}

// interrupt ends what the connection waits for.
func (c *connection) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

var errNotHTTP = errors.New("an answer that is no HTTP/1.1 with a Content-Length")

// read reads an answer. The server says how long each one is.
func (c *connection) read() (status int, body []byte, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return 0, nil, errNotHTTP
	}
	if status, err = strconv.Atoi(string(line[len(version) : len(version)+3])); err != nil {
		return 0, nil, errNotHTTP
	}
	length := -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, errNotHTTP
			}
		}
	}
	if length < 0 {
		return 0, nil, errNotHTTP
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.reader, c.body)
	return status, c.body, err
}

// connectionError is a kind of error: texts of the network name ports.
func connectionError(err error) string {
	var operation *net.OpError
	switch {
	case errors.Is(err, errNotHTTP):
		return err.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in " + answerLimit.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "cannot connect"
	}
	return "connection broken"
}
