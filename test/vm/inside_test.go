package vm

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/image/imagetest"
	"rkt/internal/linux"
	"rkt/test/probe/report"
)

// factsOf returns what an app of a finished pod reported.
func factsOf(t *testing.T, out, app string) report.Facts {
	t.Helper()
	said := texts(t, out, app)
	if len(said) != 1 {
		t.Fatalf("app %s said %q", app, said)
	}
	var f report.Facts
	if err := json.Unmarshal([]byte(said[0]), &f); err != nil {
		t.Fatalf("app %s: %v: %s", app, err, said[0])
	}
	return f
}

// TestSurroundings shows where an app finds itself.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run("--hostname=wonderland", probeID(t), "--cpu=1", "--", "facts")
	p.expect(0)
	f := factsOf(t, r.Stdout, "probe")
	if !strings.HasSuffix(f.Kernel, "-rkt") || f.Kernel == hostKernel(t) {
		t.Errorf("kernel %q is not the project's", f.Kernel)
	}
	if f.Init.Name != "systemd" {
		t.Errorf("process 1 is %q", f.Init.Name)
	}
	if f.Parent != f.Init {
		t.Errorf("the app's parent is %+v", f.Parent)
	}
	if f.PID == 1 || f.PID != lines(t, r.Stdout)[0].PID {
		t.Errorf("the app is process %d, but its output says %d", f.PID, lines(t, r.Stdout)[0].PID)
	}
	if f.Hostname != "wonderland" {
		t.Errorf("host name %q", f.Hostname)
	}
	// The image's own and what systemd makes for every app. Nothing of the
	// machine's root: the app is in a root of its own.
	root := []string{"dev", "etc", "probe", "proc", "root", "run", "sys", "tmp", "usr", "var"}
	if diff := cmp.Diff(root, f.Root); diff != "" {
		t.Errorf("root directory (-want +got):\n%s", diff)
	}
	below := []string{"etc/group", "etc/hostname", "etc/hosts", "etc/passwd", "run/systemd"}
	if diff := cmp.Diff(below, f.Below); diff != "" {
		t.Errorf("one level below (-want +got):\n%s", diff)
	}
}

func hostKernel(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestDelays shows that the kernel knows how long a delay is: what it is told and what
// it would measure is two for each tick of the processor's counter, on all CPUs.
func TestDelays(t *testing.T) {
	t.Parallel()
	want := float64(2*linux.NewTSCMeter().Kilohertz()) / 1000
	if want == 0 {
		t.Skip("this processor has no such counter")
	}
	h := newHost(t)
	p, r := h.run(probeID(t), "--cpu=2", "--", "facts")
	p.expect(0)
	got := factsOf(t, r.Stdout, "probe").BogoMIPS
	if len(got) != 2 {
		t.Errorf("delays of %d CPUs, want 2", len(got))
	}
	for _, n := range got {
		if n < 0.99*want || n > 1.01*want {
			t.Errorf("%.2f bogomips, want %.2f", n, want)
		}
	}
}

// TestIsolationIsTold shows that rkt says what the pod really has around it.
func TestIsolationIsTold(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run(probeID(t), "--cpu=1", "--", "exit", "0")
	p.expect(0)
	want := "emulated"
	if hardwareVirtualization(t) {
		want = "kvm"
	}
	if got := h.status(p.uuid())["isolation"]; got != want {
		t.Errorf("isolation=%s, want %s", got, want)
	}
	if warned := strings.Count(r.Stderr, "emulated"); (warned == 1) != (want == "emulated") {
		t.Errorf("isolation is %s, stderr says:\n%s", want, r.Stderr)
	}
}

func hardwareVirtualization(t *testing.T) bool {
	t.Helper()
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(b))
	return runtime.GOARCH != "amd64" || slices.Contains(words, "vmx") || slices.Contains(words, "svm")
}

// TestDefaults shows what an app gets that asks for nothing.
func TestDefaults(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run(probeID(t), "--cpu=1", "--", "facts")
	p.expect(0)
	f := factsOf(t, r.Stdout, "probe")
	expectDisk(t, f.Disk, 16<<30)
	if want := "rkt-" + p.uuid(); f.Hostname != want {
		t.Errorf("host name %q, want %q", f.Hostname, want)
	}
	if f.UID != 0 || f.GID != 0 || len(f.Groups) > 1 || f.Dir != "/" {
		t.Errorf("uid %d, gid %d, groups %v, directory %q", f.UID, f.GID, f.Groups, f.Dir)
	}
	want := []string{
		"AC_APP_NAME=probe", "HOME=/root", "LOGNAME=root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SHELL=/bin/sh", "USER=root",
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(f.Env))); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	// AUDIT_WRITE CHOWN DAC_OVERRIDE FSETID FOWNER KILL MKNOD NET_RAW
	// NET_BIND_SERVICE SETUID SETGID SETPCAP SETFCAP SYS_CHROOT.
	const defaultCapabilities = "00000000a80425fb"
	for _, set := range []string{"CapBnd", "CapEff", "CapPrm"} {
		if got := f.Status[set]; got != defaultCapabilities {
			t.Errorf("%s=%s, want %s", set, got, defaultCapabilities)
		}
	}
	if f.Status["Seccomp"] != "2" {
		t.Errorf("Seccomp=%s, want a filter", f.Status["Seccomp"])
	}
	if len(strings.Split(f.Cgroup, "\n")) != 1 {
		t.Errorf("more than one control group: %q", f.Cgroup)
	}
}

