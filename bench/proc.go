package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what was spent up to a moment, by whom.
type usage struct {
	servers, database, sandbox, self time.Duration
	peak                             int64 // bytes of the largest server since its peak was reset
	machine                          ticks
}

// ticks are the machine's, of all processors, in hundredths of a second.
type ticks struct{ all, idle, stolen int64 }

func (u usage) minus(v usage) usage {
	u.servers -= v.servers
	u.database -= v.database
	u.sandbox -= v.sandbox
	u.self -= v.self
	u.machine.all -= v.machine.all
	u.machine.idle -= v.machine.idle
	u.machine.stolen -= v.machine.stolen
	return u
}

func (u usage) steal() float64 { return u.share(u.machine.stolen) }
func (u usage) idle() float64  { return u.share(u.machine.idle) }
func (u usage) share(n int64) float64 {
	return round(100*float64(n)/float64(max(u.machine.all, 1)), 2)
}

// hertz is USER_HZ, the unit of /proc's times: 100 on every Linux of today.
const hertz = 100

func fromTicks(n int64) time.Duration { return time.Duration(n) * time.Second / hertz }

var errProc = errors.New("processor times cannot be read: this needs Linux with /proc")

// A stat is a process as /proc/PID/stat shows it (proc_pid_stat(5)).
type stat struct {
	pid, parent int
	name        string
	own         int64 // utime and stime
	reaped      int64 // those of children it waited for
}

func readStat(pid int) (s stat, err error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return s, errors.Join(errProc, err)
	}
	open, shut := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || shut < open {
		return s, errProc
	}
	f := strings.Fields(string(raw[shut+1:]))
	if len(f) < 15 {
		return s, errProc
	}
	n := make([]int64, 15)
	for i := 1; i < 15; i++ {
		n[i], _ = strconv.ParseInt(f[i], 10, 64) // only 1 and 11 to 14 are used: always numbers
	}
	return stat{pid: pid, parent: int(n[1]), name: string(raw[open+1 : shut]), own: n[11] + n[12], reaped: n[13] + n[14]}, nil
}

// tree sums the times of a process and of all its descendants, dead ones too.
func tree(root int) (time.Duration, error) {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return 0, errors.Join(errProc, err)
	}
	children := map[int][]stat{}
	for _, d := range dir {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // else it ended meanwhile
			children[s.parent] = append(children[s.parent], s)
		}
	}
	top, err := readStat(root)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	queue := []stat{top}
	for len(queue) > 0 {
		s := queue[0]
		queue = append(queue[1:], children[s.pid]...)
		sum += s.own + s.reaped
	}
	return fromTicks(sum), nil
}

// machine reads the first line of /proc/stat (proc_stat(5)).
func machine() (t ticks, err error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, errors.Join(errProc, err)
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 9 || f[0] != "cpu" {
		return t, errProc
	}
	for i, text := range f[1:9] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return t, errProc
		}
		t.all += n
		switch i {
		case 3, 4: // idle and waiting for disks
			t.idle += n
		case 7:
			t.stolen += n
		}
	}
	return t, nil
}

// peak is the largest resident size of a process since resetPeak.
func peak(pid int) (int64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, errors.Join(errProc, err)
	}
	_, rest, ok := bytes.Cut(raw, []byte("VmHWM:"))
	f := strings.Fields(string(rest))
	if !ok || len(f) < 2 || f[1] != "kB" {
		return 0, errProc
	}
	kb, err := strconv.ParseInt(f[0], 10, 64)
	return kb << 10, err
}

// resetPeak makes the peaks of the servers begin anew (proc_pid_clear_refs(5)).
func (r *run) resetPeak() error {
	for _, s := range r.servers {
		if s.process == nil {
			continue
		}
		if err := os.WriteFile("/proc/"+strconv.Itoa(s.process.pid())+"/clear_refs", []byte("5"), 0); err != nil {
			return errors.Join(errProc, err)
		}
	}
	return nil
}

// usage reads what everyone spent until now.
func (r *run) usage(ctx context.Context) (u usage, err error) {
	if u.machine, err = machine(); err != nil {
		return u, err
	}
	for _, s := range r.servers {
		cpu, size, err := s.spent(ctx)
		if err != nil {
			return u, err
		}
		u.servers += cpu
		u.peak = max(u.peak, size)
	}
	if r.database != nil {
		if u.database, err = tree(r.database.postmaster); err != nil {
			return u, fmt.Errorf("PostgreSQL: %w", err)
		}
	}
	if r.sandbox != nil {
		if u.sandbox, err = tree(r.sandbox.pid()); err != nil {
			return u, fmt.Errorf("sandbox: %w", err)
		}
	}
	self, err := readStat(os.Getpid())
	u.self = fromTicks(self.own)
	return u, err
}

// spent is a server's processor time and its largest size. Of a server that
// was running already its own metrics tell; its size is that of the moment.
func (s *server) spent(ctx context.Context) (time.Duration, int64, error) {
	if s.process == nil {
		m, err := s.metrics(ctx)
		if err != nil {
			return 0, 0, err
		}
		return time.Duration(m.value("process_cpu_seconds_total") * float64(time.Second)), int64(m.value("process_resident_memory_bytes")), nil
	}
	cpu, err := tree(s.process.pid())
	if err != nil {
		return 0, 0, err
	}
	size, err := peak(s.process.pid())
	return cpu, size, err
}
