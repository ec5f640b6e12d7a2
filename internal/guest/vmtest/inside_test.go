package vmtest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/guest/client"
)

// lines splits what an app wrote.
func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

func TestWhatAppsSee(t *testing.T) {
	t.Parallel()
	m := boot(t)
	t.Run("environment", func(t *testing.T) {
		app := spec("environment", "env")
		app.Environment = []client.Variable{
			{Name: "B", Value: "$A ${A} $$ %n %%"},
			{Name: "A", Value: "two  spaces 'and' \"quotes\" \\n"},
			{Name: "PATH", Value: "/bin"},
			{Name: "EMPTY", Value: ""},
			{Name: "LINES", Value: "one\ntwo"},
		}
		var want []string
		for _, v := range app.Environment {
			want = append(want, lines(v.Name+"="+v.Value)...)
		}
		_, o := m.runApp(t, app)
		got := lines(o.stdout.String())
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("arguments", func(t *testing.T) {
		args := []string{"$HOME", "${HOME}", "$$", "%n", "a b", "", "'", `"`, `\`, "é", ";", "-x", "@", "$HOME/x"}
		_, o := m.runApp(t, spec("arguments", append([]string{"say"}, args...)...))
		if diff := cmp.Diff(args, lines(o.stdout.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if o.stderr.String() != "said 14\n" {
			t.Errorf("stderr = %q", o.stderr.String())
		}
	})
	t.Run("root", func(t *testing.T) {
		_, o := m.runApp(t, spec("as-root", "status"))
		diffLines(t, []string{
			"cwd /",
			"uid 0 gid 0 groups []",
			"hostname pod-1",
			"PPid: 1",
			"SigIgn: 0000000000000000",
			"CapEff: 00000000a80425fb",
			"CapBnd: 00000000a80425fb",
			"NoNewPrivs: 0",
			"Seccomp: 2",
			"/proc/1/comm systemd <nil>",
			"/proc/self/cgroup 0::/system.slice/app-as-root.service <nil>",
			"/etc/hosts 127.0.0.1\tlocalhost pod-1",
			"::1\tlocalhost pod-1 <nil>",
			"/etc/hostname pod-1 <nil>",
		}, o)
	})
	t.Run("user", func(t *testing.T) {
		app := spec("as-user", "status")
		app.User, app.Group, app.SupplementaryGIDs = "web", "www", []uint32{7, 9}
		app.WorkingDirectory = "/bin/../data/"
		_, o := m.runApp(t, app)
		got := lines(o.stdout.String())
		want := []string{"cwd /data", "uid 33 gid 35 groups [7 9 35]", "CapEff: 0000000000000000", "NoNewPrivs: 1"}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%q is missing from %q", line, got)
			}
		}
	})
	t.Run("owner", func(t *testing.T) {
		app := spec("as-owner", "status")
		app.User, app.Group = "/data/owned", "/data/owned"
		if _, o := m.runApp(t, app); !strings.Contains(o.stdout.String(), "uid 1001 gid 1002 groups [1002]\n") {
			t.Errorf("%q", o.stdout.String())
		}
	})
	t.Run("open", func(t *testing.T) {
		app := spec("unconfined", "status")
		app.AllCapabilities, app.Syscalls, app.ProtectPaths = true, nil, false
		_, o := m.runApp(t, app)
		for _, line := range []string{"CapEff: 000001ffffffffff", "NoNewPrivs: 0", "Seccomp: 0"} {
			if !strings.Contains(o.stdout.String(), line+"\n") {
				t.Errorf("%q is missing from %q", line, o.stdout.String())
			}
		}
	})
	t.Run("pressure", func(t *testing.T) {
		_, o := m.runApp(t, withGroups("pressed", "cgroup.pressure"))
		diffLines(t, []string{"/system.slice/app-pressed.service 0 <nil>", "/system.slice 0 <nil>", "machine some <nil>"}, o)
	})
	t.Run("limits of CPUs", func(t *testing.T) {
		all := withGroups("whole", "cgroup.controllers")
		all.CPUMilli = 1000 // as many as the machine has
		_, o := m.runApp(t, all)
		diffLines(t, []string{"/system.slice/app-whole.service memory pids <nil>", "/system.slice memory pids <nil>", "machine some <nil>"}, o)
		half := withGroups("half", "cgroup.controllers", "cpu.max")
		half.CPUMilli = 500
		_, o = m.runApp(t, half)
		if got := lines(o.stdout.String()); !slices.Contains(got, "/system.slice/app-half.service 50000 100000 <nil>") {
			t.Errorf("%q", got)
		}
	})
	t.Run("loopback", func(t *testing.T) {
		if _, o := m.runApp(t, spec("network", "net")); o.stdout.String() != "lo unknown 0x9\n" {
			t.Errorf("%q", o.stdout.String())
		}
	})
	m.shutdown(t, time.Second)
}

// withGroups is an app that prints files of its control groups.
func withGroups(name string, files ...string) client.App {
	app := spec(name, append([]string{"groups"}, files...)...)
	app.AllCapabilities, app.Syscalls, app.ProtectPaths, app.Stdin = true, nil, false, true
	return app
}

func diffLines(t *testing.T, want []string, o *output) {
	t.Helper()
	if diff := cmp.Diff(want, lines(o.stdout.String())); diff != "" {
		t.Errorf("(-want +got):\n%s%s", diff, o.stderr.String())
	}
}

func TestFilesAppsSee(t *testing.T) {
	t.Parallel()
	m := boot(t)
	_, o := m.runApp(t, spec("list", "list", "/", "/dev", "/dev/pts", "/dev/shm", "/run", "/tmp", "/sys/fs", "/sys/fs/cgroup", "/proc/config.gz", "/secret"))
	diffLines(t, []string{
		"/ [bin data dev etc proc root run secret sys tmp usr var] <nil>",
		"/ drwxr-xr-x",
		"/dev [fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero] <nil>",
		"/dev drwxr-xr-x",
		"/dev/pts [ptmx] <nil>",
		"/dev/pts drwxr-xr-x",
		"/dev/shm [] <nil>",
		"/dev/shm dtrwxrwxrwx",
		"/run [systemd] <nil>",
		"/run drwxr-xr-x",
		"/tmp [] <nil>",
		"/tmp dtrwxrwxrwx",
		"/sys/fs [] <nil>",
		"/sys/fs d---------",
		"/sys/fs/cgroup [] no such file or directory",
		"/proc/config.gz [] not a directory",
		"/proc/config.gz ----------",
		"/secret [block bus class dev devices firmware fs kernel module] <nil>",
		"/secret dr-xr-xr-x",
	}, o)
	_, o = m.runApp(t, spec("writer", "write", "/data/file"))
	diffLines(t, []string{"<nil> written", " <nil>", "reopen <nil>", "through /dev/stdout"}, o)
	app := spec("user-writer", "write", "/tmp/file")
	app.User = "web"
	_, o = m.runApp(t, app)
	diffLines(t, []string{"<nil> written", " <nil>", "reopen <nil>", "through /dev/stdout"}, o)
	app = spec("reader", "write", "/data/file")
	app.ReadOnlyRootFS = true
	_, o = m.runApp(t, app)
	diffLines(t, []string{"read-only file system  no such file or directory", "reopen <nil>", "through /dev/stdout"}, o)
	m.shutdown(t, time.Second)
}

// An app's root must not get at a disk or a port of the machine, although it
// may make device nodes.
func TestDevicesAreClosed(t *testing.T) {
	t.Parallel()
	m := boot(t)
	neighbour := spec("neighbour", "wait")
	neighbour.Disk.LUN = secondLUN
	m.launch(t, neighbour)
	_, o := m.runApp(t, spec("probe", "probe"))
	harmless := []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
	opened := 0
	for _, line := range lines(o.stdout.String()) {
		fields := strings.Fields(line)
		ok := strings.HasSuffix(line, "<nil>")
		switch {
		case fields[0] == "open":
			// There is no controlling terminal.
			if !ok && fields[1] != "/dev/tty" {
				t.Errorf("should work: %s", line)
			}
		case ok && !slices.Contains(harmless, fields[2]):
			t.Errorf("should not work: %s", line)
		case ok:
			opened++
		case fields[0] != "mknod" && fields[0] != "device":
			t.Errorf("unexpected: %s", line)
		}
	}
	for _, device := range []string{"vda", "sda", "sdb", "sdc", "vport", "ttyS0", "console", "fuse", "kmsg"} {
		if !strings.Contains(o.stdout.String(), "mknod /tmp/probe "+device) {
			t.Errorf("%s was not tried", device)
		}
	}
	if opened == 0 {
		t.Errorf("not even the harmless ones work:\n%s", o.stdout.String())
	}
	m.shutdown(t, time.Second)
}

func TestSystemCallsAreFiltered(t *testing.T) {
	t.Parallel()
	m := boot(t)
	_, o := m.runApp(t, spec("calls", "calls"))
	diffLines(t, []string{
		"keyctl operation not permitted",
		"unshare-user operation not permitted",
		"mount operation not permitted",
		"bpf operation not permitted",
		"reboot operation not permitted",
		"clock_settime operation not permitted",
		"io_uring_setup operation not permitted",
		"chroot <nil>",
		"write /proc/sysrq-trigger no such file or directory",
		"write /proc/sys/kernel/core_pattern read-only file system",
		"write /sys/kernel/uevent_helper read-only file system",
		"write /new <nil>",
		"write /dev/new <nil>",
		"write /tmp/new <nil>",
		"write /etc/hostname read-only file system",
		"init's root permission denied",
	}, o)
	m.shutdown(t, time.Second)
}

// The filter lists what is withheld, so the kernel must not have calls that
// were unknown when the list was made.
func TestKernelHasNoUnknownSystemCalls(t *testing.T) {
	t.Parallel()
	m := boot(t)
	app := spec("unknown", "unknown-calls")
	app.AllCapabilities, app.Syscalls = true, nil
	if _, o := m.runApp(t, app); o.stdout.String() != "none\n" {
		t.Errorf("look at these, and at the default filter: %s", o.stdout.String())
	}
	m.shutdown(t, time.Second)
}
