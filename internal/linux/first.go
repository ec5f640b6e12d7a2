package linux

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// First describes a process that is the first of a PID namespace, so that
// nothing it ever starts outlives it, and has a mount namespace of its own.
type First struct {
	// Name is what this program, which is started again, sees as its own name.
	Name string
	// Env is its whole environment, nil an empty one.
	Env []string
	// Files are its descriptors 0, 1, 2, …
	Files []*os.File
	// Cgroup is a directory of a version 2 hierarchy in which it starts, nil for
	// the one of this program.
	Cgroup *os.File
}

// Start starts this program once more. It is killed when the one that started
// it ends, however that happens: it must call ExpectParent first of all.
func (p First) Start() (*os.Process, error) {
	alive, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer alive.Close()
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a Ctrl-C in the terminal is the supervisor's business alone
	}
	if p.Cgroup != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(p.Cgroup.Fd())
	}
	type result struct {
		process *os.Process
		err     error
	}
	results := make(chan result)
	forever := make(chan struct{})
	go onOtherThread(func() {
		process, err := os.StartProcess("/proc/self/exe", []string{p.Name, strconv.Itoa(len(p.Files))}, &os.ProcAttr{
			Env: append([]string{}, p.Env...), Files: append(append([]*os.File{}, p.Files...), alive), Sys: attr,
		})
		results <- result{process, err}
		if err == nil {
			// The kernel takes the end of the thread for that of the program, and
			// the end of the pipe tells it too.
			<-forever
			_ = ours.Close()
		}
	})
	r := <-results
	if r.err != nil {
		r.err = errors.Join(r.err, ours.Close())
	}
	return r.process, r.err
}

// ExpectParent fails unless the program that started this one by First.Start
// still runs.
func ExpectParent() error {
	if len(os.Args) != 2 {
		return errors.New("not started by this program")
	}
	alive, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	return expectParent(alive)
}