// TestWhatTheUserAsksFor shows the per-app options, names among them that only
// the image can resolve.
func TestWhatTheUserAsksFor(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p, r := h.run("--set-env=EVERYBODY=yes", probeID(t), "--cpu=1", "--name=other",
		"--user=alice", "--group=staff", "--working-dir=/etc", "--environment=PRICE=$5 for %h", "--", "facts")
	p.expect(0)
	f := factsOf(t, r.Stdout, "other")
	if f.UID != 1234 || f.GID != 1300 {
		t.Errorf("uid %d, gid %d, want 1234, 1300", f.UID, f.GID)
	}
	if f.Status["CapEff"] != "0000000000000000" {
		t.Errorf("a user that is not root has CapEff=%s", f.Status["CapEff"])
	}
	if f.Dir != "/etc" {
		t.Errorf("working directory %q", f.Dir)
	}
	for _, want := range []string{"EVERYBODY=yes", "PRICE=$5 for %h", "AC_APP_NAME=other"} {
		if !slices.Contains(f.Env, want) {
			t.Errorf("no %q in %q", want, f.Env)
		}
	}
}

// TestWhatTheImageAsksFor shows that the manifest's app section is obeyed.
func TestWhatTheImageAsksFor(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	image := probeImage(t, "example.com/people", fields{
		"exec": []string{"/probe", "facts"}, "user": "alice", "group": "1300",
		"supplementaryGIDs": []int{7, 8}, "workingDirectory": "/home/alice",
		"environment": []fields{{"name": "HOME", "value": "/home/alice"}},
		"isolators": []fields{
			{"name": "os/linux/no-new-privileges", "value": true},
			{"name": "resource/cpu", "value": fields{"limit": "1"}},
			{"name": "resource/memory", "value": fields{"limit": "48Mi"}},
		},
	}, imagetest.Dir("rootfs/home"), imagetest.Dir("rootfs/home/alice"))
	p, r := h.run("--insecure-options=image", h.write("people.aci", image))
	p.expect(0)
	f := factsOf(t, r.Stdout, "people")
	if f.UID != 1234 || f.GID != 1300 || !slices.Contains(f.Groups, 7) || !slices.Contains(f.Groups, 8) {
		t.Errorf("uid %d, gid %d, groups %v", f.UID, f.GID, f.Groups)
	}
	if f.Dir != "/home/alice" || f.Home != "/home/alice" {
		t.Errorf("working directory %q, HOME=%q", f.Dir, f.Home)
	}
	if f.Status["NoNewPrivs"] != "1" {
		t.Errorf("NoNewPrivs=%s", f.Status["NoNewPrivs"])
	}
	if f.CPUs != 1 {
		t.Errorf("%d CPUs", f.CPUs)
	}
	expectMemory(t, f.MemTotal, 48+128)
}

// TestLimits shows the size of the machine for one app with limits, one
// without, and both together.
func TestLimits(t *testing.T) {
	t.Parallel()
	all := runtime.NumCPU()
	limited := []string{"--name=limited", "--cpu=500m", "--memory=64Mi", "--", "facts", "---"}
	unlimited := []string{"--name=unlimited", "--", "facts", "---"}
	tests := []struct {
		name string
		apps [][]string
		cpus int
		mib  int64
	}{
		{"one app with limits", [][]string{limited}, 1, 64 + 128},
		{"one app without", [][]string{unlimited}, all, 128 + 128},
		{"both together", [][]string{limited, unlimited}, all, 64 + 128 + 128},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			var args []string
			for _, app := range test.apps {
				args = append(append(args, probeID(t)), app...)
			}
			p, r := h.run(args...)
			p.expect(0)
			for _, app := range test.apps {
				name := strings.TrimPrefix(app[0], "--name=")
				f := factsOf(t, r.Stdout, name)
				if f.CPUs != test.cpus {
					t.Errorf("app %s has %d CPUs, want %d", name, f.CPUs, test.cpus)
				}
				expectMemory(t, f.MemTotal, test.mib)
			}
		})
	}
}

// expectMemory allows the kernel to keep 64 MiB of the machine's memory for
// itself.
func expectMemory(t *testing.T, total, mib int64) {
	t.Helper()
	const mebibyte = 1 << 20
	if total > mib*mebibyte || total < (mib-64)*mebibyte {
		t.Errorf("MemTotal is %d MiB, want at most 64 MiB below %d", total/mebibyte, mib)
	}
}

// TestDevices shows that an app's root, who may make device nodes, can open
// neither a disk nor the agent's port by them.
func TestDevices(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	p, r := h.run(id, "--name=thief", "--cpu=1", "--", "devices", "---",
		id, "--name=neighbour", "--cpu=1", "--", "facts")
	p.expect(0)
	attempts := make(map[string]report.Attempt)
	for _, text := range texts(t, r.Stdout, "thief") {
		var a report.Attempt
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		attempts[a.Name] = a
		if a.Opened() && a.Name != "null" {
			t.Errorf("opened device %q (%d:%d)", a.Name, a.Major, a.Minor)
		}
	}
	if null := attempts["null"]; !null.Opened() {
		t.Errorf("/dev/null could not be opened this way, so the others prove nothing: %+v", null)
	}
	for _, name := range []string{"virtblk 0", "sd 0", "sd 16", "sd 32", "virtio-portsdev 1", "virtio-portsdev 2"} {
		a, tried := attempts[name]
		if !tried || !strings.Contains(a.Mknod+a.Open, "not permitted") {
			t.Errorf("device %q: tried %t, %+v", name, tried, a)
		}
	}
	for _, path := range factsOf(t, r.Stdout, "neighbour").Dev {
		if !slices.Contains(harmless(), path) && !strings.HasPrefix(path, "/dev/pts/") {
			t.Errorf("an app sees %s", path)
		}
	}
}

// harmless lists the devices that an app may have.
func harmless() []string {
	return []string{
		"/dev/console", "/dev/full", "/dev/null", "/dev/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero",
	}
}
