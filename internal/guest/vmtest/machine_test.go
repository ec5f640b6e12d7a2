package vmtest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
	"golang.org/x/sys/unix"

	"rkt/internal/guest/client"
)

// imageEnv names the extracted stage1 image that the tests boot.
const imageEnv = "RKT_TEST_IMAGE"

// testTimeout bounds each test: emulated machines on busy hosts are slow.
const testTimeout = 3 * time.Minute

// stage1Image is what the tests use of a stage1 image.
type stage1Image struct {
	dir    string
	QEMU   string
	Data   string
	Kernel string
}

// needImage returns the image to boot. Not to be asked is a reason to skip;
// to be asked and unable is a failure.
func needImage(t testing.TB) stage1Image {
	t.Helper()
	dir := os.Getenv(imageEnv)
	if dir == "" {
		t.Skipf("needs a stage1 image in %s", imageEnv)
	}
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	image := stage1Image{dir: dir}
	b, err := os.ReadFile(filepath.Join(dir, "machine.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &image); err != nil {
		t.Fatal(err)
	}
	return image
}

// machine is a running machine with the disks of two apps, LUNs 0 and 1, and a
// scratch disk, LUN 2.
type machine struct {
	*client.Machine
	console *bytes.Buffer // valid once ended is closed
	ended   chan struct{}
	process *os.Process
	scratch string
	app     string // the apps' disk
	qmp     net.Conn
	booted  time.Time
}

const (
	firstLUN   = 0
	secondLUN  = 1
	scratchLUN = 2
)

// boot starts a machine and greets its agent.
func boot(t testing.TB) *machine {
	t.Helper()
	m := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if _, err := m.Hello(ctx); err != nil {
		t.Fatalf("hello: %v", err)
	}
	err := m.Configure(ctx, client.Config{
		Hostname:  "pod-1",
		MachineID: strings.Repeat("0123abcd", 4),
		Scratch:   &client.Disk{LUN: scratchLUN, Filesystem: "ext4"},
		Debug:     true,
	})
	if err != nil {
		t.Fatalf("configure: %v", err)
	}
	return m
}

// start starts a machine.
func start(t testing.TB) *machine {
	t.Helper()
	image := needImage(t)
	control, controlEnd := socketPair(t)
	data, dataEnd := socketPair(t)
	qmp, qmpEnd := socketPair(t)
	m := &machine{
		console: &bytes.Buffer{}, ended: make(chan struct{}), qmp: qmp,
		scratch: copyScratch(t, image), app: appDisk(t),
	}
	files := []*os.File{
		controlEnd, dataEnd, qmpEnd,
		open(t, filepath.Join(image.dir, "guest.img"), os.O_RDONLY),
		open(t, m.app, os.O_RDONLY), open(t, m.app, os.O_RDONLY),
		open(t, m.scratch, os.O_RDWR),
	}
	m.booted = time.Now()
	m.run(t, image, files)
	m.Machine = client.New(control, data, client.Options{})
	t.Cleanup(func() {
		m.Close()
		qmp.Close()
		_ = m.process.Kill()
		<-m.ended
		if t.Failed() {
			t.Logf("console:\n%s", m.console)
		}
	})
	return m
}

// run starts QEMU in a root of its own, and keeps the thread that started it
// until it ends: with the thread, QEMU would be killed.
func (m *machine) run(t testing.TB, image stage1Image, files []*os.File) {
	t.Helper()
	cmd := &exec.Cmd{
		Path:        image.QEMU,
		Args:        arguments(image),
		Dir:         "/",
		Env:         []string{},
		Stdout:      m.console,
		Stderr:      m.console,
		ExtraFiles:  files,
		SysProcAttr: &syscall.SysProcAttr{Chroot: filepath.Join(image.dir, "machine"), Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(m.ended)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	m.process = cmd.Process
	for _, f := range files {
		f.Close()
	}
}

func arguments(image stage1Image) []string {
	kernel := []string{
		"root=/dev/vda", "rootfstype=erofs", "ro", "init=/usr/lib/rkt/init", "console=ttyS0", "quiet", "loglevel=4",
		"reboot=t", "panic=-1", "tsc=reliable", "no_timer_check", "nolapic_timer", "mitigations=off", "noreplace-smp",
		"cryptomgr.notests", "rcupdate.rcu_expedited=1", "scsi_mod.scan=manual", "systemd.show_status=false",
		os.Getenv("RKT_TEST_KERNEL_PARAMETERS"),
	}
	args := []string{
		image.QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-L", image.Data,
		"-M", "microvm,acpi=off,rtc=on,pic=on,pit=on,isa-serial=on,x-option-roms=off",
		"-global", "virtio-mmio.force-legacy=false", "-accel", "tcg", "-cpu", "max", "-m", "256M",
		"-kernel", image.Kernel, "-append", strings.Join(kernel, " "), "-serial", "stdio",
		"-device", "virtio-scsi-device,id=scsi0", "-device", "virtio-serial-device",
		"-chardev", "socket,id=control,fd=3", "-device", "virtserialport,chardev=control,name=rkt.control",
		"-chardev", "socket,id=data,fd=4", "-device", "virtserialport,chardev=data,name=rkt.data",
		"-chardev", "socket,id=qmp,fd=5", "-mon", "chardev=qmp,mode=control",
		"-object", "rng-builtin,id=rng", "-device", "virtio-rng-device,rng=rng",
	}
	for i, d := range []struct{ device, readOnly string }{
		{"virtio-blk-device", "on"},
		{"scsi-hd,lun=0", "on"},
		{"scsi-hd,lun=1", "on"},
		{"scsi-hd,lun=2", "off"},
	} {
		args = append(args,
			"-add-fd", fmt.Sprintf("fd=%d,set=%d", 6+i, i),
			"-blockdev", fmt.Sprintf("driver=raw,node-name=disk%d,read-only=%s,discard=unmap,"+
				"file.driver=file,file.locking=off,file.discard=unmap,file.filename=/dev/fdset/%d", i, d.readOnly, i),
			"-device", fmt.Sprintf("%s,drive=disk%d", d.device, i))
	}
	return args
}

func open(t testing.TB, name string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func socketPair(t testing.TB) (net.Conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near := os.NewFile(uintptr(fds[0]), "near")
	defer near.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		t.Fatal(err)
	}
	return conn, os.NewFile(uintptr(fds[1]), "far")
}

// copyScratch returns a copy of the image's empty scratch disk in full size.
func copyScratch(t testing.TB, image stage1Image) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(image.dir, "scratch.size"))
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "scratch")
	out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", filepath.Join(image.dir, "scratch.img"), name).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return name
}

