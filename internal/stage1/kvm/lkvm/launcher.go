package lkvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/kvm"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

const (
	mebibyte = 1 << 20
	// overheadBytes is what the supervisor and lkvm need besides the guest's
	// memory, with room to spare; docs/performance.md has the measurements.
	overheadBytes = 128 * mebibyte
)

// maxApps is how many apps a pod may have: lkvm takes four disks, of which the
// guest's root is one and what apps write to another.
const maxApps = 2

// Launcher starts lkvm from one stage1 image.
type Launcher struct{ image *kvm.Image }

// NewLauncher returns a launcher for an image. It fails if this host can't run
// virtual machines by itself: lkvm does not emulate processors.
func NewLauncher(image *kvm.Image) (*Launcher, error) {
	if !kvm.Usable() {
		return nil, errors.New("lkvm needs hardware virtualization, which this host has not: " +
			"take the stage1 image with QEMU (coreos.com/rkt/stage1-kvm), which can do without")
	}
	return &Launcher{image}, nil
}

// Isolation is what lkvm gives wherever it starts.
func (l *Launcher) Isolation() string { return string(stage1.IsolationKVM) }

// Notice has nothing to say: whoever chose lkvm knows.
func (l *Launcher) Notice() string { return "" }

// Memory returns the limit for the pod's control group.
func (l *Launcher) Memory(guestBytes int64) int64 { return guestBytes + overheadBytes }

// Launch starts lkvm in a jail of its own.
func (l *Launcher) Launch(ctx context.Context, spec supervisor.Spec) (supervisor.Machine, error) {
	if len(spec.Disks) > maxApps {
		return nil, errhint.With(
			fmt.Errorf("lkvm has room for the disks of %d apps, and this pod has %d", maxApps, len(spec.Disks)),
			"run the pod in the stage1 image with QEMU (coreos.com/rkt/stage1-kvm)")
	}
	m := &machine{words: &words.Tail{}, done: make(chan struct{})}
	if err := m.start(ctx, l.image, spec); err != nil {
		m.close()
		return nil, err
	}
	go m.wait()
	return m, nil
}

// start starts lkvm with all that it needs.
func (m *machine) start(ctx context.Context, image *kvm.Image, spec supervisor.Spec) error {
	program := image.LKVM()
	root, err := findProgram(image.Machine(), program, image.Kernel())
	if err != nil {
		return err
	}
	if m.disks, err = openDisks(ctx, image, spec); err != nil {
		return err
	}
	if m.agent, err = listen(uint32(spec.ID)); err != nil {
		return err
	}
	filter, err := systemCalls()
	if err != nil {
		return err
	}
	files, err := m.open(spec)
	defer linux.CloseFiles(files)
	if err != nil {
		return fmt.Errorf("open the machine's files: %w", err)
	}
	warden, err := linux.NewWarden(linux.Jail{
		Root: root, ID: spec.ID, Home: home, Devices: append(devices(), m.disks.nodes...), Filter: filter,
	})
	if err != nil {
		return err
	}
	m.process, err = warden.Start(arguments(program, image.Kernel(), spec), []string{"HOME=" + home}, files)
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}

// home is where lkvm puts a socket to talk to it by, which nobody does.
const home = "/home"

// devices are those that lkvm opens by name.
func devices() []linux.Device {
	return []linux.Device{
		{Name: "kvm", Major: 10, Minor: 232},
		{Name: "vhost-vsock", Major: 10, Minor: 241},
		{Name: "urandom", Major: 1, Minor: 9},
	}
}

// open makes every descriptor that lkvm is started with, in their order, and
// keeps the other ends. Its input is what a user would type on the serial line:
// a pipe in which nothing ever is.
func (m *machine) open(spec supervisor.Spec) (files []*os.File, err error) {
	input, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	m.input = ours
	files = append(files, input)
	said, say, err := os.Pipe()
	if err != nil {
		return files, err
	}
	files = append(files, say, say)
	m.listen(said, spec.Console)
	lock, err := linux.DuplicateFile(spec.Lock)
	if err != nil {
		return files, err
	}
	files = append(files, lock)
	if spec.Network == nil {
		return files, nil
	}
	taps, err := spec.Network.Taps()
	files = append(files, taps...)
	for _, tap := range taps {
		// lkvm has a thread for each that waits in read.
		err = errors.Join(err, unix.SetNonblock(int(tap.Fd()), false))
	}
	return files, err
}

// listen keeps the end of what lkvm and the guest's console say for LastWords,
// and copies all of it to also unless that is nil.
func (m *machine) listen(said io.ReadCloser, also io.Writer) {
	to := io.Writer(m.words)
	if also != nil {
		to = io.MultiWriter(m.words, also)
	}
	m.readers.Go(func() {
		defer said.Close()
		_, _ = io.Copy(to, said)
	})
}
