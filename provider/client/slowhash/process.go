package slowhash

import (
	"cmp"
	"io"
	"net/rpc"
	"os/exec"
	"sync"
	"time"
)

// Process is a [Computer] in a process of its own. Elsewhere each hash would hold back all other work: one of the few
// threads for goroutines is taken for as long as it lasts, and its memory (19 MiB for argon2id) makes the garbage
// collector run. It starts with the first hash. While it does not work, hashes are computed [Here].
type Process struct {
	// Command makes the process, which calls [Serve]. It gets secrets, on its standard input.
	Command func() *exec.Cmd
	// Lost is told why it does not work, now and then; nil: nobody.
	Lost func(error)

	patience time.Duration // with one that does not answer; 0: a minute

	mu     sync.Mutex
	client *rpc.Client
	next   time.Time // it is not started again before
}

// restart is the time from one start to the next.
const restart = 10 * time.Second

// Compare implements [Computer].
func (p *Process) Compare(hash, secret []byte) bool {
	var same bool
	if !p.call(".Compare", Comparison{hash, secret}, &same) {
		return Here{}.Compare(hash, secret)
	}
	return same
}

// Do implements [Computer].
func (p *Process) Do(work Work, secret []byte) {
	if !work.None() && !p.call(".Do", Job{work, secret}, new(bool)) {
		Here{}.Do(work, secret)
	}
}

// call tells whether the process has answered.
func (p *Process) call(method string, args, reply any) bool {
	client := p.running()
	if client == nil {
		return false
	}
	// Sending may take for ever as well, when the process does not read.
	timer := time.AfterFunc(cmp.Or(p.patience, time.Minute), func() { _ = client.Close() })
	defer timer.Stop()
	err := client.Call(service+method, args, reply)
	if err == nil {
		return true
	}
	_ = client.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == client {
		p.client = nil
		p.lost(err)
	}
	return false
}

func (p *Process) running() *rpc.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.client == nil && !now.Before(p.next) {
		p.next = now.Add(restart)
		client, err := start(p.Command())
		if err != nil {
			p.lost(err)
		}
		p.client = client
	}
	return p.client
}

func (p *Process) lost(err error) {
	if p.Lost != nil {
		p.Lost(err)
	}
}

func start(command *exec.Cmd) (*rpc.Client, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return rpc.NewClient(&pipes{Reader: out, Writer: in, close: func() error {
		_ = in.Close()
		_ = command.Process.Kill()
		return command.Wait()
	}}), nil
}

// service is versioned: a program that was replaced meanwhile may have other ideas of what is sent.
const service = "Hashes1"

// pipes are both ways to the other process.
type pipes struct {
	io.Reader
	io.Writer
	once  sync.Once
	close func() error
	err   error
}

// Read implements [io.Reader]. At the end it closes, so that a process that has died is not kept until the next hash.
func (p *pipes) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil {
		go func() { _ = p.Close() }()
	}
	return n, err
}

func (p *pipes) Close() error {
	p.once.Do(func() { p.err = p.close() })
	return p.err
}

// Serve computes what the [Process] on the other side of in and out asks for. It returns when that is gone.
func Serve(in io.Reader, out io.Writer) error {
	server := rpc.NewServer()
	if err := server.RegisterName(service, hashes{}); err != nil {
		return err
	}
	server.ServeConn(&pipes{Reader: in, Writer: out, close: func() error { return nil }})
	return nil
}

// Comparison is what [Process] sends.
type Comparison struct{ Hash, Secret []byte }

// Job is what [Process] sends.
type Job struct {
	Work   Work
	Secret []byte
}

type hashes struct{}

func (hashes) Compare(c Comparison, same *bool) error {
	*same = Here{}.Compare(c.Hash, c.Secret)
	return nil
}

func (hashes) Do(job Job, _ *bool) error {
	Here{}.Do(job.Work, job.Secret)
	return nil
}
