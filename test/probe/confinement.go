package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"rkt/test/probe/report"
)

// lookAtConfinement finds out what this process is kept from.
func lookAtConfinement(f *report.Facts) error {
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(limits)) {
		f.Limits = append(f.Limits, strings.Join(strings.Fields(line), " "))
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	f.OOMScore = strings.TrimSpace(string(score))
	f.Namespaces = map[string]string{}
	links, err := filepath.Glob("/proc/self/ns/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		f.Namespaces[filepath.Base(link)] = fmt.Sprint(target, err)
	}
	f.Refused = refused()
	return err
}

// refused tries system calls with arguments that make no sense, so that only
// a filter or a missing capability gives EPERM. Those that take no arguments
// are left out, as they would do something.
func refused() []string {
	calls := []struct {
		name   string
		number uintptr
	}{
		{"acct", unix.SYS_ACCT},
		{"add_key", unix.SYS_ADD_KEY},
		{"adjtimex", unix.SYS_ADJTIMEX},
		{"bpf", unix.SYS_BPF},
		{"clock_settime", unix.SYS_CLOCK_SETTIME},
		{"delete_module", unix.SYS_DELETE_MODULE},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT},
		{"fsopen", unix.SYS_FSOPEN},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP},
		{"kexec_load", unix.SYS_KEXEC_LOAD},
		{"keyctl", unix.SYS_KEYCTL},
		{"mount", unix.SYS_MOUNT},
		{"move_mount", unix.SYS_MOVE_MOUNT},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT},
		{"open_tree", unix.SYS_OPEN_TREE},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD},
		{"pivot_root", unix.SYS_PIVOT_ROOT},
		{"ptrace", unix.SYS_PTRACE},
		{"quotactl", unix.SYS_QUOTACTL},
		{"reboot", unix.SYS_REBOOT},
		{"request_key", unix.SYS_REQUEST_KEY},
		{"seccomp", unix.SYS_SECCOMP},
		{"sethostname", unix.SYS_SETHOSTNAME},
		{"setns", unix.SYS_SETNS},
		{"settimeofday", unix.SYS_SETTIMEOFDAY},
		{"swapon", unix.SYS_SWAPON},
		{"syslog", unix.SYS_SYSLOG},
		{"umount2", unix.SYS_UMOUNT2},
		{"unshare", unix.SYS_UNSHARE},
		{"userfaultfd", unix.SYS_USERFAULTFD},
	}
	const no = ^uintptr(0)
	var names []string
	for _, c := range calls {
		if _, _, errno := syscall.Syscall6(c.number, no, no, no, no, no, no); errors.Is(errno, unix.EPERM) {
			names = append(names, c.name)
		}
	}
	return names
}
