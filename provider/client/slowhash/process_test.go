package slowhash

import (
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	serves = "SLOWHASH_TEST_SERVES" // this test binary is the other process
	hangs  = "SLOWHASH_TEST_HANGS"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(serves) != "":
		_ = Serve(os.Stdin, os.Stdout)
	case os.Getenv(hangs) != "":
		time.Sleep(time.Hour)
	default:
		os.Exit(m.Run())
	}
}

func process(t *testing.T, is string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program)
	c.Env = []string{is + "=1"}
	return c
}

func hashOf(t *testing.T, secret string) []byte {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestAProcessCompares(t *testing.T) {
	p := &Process{Command: func() *exec.Cmd { return process(t, serves) }}
	hash := hashOf(t, "sesame")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if !p.Compare(hash, []byte("sesame")) {
				t.Error("the right secret is refused")
			}
			if p.Compare(hash, []byte("simsala")) {
				t.Error("a wrong secret is let in")
			}
			p.Do(Work{Bcrypt: 16, SHA256: 10}, []byte("x"))
		})
	}
	group.Wait()
	if p.client == nil {
		t.Error("the process is not used")
	}
	_ = p.client.Close()
}

// Secrets are compared whatever becomes of the process, and it is started again, but not all the time.
func TestAProcessMayDie(t *testing.T) {
	var started []*exec.Cmd
	p := &Process{Command: func() *exec.Cmd {
		c := process(t, serves)
		started = append(started, c)
		return c
	}}
	hash := hashOf(t, "sesame")
	check := func(when string, starts int) {
		t.Helper()
		if !p.Compare(hash, []byte("sesame")) || p.Compare(hash, []byte("simsala")) {
			t.Errorf("%s: not compared", when)
		}
		if len(started) != starts {
			t.Errorf("%s: started %d times, want %d", when, len(started), starts)
		}
	}
	check("at first", 1)
	if err := started[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	check("killed", 1)
	p.next = time.Now()
	check("later", 2)
	_ = p.client.Close()
}

func TestAProcessMayNotStartOrHang(t *testing.T) {
	hash := hashOf(t, "sesame")
	for name, command := range map[string]func() *exec.Cmd{
		"missing": func() *exec.Cmd { return exec.Command("/does/not/exist") },
		"hangs":   func() *exec.Cmd { return process(t, hangs) },
	} {
		told := 0
		p := &Process{Command: command, patience: 50 * time.Millisecond, Lost: func(error) { told++ }}
		if !p.Compare(hash, []byte("sesame")) || p.Compare(hash, []byte("simsala")) {
			t.Errorf("%s: not compared", name)
		}
		if told != 1 {
			t.Errorf("%s: told %d times", name, told)
		}
		p.next = time.Time{}
		if p.Compare(hash, make([]byte, 1<<20)) { // more than fits into a pipe
			t.Errorf("%s: a long secret is let in", name)
		}
	}
}
