package seccomp

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"

	"rkt/internal/appc"
	"rkt/internal/syscalls"
)

func filterOf(t *testing.T, retain bool, set ...string) *Filter {
	t.Helper()
	f, err := For(&appc.SystemCalls{Retain: retain, Set: set}, []string{"CAP_KILL"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lets tells whether a filter lets a call through.
func (f *Filter) lets(call string) bool {
	return f == nil || slices.Contains(f.Calls, call) == f.Allow
}

func TestFilters(t *testing.T) {
	t.Parallel()
	const retain, remove = true, false
	for _, c := range []struct {
		retain           bool
		set              string
		allows, withhold string
	}{
		{retain, "read write", "read write execve exit_group mmap", "open mount getdents64"},
		{retain, "@appc.io/all", "read mount keyctl kexec_load", ""},
		{retain, "@appc.io/all read", "read mount", ""},
		{retain, "@appc.io/empty", "execve", "read write"},
		{retain, "@docker/default-whitelist", "read clone", "mount keyctl"},
		{retain, "@rkt/default-whitelist mount", "read mount", "umount2 keyctl"},
		{retain, "@systemd/network-io", "socket execve", "read"},
		{retain, "@systemd/clock @systemd/raw-io nosuchcall", "settimeofday iopl", "read nosuchcall"},
		{remove, "read @systemd/process", "write mount keyctl", "read fork clone"},
		{remove, "@appc.io/empty", "read", "mount keyctl"},
		{remove, "@appc.io/all", "execve", "read"},
		{remove, "@rkt/default-blacklist", "read kill", "mount keyctl"},
		{remove, "@docker/default-whitelist", "mount keyctl", "read"},
	} {
		f := filterOf(t, c.retain, strings.Fields(c.set)...)
		for _, call := range strings.Fields(c.allows) {
			if !f.lets(call) {
				t.Errorf("retain %v, %s: %s is withheld", c.retain, c.set, call)
			}
		}
		for _, call := range strings.Fields(c.withhold) {
			if f.lets(call) {
				t.Errorf("retain %v, %s: %s is allowed", c.retain, c.set, call)
			}
		}
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	usual, admin := Default([]string{"CAP_KILL"}), Default([]string{"CAP_SYS_ADMIN"})
	for _, call := range []string{"mount", "unshare", "bpf"} {
		if usual.lets(call) || !admin.lets(call) {
			t.Errorf("%s: usual %v, administrator %v", call, usual.lets(call), admin.lets(call))
		}
	}
	for _, call := range []string{"keyctl", "clock_settime"} {
		if usual.lets(call) || admin.lets(call) {
			t.Errorf("%s: usual %v, administrator %v", call, usual.lets(call), admin.lets(call))
		}
	}
}

func TestErrno(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]syscall.Errno{
		"ENOSYS": unix.ENOSYS, "ENOTSUP": unix.ENOTSUP, "EOPNOTSUPP": unix.EOPNOTSUPP, "EWOULDBLOCK": unix.EAGAIN,
	} {
		f, err := For(&appc.SystemCalls{Set: []string{"read"}, Errno: name}, nil)
		if err != nil || f.Errno != want {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if _, err := For(&appc.SystemCalls{Set: []string{"read"}, Errno: "eperm"}, nil); err == nil {
		t.Error("eperm is the name of an error")
	}
	if f := filterOf(t, true, "read"); f.Errno != unix.EPERM {
		t.Errorf("by default: %v", f.Errno)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"read opne": `"opne"`, "@systemd/x": `"@systemd/x"`, "@appc.io": "set of system calls", "read @appc.io/all": "",
	} {
		err := Check(&appc.SystemCalls{Set: strings.Fields(set)})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// TestNumbers looks at the numbers of two calls of which one has, besides, a
// number of its own in x32.
func TestNumbers(t *testing.T) {
	t.Parallel()
	const x32 = 1 << 30
	two := map[uint32][][]uint32{
		unix.AUDIT_ARCH_X86_64: {{39, 59}, {x32 | 39, x32 | 59, x32 | 520}}, unix.AUDIT_ARCH_I386: {{11, 20}},
		unix.AUDIT_ARCH_AARCH64: {{172, 221}}, unix.AUDIT_ARCH_ARM: {{11, 20}},
	}
	for allow, want := range map[bool]map[uint32][][]uint32{
		false: two,
		true:  {unix.AUDIT_ARCH_X86_64: {slices.Concat(two[unix.AUDIT_ARCH_X86_64]...)}},
	} {
		f := Filter{Allow: allow, Calls: []string{"execve", "getpid"}}
		got := make(map[uint32][][]uint32)
		for _, n := range f.Numbers() {
			got[n.Arch] = append(got[n.Arch], n.Calls)
		}
		for arch, calls := range got {
			if want[arch] == nil {
				want[arch] = two[arch]
			}
			if !slices.EqualFunc(calls, want[arch], slices.Equal) {
				t.Errorf("allow %v, %#x: %v, want %v", allow, arch, calls, want[arch])
			}
		}
	}
}

// TestCombined shows that a call which is withheld can't be had by one that makes
// it, where there is one.
func TestCombined(t *testing.T) {
	t.Parallel()
	const socketcall, ipc = 102, 117 // of 32-bit programs
	for call, want := range map[string][2]bool{"bind": {true, false}, "shmat": {false, true}, "mount": {}} {
		f := Filter{Calls: []string{call}}
		for _, n := range f.Numbers() {
			if n.Arch != unix.AUDIT_ARCH_I386 {
				if len(n.Calls) != 1 {
					t.Errorf("%s, %#x: %v", call, n.Arch, n.Calls)
				}
				continue
			}
			got := [2]bool{slices.Contains(n.Calls, socketcall), slices.Contains(n.Calls, ipc)}
			if got != want {
				t.Errorf("%s: socketcall and ipc withheld: %v, want %v", call, got, want)
			}
		}
		f.Allow = true
		for _, n := range f.Numbers() {
			if n.Arch == unix.AUDIT_ARCH_I386 && (slices.Contains(n.Calls, socketcall) || slices.Contains(n.Calls, ipc)) {
				t.Errorf("to allow %s allows more: %v", call, n.Calls)
			}
		}
	}
}

// TestWithheldCallsExist shows that what the default filter withholds are calls
// of this kind of machine or the others, not misspelt ones.
func TestWithheldCallsExist(t *testing.T) {
	t.Parallel()
	for _, name := range syscalls.Withheld(func(string) bool { return false }) {
		if !isCall(name) && !slices.Contains(strings.Fields(groups()["obsolete"]), name) {
			t.Errorf("no machine has a call %s", name)
		}
	}
	if len(arch.X86_64.SyscallNames) == 0 {
		t.Error("no calls are known at all")
	}
}

// TestGroups compares the sets with those of this host's systemd, which may have
// more.
func TestGroups(t *testing.T) {
	t.Parallel()
	for name, calls := range groups() {
		if name == "default-whitelist" {
			name = "default"
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", "@"+name).Output()
		if err != nil {
			t.Fatalf("systemd-analyze, of package systemd: %v", err)
		}
		words := strings.Fields(string(out))
		for _, call := range strings.Fields(calls) {
			if slices.Contains(words, call) {
				continue
			}
			if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "@") && w != "@"+name }) {
				t.Errorf("%s is not in @%s", call, name)
			}
		}
	}
}

// TestContainer compares what containers are left with with what systemd-nspawn 252
// leaves them, which was read out of the kernel: there were so many of this
// machine's calls.
func TestContainer(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers are those of x86-64")
	}
	allowed := func(has func(string) bool, all bool) map[string]bool {
		calls := make(map[string]bool)
		for _, name := range arch.X86_64.SyscallNumbers {
			calls[name] = !slices.ContainsFunc(Container(has, all), func(f *Filter) bool { return !f.lets(name) })
		}
		return calls
	}
	none, every := func(string) bool { return false }, func(string) bool { return true }
	for _, c := range []struct {
		has  func(string) bool
		all  bool
		want int
	}{{none, false, 309}, {every, false, 325}, {none, true, 366}} {
		got := 0
		for _, allowed := range allowed(c.has, c.all) {
			if allowed {
				got++
			}
		}
		if got != c.want {
			t.Errorf("all calls %v: %d are allowed, want %d", c.all, got, c.want)
		}
	}
	for _, name := range []string{"mseal", "listmount"} {
		if allowed(every, true)[name] {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, f := range Container(none, false) {
		for _, numbers := range f.Numbers() {
			if len(numbers.Calls) == 0 {
				t.Errorf("nothing is listed for machine %#x", numbers.Arch)
			}
		}
	}
}
