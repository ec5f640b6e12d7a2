package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/metadata"
)

// doorTimeout bounds a question at the door.
const doorTimeout = 10 * time.Second

// door is the service's socket, where supervisors tell of registrations.
type door struct{ *net.UnixListener }

// openDoor takes the place of a service that was killed.
func openDoor(path string) (*door, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &door{l}, nil
}

// serve answers until the door is closed, which is no error.
func (d *door) serve(answer func(pod string) string) error {
	var working sync.WaitGroup
	defer working.Wait()
	for {
		conn, err := d.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("socket of the service: %w", err)
		}
		working.Go(func() {
			defer conn.Close()
			if !isRoot(conn) || conn.SetDeadline(time.Now().Add(doorTimeout)) != nil {
				return
			}
			question, err := bufio.NewReader(io.LimitReader(conn, metadata.MaxLine)).ReadString('\n')
			if err == nil {
				_, _ = fmt.Fprintln(conn, answer(strings.TrimSuffix(question, "\n")))
			}
		})
	}
}

func isRoot(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	root := false
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		root = err == nil && peer.Uid == 0
	})
	return err == nil && root
}