// appDisk returns an image with the test program and what it needs, rendered
// once for all tests.
func appDisk(t testing.TB) string {
	t.Helper()
	name, err := renderedApp()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var renderedApp = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rkt-vmtest-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build test program: %w: %s", err, out)
	}
	b, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	disk := filepath.Join(dir, "disk")
	out, err := os.Create(disk) //nolint:forbidigo // a new directory of our own
	if err != nil {
		return "", err
	}
	defer out.Close()
	return disk, tar2ext4.ConvertTarToExt4(bytes.NewReader(appTar(b)), out)
})

// TestMain removes what tests share.
func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(imageEnv) != "" {
		if disk, err := renderedApp(); err == nil {
			_ = os.RemoveAll(filepath.Dir(disk))
		}
	}
	os.Exit(code)
}

// appTar is the image's tree.
func appTar(program []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			panic(err)
		}
	}
	for _, dir := range []string{"bin", "etc", "data", "secret", "root", "usr", "var"} {
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, "")
	}
	add(tar.Header{Name: "bin/app", Mode: 0o755}, string(program))
	add(tar.Header{Name: "bin/plain", Mode: 0o644}, "not a program\n")
	add(tar.Header{Name: "bin/script", Mode: 0o755}, "#!/bin/nosuchshell\n")
	add(tar.Header{Name: "bin/garbage", Mode: 0o755}, "\x00\x01\x02\x03garbage")
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0::/:/\nweb:x:33:34::/:/\n")
	add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\nwww:x:35:\n")
	add(tar.Header{Name: "data/owned", Mode: 0o644, Uid: 1001, Gid: 1002}, "")
	// A link out of the root must not become a way for a mount to leave it.
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "sys", Linkname: "../../../../../../secret", Mode: 0o777}, "")
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
