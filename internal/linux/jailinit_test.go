package linux

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInitOfAnOrphan shows that what a Warden starts doesn't begin when the
// Warden's program ended before the kernel knew to kill it.
func TestInitOfAnOrphan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		orphan bool
		want   string
	}{
		{"parent lives", false, "started\n"},
		{"parent has ended", true, "jail: the supervisor has ended\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			alive, ours, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			if test.orphan {
				ours.Close()
			}
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
			cmd.Args = initArgs(3, nil, []string{"/bin/echo", "started"})
			cmd.ExtraFiles = []*os.File{alive}
			out, _ := cmd.CombinedOutput() // what it says tells more than its status
			if string(out) != test.want {
				t.Errorf("it says %q, want %q", out, test.want)
			}
		})
	}
}

// TestInitFilters starts a program under a filter that fails every uname(2).
func TestInitFilters(t *testing.T) {
	t.Parallel()
	const load, jumpEqual, ret = 0x20, 0x15, 0x06 // BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
	filter := encodeFilter([]unix.SockFilter{
		{Code: load, K: 0}, // the number of the system call
		{Code: jumpEqual, K: unix.SYS_UNAME, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	})
	alive, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = initArgs(3, filter, []string{"/bin/sh", "-c", "exec uname"})
	cmd.ExtraFiles = []*os.File{alive}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "not permitted") {
		t.Errorf("uname says %q, %v", out, err)
	}
}
