package systemd

import (
	"fmt"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Service is a transient service, from before it starts until it is gone.
type Service struct {
	name string
	path dbus.ObjectPath

	decided chan struct{} // closed when the start job is over
	exited  chan struct{} // closed when the main process has ended
	cleared chan struct{} // closed when ExecStopPost= begins, if not before
	handled chan struct{} // closed when that has ended
	dead    chan struct{} // closed when all processes have ended

	mu     sync.Mutex // guards what follows, and closing
	job    string     // result of the start job
	active string     // systemd's ActiveState
	sub    string     // systemd's SubState
	pid    uint32
	status Status
	ran    bool // the main process has ended
	over   bool
}

// Status is how a service's main process ended.
type Status struct {
	Code     int32 // exit code, if Signal is 0
	Signal   int32
	CoreDump bool
	Result   string // systemd's opinion: "success", "exit-code", "oom-kill", ...
}

// What waitid(2) calls the ways to end, as systemd passes them on.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// PID returns the main process's number, also when it has ended.
func (s *Service) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.pid)
}

// Exited returns a channel that is closed when the main process has ended.
func (s *Service) Exited() <-chan struct{} { return s.exited }

// Cleared returns a channel that is closed when no process is left but those of
// what runs afterwards (ExecStopPost=).
func (s *Service) Cleared() <-chan struct{} { return s.cleared }

// Handled returns a channel that is closed when the programs that run afterwards
// have ended, if perhaps not all that they have started.
func (s *Service) Handled() <-chan struct{} { return s.handled }

// Dead returns a channel that is closed when all processes have ended.
func (s *Service) Dead() <-chan struct{} { return s.dead }

// Status returns how the main process ended. It is valid once Dead is closed.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// StepExec is the step at which systemd executes the program.
const StepExec = "EXEC"

// StartError is why a service that systemd tried to start did not run.
type StartError struct {
	Result string // of the job
	Step   string // what systemd was doing, "" if it doesn't say
	Code   int32
}

func (e *StartError) Error() string {
	if e.Step == "" {
		return fmt.Sprintf("systemd says %q", e.Result)
	}
	return fmt.Sprintf("systemd says %q at step %s (%d)", e.Result, e.Step, e.Code)
}

func (s *Service) startResult() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job
}

// startError returns why a service whose start failed did not run, nil if it did:
// systemd also says "failed" of a program that it hears of for the first time when
// that has ended with an error.
func (s *Service) startError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &StartError{Result: s.job, Code: s.status.Code}
	if s.status.Signal == 0 {
		e.Step = step(s.status.Code)
	}
	if s.job == "failed" && s.ran && e.Step == "" {
		return nil
	}
	return e
}

// update takes in announced changes. It reports whether the service is gone.
func (s *Service) update(iface string, changed map[string]dbus.Variant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch iface {
	case unitIface:
		store(changed, "ActiveState", &s.active)
		store(changed, "SubState", &s.sub)
		s.pass()
	case serviceIface:
		var code, status int32
		store(changed, "ExecMainPID", &s.pid)
		store(changed, "Result", &s.status.Result)
		store(changed, "ExecMainStatus", &status)
		if store(changed, "ExecMainCode", &code); code != 0 {
			s.ended(code, status)
		}
	}
	return s.settle()
}

func (s *Service) ended(code, status int32) {
	switch code {
	case cldExited:
		s.status.Code = status
	case cldKilled, cldDumped:
		s.status.Signal = status
		s.status.CoreDump = code == cldDumped
	}
	s.ran = true
	closeOnce(s.exited)
}

// pass notes which of the last states of its life the service has reached.
func (s *Service) pass() {
	switch s.sub {
	case "stop-post":
		closeOnce(s.cleared)
	case "final-sigterm", "final-sigkill":
		closeOnce(s.cleared)
		closeOnce(s.handled)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// decide takes in the end of a job, of which the first is that of the start.
// It reports whether the service is gone.
func (s *Service) decide(result string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == "" {
		s.job = result
		close(s.decided)
	}
	return s.settle()
}

// settle notices that a service which was started, or failed to, is gone.
func (s *Service) settle() bool {
	gone := s.active == "inactive" || s.active == "failed"
	if s.job == "" || !gone || s.over {
		return s.over
	}
	s.over = true
	for _, c := range []chan struct{}{s.exited, s.cleared, s.handled, s.dead} {
		closeOnce(c)
	}
	return true
}

func store[T any](changed map[string]dbus.Variant, name string, to *T) {
	if v, ok := changed[name]; ok {
		if value, ok := v.Value().(T); ok {
			*to = value
		}
	}
}

// step names what systemd does between fork and exec when it gives up with a
// status. Source: systemd.exec(5), "Process exit codes".
func step(status int32) string {
	steps := map[int32]string{
		200: "CHDIR", 201: "NICE", 202: "FDS", 203: StepExec, 204: "MEMORY", 205: "LIMITS",
		206: "OOM_ADJUST", 207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT",
		211: "IOPRIO", 212: "TIMERSLACK", 213: "SECUREBITS", 214: "SETSCHEDULER",
		215: "CPUAFFINITY", 216: "GROUP", 217: "USER", 218: "CAPABILITIES", 219: "CGROUP",
		220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK",
		226: "NAMESPACE", 227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT",
		230: "PERSONALITY", 231: "APPARMOR_PROFILE", 232: "ADDRESS_FAMILIES",
		233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING",
		238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY",
		241: "CONFIGURATION_DIRECTORY", 242: "NUMA_POLICY", 243: "CREDENTIALS",
	}
	return steps[status]
}
