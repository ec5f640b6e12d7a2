// Command app is what the tests run inside the machine. It does one thing, by
// its first argument.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	does := map[string]func(args []string){
		"exit":     exit,
		"kill":     kill,
		"say":      say,
		"env":      env,
		"cat":      cat,
		"echo":     echo,
		"status":   status,
		"list":     list,
		"probe":    probe,
		"calls":    calls,
		"terminal": terminal,
		"spam":     spam,
		"wait":     wait,
		"stubborn": stubborn,
		"orphan":   orphan,
		"memory":   memory,
		"write":    write,
		"net":      network,
		"groups":   groups,

		"agent":         agent,
		"kill-agent":    killAgent,
		"unknown-calls": unknownCalls,
	}
	does[os.Args[1]](os.Args[2:])
}

func exit(args []string) {
	n, _ := strconv.Atoi(args[0])
	os.Exit(n)
}

func kill(args []string) {
	n, _ := strconv.Atoi(args[0])
	_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
	select {}
}

// say prints its arguments, one a line, and something to stderr.
func say(args []string) {
	for _, a := range args {
		fmt.Println(a)
	}
	fmt.Fprintln(os.Stderr, "said", len(args))
}

func env([]string) {
	for _, v := range os.Environ() {
		fmt.Println(v)
	}
}

func cat([]string) {
	n, err := io.Copy(os.Stdout, os.Stdin)
	fmt.Fprintln(os.Stderr, n, err)
}

// echo says something, then does as cat.
func echo([]string) {
	fmt.Println("hello")
	_, _ = io.Copy(os.Stdout, os.Stdin)
}

// status prints what the kernel and the file system say of this process.
func status([]string) {
	wd, _ := os.Getwd()
	groups, _ := os.Getgroups()
	hostname, _ := os.Hostname()
	fmt.Println("cwd", wd)
	fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "groups", groups)
	fmt.Println("hostname", hostname)
	f, err := os.Open("/proc/self/status")
	if err != nil {
		fmt.Println(err)
		return
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, want := range []string{"CapBnd", "CapEff", "NoNewPrivs", "Seccomp:", "PPid", "SigIgn"} {
			if strings.HasPrefix(lines.Text(), want) {
				fmt.Println(strings.Join(strings.Fields(lines.Text()), " "))
			}
		}
	}
	for _, name := range []string{"/proc/1/comm", "/proc/self/cgroup", "/etc/hosts", "/etc/hostname"} {
		b, err := os.ReadFile(name)
		fmt.Println(name, strings.TrimSpace(string(b)), err)
	}
}

// list prints the names in directories, and the modes of paths.
func list(args []string) {
	for _, dir := range args {
		entries, err := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		sort.Strings(names)
		fmt.Println(dir, names, reason(err))
		st, err := os.Stat(dir)
		if err == nil {
			fmt.Println(dir, st.Mode())
		}
	}
}

func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if errno == 0 {
			return "<nil>"
		}
		return errno.Error()
	}
	return fmt.Sprint(err)
}

// probe makes a node of every device that the machine has, in several places,
// and opens it.
func probe([]string) {
	_ = filepath.WalkDir("/sys/devices", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "dev" || d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			fmt.Println("unreadable", path)
			return nil
		}
		var major, minor int
		fmt.Sscanf(string(b), "%d:%d", &major, &minor)
		kind := uint32(syscall.S_IFCHR)
		if strings.Contains(path, "/block/") {
			kind = syscall.S_IFBLK
		}
		for _, dir := range []string{"/dev", "/tmp", "/run"} {
			tryDevice(filepath.Join(dir, "probe"), filepath.Base(filepath.Dir(path)), kind, major<<8|minor)
		}
		return nil
	})
	for _, name := range []string{"/dev/null", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/ptmx"} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		fmt.Println("open", name, reason(err))
		f.Close()
	}
}

func tryDevice(node, name string, kind uint32, dev int) {
	defer os.Remove(node)
	if err := syscall.Mknod(node, kind|0o600, dev); err != nil {
		fmt.Println("mknod", node, name, reason(err))
		return
	}
	fd, err := syscall.Open(node, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	fmt.Println("device", node, name, reason(err))
	if err == nil {
		syscall.Close(fd)
	}
}

// calls makes system calls that a confined app must not get through.
func calls([]string) {
	try := func(name string, number uintptr, args ...uintptr) {
		var a [4]uintptr
		copy(a[:], args)
		_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], 0, 0)
		fmt.Println(name, reason(errno))
	}
	const keyctl, unshare, mountCall, bpf, reboot, clockSettime, ioUringSetup = 250, 272, 165, 321, 169, 227, 425
	try("keyctl", keyctl, 0, 0)
	try("unshare-user", unshare, syscall.CLONE_NEWUSER)
	try("mount", mountCall)
	try("bpf", bpf)
	try("reboot", reboot)
	try("clock_settime", clockSettime)
	try("io_uring_setup", ioUringSetup)
	fmt.Println("chroot", reason(syscall.Chroot("/")))
	for _, name := range []string{"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper", "/new", "/dev/new", "/tmp/new", "/etc/hostname"} {
		err := os.WriteFile(name, []byte("x"), 0o600)
		fmt.Println("write", name, reason(err))
	}
	_, err := os.Readlink("/proc/1/root")
	fmt.Println("init's root", reason(err))
}

