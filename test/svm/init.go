package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// newRoot is where the machine's root is put together.
const newRoot = "/new"

// beInit is the machine's first program. It never returns.
func beInit() {
	t, err := begin()
	if err == nil && t.Systemd != "" {
		err = becomeSystemd(t)
	}
	if err == nil {
		err = prepareKernel()
	}
	end(t, err)
}

// end runs the command, unless there was an error, and ends the machine.
func end(t task, err error) {
	var r result
	if err == nil {
		err = answer()
	}
	if err == nil {
		err = prepare()
	}
	if err == nil {
		r, err = execute(t)
	}
	if err != nil {
		r.Error = err.Error()
		fmt.Println("svm:", err) // on the console
	}
	if text, err := json.Marshal(r); err == nil {
		if err := tell(text); err != nil {
			fmt.Println("svm:", err)
		}
	}
	unix.Sync()
	fmt.Println("svm:", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// begin reads what is to be done and gives the machine its root.
func begin() (task, error) {
	t, err := readTask("/" + taskFile)
	if err != nil {
		return t, err
	}
	for _, module := range t.Modules {
		if err := load("/" + module); err != nil {
			return t, fmt.Errorf("load %s: %w", module, err)
		}
	}
	self, err := os.ReadFile("/init")
	if err != nil {
		return t, err
	}
	if err := makeRoot(); err != nil {
		return t, err
	}
	run := mount{"run", "/run", "tmpfs", "mode=755"}
	return t, errors.Join(run.do(), os.WriteFile("/run/"+serviceProgram, self, 0o755))
}

func readTask(path string) (t task, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

// load loads a module that is not compressed.
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// mount is one mount(2), on a directory that is made if need be.
type mount struct{ source, target, fs, options string }

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fs, 0, m.options); err != nil {
		return fmt.Errorf("mount %s: %w", m.target, err)
	}
	return nil
}

// makeRoot puts memory over the host's files and makes that the root.
func makeRoot() error {
	for _, m := range []mount{
		{"host", "/host", "9p", "trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro"},
		{"writes", "/writes", "tmpfs", "size=90%"},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Mkdir("/writes/upper", 0o755), os.Mkdir("/writes/work", 0o755)); err != nil {
		return err
	}
	root := mount{"root", newRoot, "overlay", "lowerdir=/host,upperdir=/writes/upper,workdir=/writes/work"}
	if err := root.do(); err != nil {
		return err
	}
	// Not chroot alone: pods change their roots as well.
	return errors.Join(unix.Chdir(newRoot), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), unix.Chdir("/"))
}

// prepareKernel shows what the kernel has to show, as systemd would.
func prepareKernel() error {
	for _, m := range []mount{
		{"proc", "/proc", "proc", ""},
		{"sys", "/sys", "sysfs", ""},
		{"dev", "/dev", "devtmpfs", ""},
		{"devpts", "/dev/pts", "devpts", "ptmxmode=666,mode=620,gid=5"},
		{"shm", "/dev/shm", "tmpfs", "mode=1777"},
		{"cgroup", "/sys/fs/cgroup", "cgroup2", ""},
	} {
		if err := m.do(); err != nil {
			return err
		}
	}
	// Everything but the output is a convenience of the host's for its users.
	for link, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, "/dev/"+link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// prepare makes what every Linux has when its users come.
func prepare() error {
	tmp := mount{"tmp", "/tmp", "tmpfs", "mode=1777,size=90%"}
	if err := errors.Join(tmp.do(), unix.Sethostname([]byte("svm"))); err != nil {
		return err
	}
	out, err := exec.Command("/sbin/modprobe", "--all", "kvm-amd", "tun", "vhost_net", "vhost_vsock", "loop", "ext4").CombinedOutput()
	if err != nil {
		return fmt.Errorf("modprobe: %w: %s", err, out)
	}
	if out, err := exec.Command("/sbin/ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// execute runs the command with its output to the port.
func execute(t task) (result, error) {
	output, err := openPort(outputPort)
	if err != nil {
		return result{}, err
	}
	const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if err := os.Setenv("PATH", path); err != nil { // the command is looked for in it
		return result{}, err
	}
	cmd := exec.Command(t.Command[0], t.Command[1:]...)
	cmd.Dir = t.Directory
	cmd.Env = append([]string{"PATH=" + path, "HOME=/root", "LANG=C.UTF-8", "TERM=linux"}, t.Environment...)
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{}, err
	}
	if ws, ok := cmd.ProcessState.Sys().(interface{ Signaled() bool }); ok && ws.Signaled() {
		return result{}, fmt.Errorf("%s: %s", t.Command[0], cmd.ProcessState)
	}
	return result{Status: cmd.ProcessState.ExitCode()}, nil
}

// answer sends every byte of the host's pulse back, until the machine's end.
func answer() error {
	port, err := openPort(pulsePort)
	if err != nil {
		return err
	}
	go func() {
		one := make([]byte, 1)
		for {
			_, err := port.Read(one)
			if err == nil {
				_, err = port.Write(one)
			}
			if err != nil {
				fmt.Println("svm: pulse:", err)
				return
			}
		}
	}()
	return nil
}

// tell reports to the host.
func tell(text []byte) error {
	port, err := openPort(resultPort)
	if err != nil {
		return err
	}
	_, err = port.Write(text)
	return errors.Join(err, port.Close())
}

// portTimeout bounds how long a port may take to appear.
const portTimeout = 30 * time.Second

// openPort opens the named port as soon as it is there.
func openPort(name string) (*os.File, error) {
	events, err := linux.NewUevents()
	if err != nil {
		return nil, err
	}
	defer events.Close()
	ctx, cancel := context.WithTimeout(context.Background(), portTimeout)
	defer cancel()
	for {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			b, err := os.ReadFile(file)
			if err == nil && string(bytes.TrimSpace(b)) == name {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
			}
		}
		if err := events.Wait(ctx); err != nil {
			return nil, fmt.Errorf("port %s: %w", name, err)
		}
	}
}
