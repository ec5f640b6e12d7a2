//go:build linux

package agent

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rkt/internal/guest/approot"
	"rkt/internal/guest/guestproto"
	"rkt/internal/linux"
)

// program runs beside an app's main process.
type program struct {
	process *os.Process
	stdio   *stdio
	ended   chan struct{} // closed when state is set
	state   syscall.WaitStatus
}

// wait notes how the program ends, and says when.
func (p *program) wait(forget func(*program)) {
	state, err := p.process.Wait()
	if err == nil {
		p.state, _ = state.Sys().(syscall.WaitStatus)
	}
	p.stdio.finish()
	close(p.ended)
	forget(p)
}

// signal sends a signal: those that a terminal sends to all in the foreground
// to the whole group, as it would.
func (p *program) signal(s unix.Signal) error {
	select {
	case <-p.ended:
		return status.Error(codes.NotFound, "the program has ended")
	default:
	}
	pid := p.process.Pid
	if s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGHUP {
		pid = -pid
	}
	return os.NewSyscallError("kill", unix.Kill(pid, s))
}

// programs are those beside one app.
type programs struct {
	mu           sync.Mutex
	surroundings *linux.Surroundings // nil unless the app runs
	all          []*program
	starting     sync.WaitGroup
}

// open lets programs be started.
func (ps *programs) open(s *linux.Surroundings) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.surroundings = s
}

// start starts a program unless the app is gone.
func (ps *programs) start(do func(linux.Surroundings) (*program, error)) (*program, error) {
	ps.mu.Lock()
	if ps.surroundings == nil {
		ps.mu.Unlock()
		return nil, errAppGone
	}
	in := *ps.surroundings
	ps.starting.Add(1)
	ps.mu.Unlock()
	defer ps.starting.Done()
	p, err := do(in)
	if err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.surroundings == nil {
		_ = p.process.Kill() // the app ended meanwhile
	}
	select {
	case <-p.ended:
	default:
		ps.all = append(ps.all, p)
	}
	return p, nil
}

func (ps *programs) forget(p *program) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = slices.DeleteFunc(ps.all, func(other *program) bool { return other == p })
}

var errAppGone = errors.New("the app does not run any more")

// kill ends all programs and lets no more start.
func (ps *programs) kill() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.surroundings != nil {
		s := *ps.surroundings
		ps.surroundings = nil
		go func() {
			ps.starting.Wait()
			closeSurroundings(s)
		}()
	}
	for _, p := range ps.all {
		_ = p.process.Kill() // one that has ended is no news
	}
}

// close returns when all programs have ended and their output is complete.
func (ps *programs) close() {
	ps.kill()
	ps.starting.Wait()
	ps.mu.Lock()
	all := slices.Clone(ps.all)
	ps.mu.Unlock()
	for _, p := range all {
		<-p.ended
	}
}

// surroundingsOf returns where an app's main process lives. Its root is checked
// when something is to run there.
func surroundingsOf(pid int, root *approot.Root) (*linux.Surroundings, error) {
	cgroup, err := controlGroup(pid)
	if err != nil {
		return nil, err
	}
	var s linux.Surroundings
	var errs [3]error
	s.Mounts, errs[0] = os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	s.Cgroup, errs[1] = os.Open(cgroup)
	s.Root, errs[2] = root.OpenPath("/")
	if err := errors.Join(errs[:]...); err != nil {
		closeSurroundings(s)
		return nil, err
	}
	return &s, nil
}

func closeSurroundings(s linux.Surroundings) {
	for _, f := range []*os.File{s.Mounts, s.Root, s.Cgroup} {
		if f != nil {
			f.Close()
		}
	}
}

// controlGroup returns the directory of a process's control group.
func controlGroup(pid int) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		group, ok := strings.CutPrefix(lines.Text(), "0::")
		if !ok {
			continue
		}
		// Beside groups of version 1, version 2 has a directory of its own.
		mount := "/sys/fs/cgroup/unified"
		if _, err := os.Stat(mount); err != nil {
			mount = "/sys/fs/cgroup"
		}
		return filepath.Join(mount, group), nil
	}
	return "", fmt.Errorf("process %d has no control group", pid)
}

// execs are all programs beside apps by their numbers, until the host has been
// told how they ended.
type execs struct {
	mu   sync.Mutex
	last uint64
	all  map[uint64]*program // nil while it is being started
}

// reserve returns a number for a program that is to be started.
func (e *execs) reserve() (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.all) >= guestproto.MaxPrograms {
		return 0, errTooMany
	}
	if e.all == nil {
		e.all = map[uint64]*program{}
	}
	e.last++
	e.all[e.last] = nil
	return e.last, nil
}

var errTooMany = fmt.Errorf("%d programs run beside the pod's apps already", guestproto.MaxPrograms)

func (e *execs) put(id uint64, p *program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[id] = p
}

func (e *execs) forget(id uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, id)
}

func (e *execs) get(id uint64) (*program, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.all[id]; p != nil {
		return p, nil
	}
	return nil, status.Errorf(codes.NotFound, "no program %d", id)
}

// drained returns what to wait for until the host has all programs' output.
func (e *execs) drained() []<-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []<-chan struct{}
	for _, p := range e.all {
		if p != nil {
			all = append(all, p.stdio.drained()...)
		}
	}
	return all
}
