package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-messaging/parley/internal/port"
)

// A process is a child with its log in a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	out  lines
	done chan struct{}
	err  error // how it ended; valid after done

	killed bool
}

// spawn starts the program with a subcommand.
func (r *run) spawn(name string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(r.o.Dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	p.cmd = exec.Command(r.o.Program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = r.o.Dir, &p.out, log
	p.cmd.Env = clean(os.Environ())
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	r.undo = append(r.undo, p.stop)
	return p, nil
}

// clean takes our own configuration out of an environment: a child is what its
// flags say.
func clean(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "PARLEY_") && !strings.HasPrefix(v, "OTEL_") {
			out = append(out, v)
		}
	}
	return out
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stopIn is how long a child may take to stop in good order.
const stopIn = 30 * time.Second

func (p *process) stop() error {
	select {
	case <-p.done:
		if p.err == nil || p.killed {
			return nil // an interrupted terminal tells children too
		}
		return fmt.Errorf("%s ended by itself (%v); it says:\n%s", p.name, p.err, p.tail())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	t := time.NewTimer(stopIn)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(fmt.Errorf("%s did not stop within %s", p.name, stopIn), err)
}

// kill ends a child without warning, as the loss of its machine would.
func (p *process) kill() error {
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// tail gives the end of the log.
func (p *process) tail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close() //nolint:errcheck // only read
	const most = 2000
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd) // else all of it is shown
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// lines keeps what a child prints, for what its user would read there.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// after gives the rest of the line that begins with a prefix; ok is false
// until a whole one was printed.
func (l *lines) after(prefix string) (rest string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok && strings.HasSuffix(line, "\n") {
			return rest, true
		}
	}
	return "", false
}

// takePorts finds addresses for programs that must be told theirs.
func (r *run) takePorts(n int) ([]string, error) {
	var out []string
	for range n {
		address, release, err := port.Take()
		if err != nil {
			return nil, err
		}
		r.undo = append(r.undo, release)
		out = append(out, address)
	}
	return out, nil
}
