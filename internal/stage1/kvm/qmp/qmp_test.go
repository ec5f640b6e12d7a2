package qmp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rkt/internal/stage1/kvm/qmp"
)

// socketpair returns our end as a connection and the peer's as a file.
func socketpair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(fds[0]), "qmp")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	return unixConn, os.NewFile(uintptr(fds[1]), "peer")
}

// startQEMU starts a real QEMU without a machine to run.
func startQEMU(t *testing.T) *qmp.Client {
	t.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("needs qemu-system-x86_64")
	}
	conn, peer := socketpair(t)
	cmd := exec.CommandContext(t.Context(), path, "-nodefaults", "-no-user-config", "-display", "none",
		"-M", "none", "-S", "-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control")
	cmd.ExtraFiles = []*os.File{peer}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	t.Cleanup(func() { _ = cmd.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := qmp.New(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestSession(t *testing.T) {
	t.Parallel()
	client := startQEMU(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	var status struct {
		Status string `json:"status"`
	}
	if err := client.Execute(ctx, "query-status", nil, &status); err != nil || status.Status == "" {
		t.Errorf("query-status: %+v, %v", status, err)
	}
	var refused *qmp.Error
	if err := client.Execute(ctx, "no-such-command", nil, nil); !errors.As(err, &refused) || refused.Command != "no-such-command" {
		t.Errorf("an unknown command gives %v", err)
	}
	disk, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := disk.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := client.AddFD(ctx, 7, disk); err != nil {
		t.Fatal(err)
	}
	node := map[string]any{"driver": "file", "node-name": "d7", "filename": "/dev/fdset/7"}
	if err := client.Execute(ctx, "blockdev-add", node, nil); err != nil {
		t.Errorf("the passed file cannot be opened: %v", err)
	}
	if err := client.Execute(ctx, "quit", nil, nil); err != nil {
		t.Error(err)
	}
	for range client.Events() { //nolint:revive // drains until QEMU hangs up
	}
	if err := client.Execute(ctx, "query-status", nil, nil); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestHostilePeer shows that a peer which does not speak the protocol ends the
// session with an error instead of a hang or a crash.
func TestHostilePeer(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"hangs up":           "",
		"not json":           "hello\n",
		"array":              "[1,2]\n",
		"answers to nobody":  `{"QMP":{}}` + "\n" + `{"return":{},"id":999}` + "\n",
		"wrong type":         `{"QMP":{}}` + "\n" + `{"return":{},"id":"x"}` + "\n",
		"greeting then junk": `{"QMP":{}}` + "\n\x00\xff\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := socketpair(t)
			go func() {
				_, _ = peer.WriteString(says)
				peer.Close()
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := qmp.New(ctx, conn); err == nil || ctx.Err() != nil {
				t.Errorf("New = %v, context %v", err, ctx.Err())
			}
		})
	}
}
