package nspawn

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rkt/internal/guest/link"
	"rkt/internal/linux"
	"rkt/internal/stage1"
	"rkt/internal/stage1/supervisor"
	"rkt/internal/stage1/words"
)

// Files of the pod's directory.
const (
	linkDir    = "link"  // holds the socket to the agent, until that has connected
	linkSocket = "agent" // in linkDir
	scratchDir = "scratch"
	copiesDir  = "copies" // of apps' images, if overlays are not wanted
)

// Launcher starts containers out of one stage1 image.
type Launcher struct{ image *Image }

// NewLauncher returns a launcher for an image.
func NewLauncher(image *Image) *Launcher { return &Launcher{image} }

// Isolation is what a container is.
func (l *Launcher) Isolation() string { return "container" }

// Notice has nothing to say: whoever chose a container knows.
func (l *Launcher) Notice() string { return "" }

// Memory is not limited: the apps' own limits are, and the container itself
// needs little.
func (l *Launcher) Memory(int64) int64 { return 0 }

// Launch starts systemd-nspawn.
func (l *Launcher) Launch(_ context.Context, spec supervisor.Spec) (_ supervisor.Machine, err error) {
	warnOfLimits(spec.Apps)
	if spec.DiskBytes != 0 {
		fmt.Fprintln(os.Stderr, "warning: a container keeps what apps write in the pod's directory: the size of its disk is ignored")
	}
	c := &container{words: &words.Tail{}, done: make(chan struct{}), copies: !spec.Overlay}
	if err := c.listen(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.host.Close()
		}
	}()
	group, err := leaveGroup()
	if err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	if group != nil {
		defer group.Close()
	}
	files, err := c.files(spec)
	defer func() { linux.CloseFiles(files) }()
	if err != nil {
		return nil, err
	}
	if hasUsers(spec) {
		users, err := c.makeUsers(spec.Run.PrivateUsers)
		if err != nil {
			return nil, err
		}
		files = append(files, users) // as usersFD
	}
	description, err := json.Marshal(l.inside(spec))
	if err != nil {
		return nil, err
	}
	c.process, err = linux.First{
		Name: InitName, Env: []string{insideEnv + "=" + string(description)}, Files: files, Cgroup: group,
	}.Start()
	if err != nil {
		return nil, fmt.Errorf("start container: %w", err)
	}
	go c.wait()
	return c, nil
}

// listen makes the link and the streams that go over it.
func (c *container) listen() error {
	if err := os.MkdirAll(linkDir, 0o755); err != nil {
		return err
	}
	host, err := link.Listen(filepath.Join(linkDir, linkSocket))
	if err != nil {
		return err
	}
	c.host = host
	for _, s := range []struct {
		name string
		ours *net.Conn
	}{{link.Control, &c.control}, {link.Data, &c.data}} {
		ours, theirs, err := socketpair()
		if err != nil {
			return err
		}
		*s.ours = ours
		if err := host.Send(context.Background(), s.name, theirs); err != nil {
			return err
		}
	}
	return nil
}

// files returns the descriptors that the container's processes start with: no
// input, what they say, and the pod's lock to be held.
func (c *container) files(spec supervisor.Spec) ([]*os.File, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	said, say, err := os.Pipe()
	if err != nil {
		return []*os.File{null}, err
	}
	again, err := linux.DuplicateFile(say)
	if err != nil {
		return []*os.File{null, say}, err
	}
	lock, err := linux.DuplicateFile(spec.Lock)
	if err != nil {
		return []*os.File{null, say, again}, err
	}
	to := io.Writer(c.words)
	if spec.Console != nil {
		to = io.MultiWriter(c.words, spec.Console)
	}
	c.readers.Go(func() {
		defer said.Close()
		_, _ = io.Copy(to, said)
	})
	return []*os.File{null, say, again, lock}, nil
}

// makeUsers makes the namespace by which owners are shifted, and returns it once
// more for the container.
func (c *container) makeUsers(ids stage1.IDRange) (_ *os.File, err error) {
	if c.users, err = linux.UserNamespace(ids.First, ids.Count); err != nil {
		return nil, err
	}
	return linux.DuplicateFile(c.users)
}

func socketpair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "the agent's")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
	}
	return conn, theirs, err
}
