package kvm

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

const (
	mebibyte = 1 << 20
	// tcgCacheMiB bounds QEMU's cache of translated code. A pod that says its first
	// word has used 70 MiB: a smaller cache is emptied just then, and all that was
	// translated is translated again.
	tcgCacheMiB = 128
	// overheadBytes is what the supervisor and QEMU need besides the guest's
	// memory, with room to spare; docs/performance.md has the measurements.
	overheadBytes = 192 * mebibyte
)

// Launcher starts QEMU from one stage1 image.
type Launcher struct {
	image *Image
	kvm   bool
	tsc   linux.TSCMeter
}

// NewLauncher looks at the host once.
func NewLauncher(image *Image) *Launcher {
	return &Launcher{image: image, kvm: Usable(), tsc: linux.NewTSCMeter()}
}

// Isolation tells honestly what the host can do.
func (l *Launcher) Isolation() string { return string(isolation(l.kvm)) }

// Isolation tells what a machine would have on this host.
func Isolation() stage1.Isolation { return isolation(Usable()) }

func isolation(kvm bool) stage1.Isolation {
	if kvm {
		return stage1.IsolationKVM
	}
	return stage1.IsolationEmulated
}

// Notice warns of emulation, which QEMU's developers say is not a security
// boundary.
func (l *Launcher) Notice() string {
	if l.kvm {
		return ""
	}
	return "no hardware virtualization here, so the pod's machine is emulated: slow, and not an isolation boundary"
}

// Memory returns the limit for the pod's control group.
func (l *Launcher) Memory(guestBytes int64) int64 {
	if l.kvm {
		return guestBytes + overheadBytes
	}
	return guestBytes + overheadBytes + tcgCacheMiB*mebibyte
}

// Launch starts QEMU in a jail of its own.
func (l *Launcher) Launch(_ context.Context, spec supervisor.Spec) (supervisor.Machine, error) {
	warden, err := linux.NewWarden(l.jail(spec.ID))
	if err != nil {
		return nil, err
	}
	q := &qemu{image: l.image, kvm: l.kvm, diskBytes: spec.DiskBytes, done: make(chan struct{}), words: &words.Tail{}}
	files, err := q.open(spec)
	defer linux.CloseFiles(files)
	if err != nil {
		return nil, err
	}
	m := machine{
		parts: l.image.parts,
		spec:  spec,
		kvm:   l.kvm,
		vhost: q.vhost,
		debug: spec.Console != nil,
		extra: ExtraParameters(),
	}
	if !l.kvm {
		m.tscKHz = l.tsc.Kilohertz()
	}
	args := m.arguments()
	q.process, err = warden.Start(args, nil, files)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go q.wait()
	return q, nil
}

func (l *Launcher) jail(id int) linux.Jail {
	jail := linux.Jail{Root: filepath.Join(l.image.root, machineDir), ID: id}
	if l.kvm {
		jail.Devices = []linux.Device{{Name: "kvm", Major: 10, Minor: 232}}
	}
	return jail
}

// open makes every descriptor that QEMU is started with, in their order, and
// keeps the other ends.
func (q *qemu) open(spec supervisor.Spec) (files []*os.File, err error) {
	keep := func(f *os.File, openErr error) *os.File {
		files = append(files, f)
		if err == nil {
			err = openErr
		}
		return f
	}
	keep(os.OpenFile(os.DevNull, os.O_RDWR, 0))
	messages, w, pipeErr := os.Pipe()
	keep(w, pipeErr)
	keep(linux.DuplicateFile(w))
	var console *net.UnixConn
	for _, end := range []**net.UnixConn{&q.control, &q.data, &q.qmpConn, &console} {
		ours, theirs, pairErr := socketpair()
		*end = ours
		keep(theirs, pairErr)
	}
	keep(os.Open(filepath.Join(q.image.root, guestImage)))
	keep(linux.DuplicateFile(spec.Lock))
	if spec.Network != nil && err == nil {
		taps, tapErr := spec.Network.Taps()
		files, err = append(files, taps...), tapErr
		files = append(files, q.openVhost(len(taps))...)
	}
	if err != nil {
		return files, fmt.Errorf("open the machine's files: %w", err)
	}
	q.listen(messages, spec.Console)
	q.listen(console, spec.Console)
	return files, nil
}

// devVhostNet is the host's interface to carrying packets between a tap and a
// machine's memory in the kernel.
const devVhostNet = "/dev/vhost-net"

// openVhost opens that once for each of n taps. There may be none: QEMU can do
// that work, too, and does so where it emulates the processor.
func (q *qemu) openVhost(n int) []*os.File {
	if !q.kvm {
		return nil
	}
	var files []*os.File
	for range n {
		f, err := os.OpenFile(devVhostNet, os.O_RDWR, 0)
		if err != nil {
			linux.CloseFiles(files)
			return nil
		}
		files = append(files, f)
	}
	q.vhost = n > 0
	return files
}

// listen keeps the end of what r says for LastWords, and copies all of it to
// also unless that is nil.
func (q *qemu) listen(r io.ReadCloser, also io.Writer) {
	to := io.Writer(q.words)
	if also != nil {
		to = io.MultiWriter(q.words, also)
	}
	q.readers.Add(1)
	go func() {
		defer q.readers.Done()
		defer r.Close()
		_, _ = io.Copy(to, r)
	}()
}

func socketpair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "qemu's")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, theirs, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, theirs, fmt.Errorf("a unix socket became a %T", conn)
	}
	return unixConn, theirs, nil
}