type winsize struct{ rows, columns, x, y uint16 }

// terminal prints the terminal's size, then every change of it, and ends when
// its input does.
func terminal([]string) {
	changes := make(chan os.Signal, 8)
	signal.Notify(changes, syscall.SIGWINCH)
	size := func() {
		var w winsize
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&w)))
		fmt.Println("size", w.rows, w.columns, reason(errno))
	}
	size()
	name, err := os.Readlink("/proc/self/fd/0")
	fmt.Println("name", name, err)
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	fmt.Println("controlling", reason(err))
	tty.Close()
	go func() {
		for range changes {
			size()
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("line", lines.Text())
	}
	fmt.Println("end of input")
}

// spam writes that many MiB to stdout and as many to stderr.
func spam(args []string) {
	n, _ := strconv.Atoi(args[0])
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = "0123456789abcdef\n"[i%17]
	}
	done := make(chan bool)
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		go func() {
			for range n {
				if _, err := f.Write(b); err != nil {
					break
				}
			}
			done <- true
		}()
	}
	<-done
	<-done
}

// wait ends with 3 when asked to.
func wait([]string) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGUSR1)
	fmt.Println("ready")
	s := <-asked
	fmt.Println(s)
	os.Exit(3)
}

// stubborn does not end when asked to.
func stubborn([]string) {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// orphan leaves a process behind that keeps its output open.
func orphan(args []string) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout = os.Stdout
	r, w, _ := os.Pipe()
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = bufio.NewReader(r).ReadString('\n') // it is ready
	fmt.Println("left", cmd.Process.Pid > 0)
	os.Exit(5)
}

// memory takes that many MiB and keeps them.
func memory(args []string) {
	n, _ := strconv.Atoi(args[0])
	var kept [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println("have", len(kept))
	time.Sleep(time.Hour)
}

// write writes to its root, and reads it back.
func write(args []string) {
	err := os.WriteFile(args[0], []byte("written\n"), 0o644)
	b, readErr := os.ReadFile(args[0])
	fmt.Println(reason(err), string(b), reason(readErr))
	out, err := os.OpenFile("/dev/stdout", os.O_WRONLY, 0)
	fmt.Println("reopen", reason(err))
	fmt.Fprintln(out, "through /dev/stdout")
}

func network([]string) {
	b, _ := os.ReadFile("/sys/class/net/lo/operstate")
	f, _ := os.ReadFile("/sys/class/net/lo/flags")
	fmt.Println("lo", strings.TrimSpace(string(b)), strings.TrimSpace(string(f)))
}

// agentProcesses returns the processes that the machine can't do without.
func agentProcesses() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		b, _ := os.ReadFile(name)
		if string(b) == "agent\n" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// agent prints the agent's parent, its nice values, what keeps it from being killed and
// its control group.
func agent([]string) {
	for _, pid := range agentProcesses() {
		dir := fmt.Sprintf("/proc/%d/", pid)
		nices := map[string]bool{}
		threads, _ := filepath.Glob(dir + "task/*/stat")
		for _, thread := range threads {
			nices[stat(thread)[16]] = true
		}
		parent, _ := os.ReadFile("/proc/" + stat(dir + "stat")[1] + "/comm")
		score, _ := os.ReadFile(dir + "oom_score_adj")
		cgroup, _ := os.ReadFile(dir + "cgroup")
		fmt.Println("parent", strings.TrimSpace(string(parent)), "nice", nices,
			"oom", strings.TrimSpace(string(score)), "in", strings.TrimSpace(string(cgroup)))
	}
}

// stat returns what proc_pid_stat(5) tells of a process after its name.
func stat(name string) []string {
	b, _ := os.ReadFile(name)
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// killAgent kills the process that the machine can't do without.
func killAgent([]string) {
	for _, pid := range agentProcesses() {
		fmt.Println(pid, reason(syscall.Kill(pid, syscall.SIGKILL)))
	}
	time.Sleep(time.Hour)
}

// unknownCalls prints the numbers of the system calls that came after the last
// one of Linux 6.1. One that isn't there says so whatever it is given.
func unknownCalls([]string) {
	const lastKnown = 450 // set_mempolicy_home_node
	none := true
	for n := uintptr(lastKnown + 1); n < 1024; n++ {
		bad := ^uintptr(0)
		_, _, errno := syscall.RawSyscall6(n, bad, bad, bad, bad, bad, bad)
		if errno != syscall.ENOSYS {
			fmt.Println(n, reason(errno))
			none = false
		}
	}
	if none {
		fmt.Println("none")
	}
}

// groups waits until its input ends, and prints files of its control group and of
// those around it, below the root of all.
func groups(files []string) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	const root = "/tmp"
	if err := syscall.Mount("none", root, "cgroup2", 0, ""); err != nil {
		fmt.Println("mount:", err)
		return
	}
	own, _ := os.ReadFile("/proc/self/cgroup")
	_, group, _ := strings.Cut(strings.TrimSpace(string(own)), "::")
	for ; group != "/"; group = filepath.Dir(group) {
		for _, file := range files {
			b, err := os.ReadFile(filepath.Join(root, group, file))
			fmt.Println(group, strings.TrimSpace(string(b)), err)
		}
	}
	b, err := os.ReadFile("/proc/pressure/cpu")
	kind, _, _ := strings.Cut(string(b), " ")
	fmt.Println("machine", kind, err)
}
