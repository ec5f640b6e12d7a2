package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHypervisorsPrivileges shows that the machines of two pods have uids of
// their own and nothing that would help who breaks out of one.
func TestHypervisorsPrivileges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := probeID(t)
	pods := []*pod{h.start(id, "--cpu=1", "--", "sleep"), h.start(id, "--cpu=1", "--", "sleep")}
	var uids []string
	for _, p := range pods {
		p.ready()
		uids = append(uids, expectConfined(t, p.hypervisor()))
		noted, err := os.ReadFile(filepath.Join(p.dir(), "uid"))
		if err != nil || strings.TrimSpace(string(noted)) != uids[len(uids)-1] {
			t.Errorf("uid %s, noted is %q, %v", uids[len(uids)-1], noted, err)
		}
	}
	if uids[0] == uids[1] {
		t.Errorf("two pods have the same uid %s", uids[0])
	}
	for _, p := range pods {
		p.finish()
	}
}

// expectConfined checks the credentials of every thread of a process and
// returns its uid.
func expectConfined(t *testing.T, pid int) string {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads of process %d: %v, %v", pid, tasks, err)
	}
	uid := ""
	for _, task := range tasks {
		s, err := processStatus(task)
		if err != nil {
			continue // that thread has ended
		}
		uid = strings.Fields(s["Uid"])[0]
		if uid == "0" {
			t.Errorf("%s: runs as root", task)
		}
		four := strings.Join([]string{uid, uid, uid, uid}, "\t") // real, effective, saved, file system
		want := map[string]string{"Uid": four, "Gid": four, "Groups": "", "NoNewPrivs": "1", "Seccomp": "2"}
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			want[set] = "0000000000000000"
		}
		for name, value := range want {
			if s[name] != value {
				t.Errorf("%s: %s is %q, want %q", task, name, s[name], value)
			}
		}
	}
	return uid
}

// TestHypervisorsWorld shows what a machine's process can see of the host.
func TestHypervisorsWorld(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	// Descriptors that rkt's caller forgot to close are not the machine's. They
	// are so many that its own do not take all their numbers.
	secret, err := os.Open(h.write("secret", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	p := h.newPod(probeID(t), "--cpu=1", "--", "sleep")
	p.cmd.ExtraFiles = slices.Repeat([]*os.File{secret}, 100)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.launch()
	p.ready()
	pid := p.hypervisor()
	expectOwnNamespaces(t, pid)
	expectOwnRoot(t, p, pid)
	expectOwnNetwork(t, pid)
	expectOwnFiles(t, p, pid)
	want := ""
	if isLKVM(t, pid) {
		want = "HOME=/home\x00"
	}
	if environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || string(environment) != want {
		t.Errorf("it has the environment %q, %v", environment, err)
	}
	p.finish()
}

// isLKVM tells whether a machine's process is lkvm, and not QEMU.
func isLKVM(t *testing.T, pid int) bool {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name)) == "lkvm"
}

func expectOwnNamespaces(t *testing.T, pid int) {
	t.Helper()
	for _, kind := range []string{"mnt", "pid", "ipc", "net", "uts"} {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		ours, ourErr := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || ourErr != nil || theirs == ours {
			t.Errorf("namespace %s: it has %s (%v), the host %s (%v)", kind, theirs, err, ours, ourErr)
		}
	}
	s, err := processStatus(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	if inner := strings.Fields(s["NSpid"]); inner[len(inner)-1] != "1" {
		t.Errorf("it is process %q of its namespace", inner)
	}
}

// expectOwnRoot compares the machine's root with what the stage1 image has for
// it, and looks for anything else that is mounted.
func expectOwnRoot(t *testing.T, p *pod, pid int) {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(p.dir(), "stage1TreeStoreID"))
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(p.h.data(), "cas", "tree", strings.TrimSpace(string(id)), "rootfs", "machine")
	if diff := cmp.Diff(names(t, image), names(t, fmt.Sprintf("/proc/%d/root/", pid))); diff != "" {
		t.Errorf("root directory (-image +process):\n%s", diff)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(b)) {
		fields := strings.Fields(text)
		point, options := fields[4], strings.Split(fields[5], ",")
		switch {
		case point == "/" && slices.Contains(options, "ro") && slices.Contains(options, "nosuid"):
		case point == "/init" && slices.Contains(options, "ro"): // the supervisor's own program
		case point == "/dev" && hardwareVirtualization(t):
		case point == "/home" && isLKVM(t, pid):
		default:
			t.Errorf("a mount: %s", strings.TrimSpace(text))
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func expectOwnNetwork(t *testing.T, pid int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(b)) {
		name, _, found := strings.Cut(text, ":")
		if found && strings.TrimSpace(name) != "lo" {
			t.Errorf("a network interface: %s", text)
		}
	}
	// Sockets with names: the abstract ones of its network namespace.
	b, err = os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "@") {
		t.Errorf("named sockets:\n%s", b)
	}
}

// expectOwnFiles checks every descriptor: of the host's files only those of
// this pod, disks of others only for reading.
func expectOwnFiles(t *testing.T, p *pod, pid int) {
	t.Helper()
	data := p.h.data()
	kinds := []*regexp.Regexp{
		regexp.MustCompile(`^/dev/null$`),
		regexp.MustCompile(`^(pipe|socket):\[\d+\]$`),
		regexp.MustCompile(`^anon_inode:(\[(eventfd|signalfd|eventpoll|timerfd|io_uring)\]|kvm-.*)$`),
		regexp.MustCompile(`^/dev/kvm$`),
		regexp.MustCompile(`^/dev/(root|app\d|scratch|urandom|vhost-vsock)$`), // lkvm's, in its own /dev
		regexp.MustCompile(`^` + regexp.QuoteMeta(p.dir()) + `$`),             // the lock
		regexp.MustCompile(`^` + regexp.QuoteMeta(p.dir()) + `/scratch\.img( \(deleted\))?$`),
		regexp.MustCompile(`^` + regexp.QuoteMeta(data) + `/cas/tree/[^/]+/rootfs/guest\.img$`),
		regexp.MustCompile(`^` + regexp.QuoteMeta(data) + `/cas/disk/.+$`),
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("descriptors: %v, %v", files, err)
	}
	holdsLock := false
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil {
			continue // closed meanwhile
		}
		holdsLock = holdsLock || target == p.dir() && locked(t, pid, filepath.Base(file))
		if !slices.ContainsFunc(kinds, func(k *regexp.Regexp) bool { return k.MatchString(target) }) {
			t.Errorf("descriptor %s leads to %s", filepath.Base(file), target)
		}
		if (strings.HasPrefix(target, data+"/cas/") || target == "/dev/root" || target == "/dev/app0") && writable(t, pid, filepath.Base(file)) {
			t.Errorf("descriptor %s can write to %s", filepath.Base(file), target)
		}
	}
	if !holdsLock {
		t.Error("it does not hold the pod's lock, so the pod could seem to have exited while it lives")
	}
}

// locked tells whether a process's descriptor carries a flock(2). Format:
// proc(5), /proc/PID/fdinfo.
func locked(t *testing.T, pid int, fd string) bool {
	t.Helper()
	info, err := processStatus(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(info["lock"], "FLOCK") && strings.Contains(info["lock"], "WRITE")
}

// writable tells whether a process's descriptor was opened for writing.
func writable(t *testing.T, pid int, fd string) bool {
	t.Helper()
	info, err := processStatus(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	flags, err := strconv.ParseInt(info["flags"], 8, 64)
	if err != nil {
		t.Fatal(err)
	}
	return flags&int64(os.O_WRONLY|os.O_RDWR) != 0
}

// TestSupervisorsPrivileges shows that the supervisor, which reads what guests
// send, keeps nothing but the right to kill once the apps run.
func TestSupervisorsPrivileges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.ready()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.supervisor()))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads: %v, %v", tasks, err)
	}
	const mayKill = "0000000000000020"
	for _, task := range tasks {
		s, err := processStatus(task)
		if err != nil {
			continue // that thread has ended
		}
		for _, set := range []string{"CapPrm", "CapEff"} {
			if s[set] != mayKill && s[set] != "0000000000000000" {
				t.Errorf("%s: %s is %s", task, set, s[set])
			}
		}
	}
	p.finish()
}

// TestControlSocket shows that the way to the supervisor is closed to all but
// root.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start(probeID(t), "--cpu=1", "--", "sleep")
	p.ready()
	info, err := os.Stat(filepath.Join(p.dir(), "control"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	dir, err := os.Stat(p.dir())
	if err != nil {
		t.Fatal(err)
	}
	if dir.Mode().Perm()&0o007 != 0 {
		t.Errorf("the pod's directory has mode %v", dir.Mode())
	}
	p.finish()
}
