package vmtest_test

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// monitor is QEMU's, as far as it is needed here.
type monitor struct {
	m   *machine
	in  *json.Decoder
	out *json.Encoder
}

func (m *machine) monitor(t *testing.T) *monitor {
	t.Helper()
	q := &monitor{m, json.NewDecoder(m.qmp), json.NewEncoder(m.qmp)}
	var greeting map[string]any
	if err := q.in.Decode(&greeting); err != nil {
		t.Fatal(err)
	}
	q.do(t, "qmp_capabilities", nil)
	return q
}

func (q *monitor) do(t *testing.T, command string, arguments map[string]any) {
	t.Helper()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := q.out.Encode(request); err != nil {
		t.Fatal(err)
	}
	for {
		var answer struct {
			Return any
			Event  string
			Error  *struct{ Desc string }
		}
		if err := q.in.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.Error != nil {
			t.Fatalf("%s: %s", command, answer.Error.Desc)
		}
		if answer.Event == "" {
			return
		}
	}
}

// addDisk adds the apps' disk once more.
func (q *monitor) addDisk(t *testing.T, lun int) {
	t.Helper()
	name := fmt.Sprintf("added%d", lun)
	f := open(t, q.m.app, unix.O_RDONLY)
	defer f.Close()
	q.pass(t, int(f.Fd()), lun)
	q.do(t, "blockdev-add", map[string]any{
		"driver": "raw", "node-name": name, "read-only": true,
		"file": map[string]any{"driver": "file", "locking": "off", "filename": fmt.Sprintf("/dev/fdset/%d", lun)},
	})
	q.do(t, "device_add", map[string]any{
		"driver": "scsi-hd", "bus": "scsi0.0", "lun": lun, "drive": name, "id": name,
	})
}

// pass gives QEMU a descriptor.
func (q *monitor) pass(t *testing.T, fd, set int) {
	t.Helper()
	conn, ok := q.m.qmp.(interface {
		WriteMsgUnix(b, oob []byte, addr *net.UnixAddr) (int, int, error)
	})
	if !ok {
		t.Fatal("not a unix socket")
	}
	// The descriptor travels with the first byte of the command.
	if _, _, err := conn.WriteMsgUnix([]byte(" "), unix.UnixRights(fd), nil); err != nil {
		t.Fatal(err)
	}
	q.do(t, "add-fd", map[string]any{"fdset-id": set})
}

// Disks may come before the agent is told of them, or after.
func TestDisksThatAreAdded(t *testing.T) {
	t.Parallel()
	m := boot(t)
	q := m.monitor(t)
	for lun := 10; lun < 20; lun++ {
		app := spec(fmt.Sprintf("app-%d", lun), "say", "hello")
		app.Disk.LUN = uint32(lun)
		if lun%2 == 0 {
			q.addDisk(t, lun)
		} else {
			time.AfterFunc(50*time.Millisecond, func() { q.addDisk(t, lun) })
		}
		if _, o := m.runApp(t, app); o.stdout.String() != "hello\n" {
			t.Errorf("from disk %d: %q", lun, o.stdout.String())
		}
	}
	m.shutdown(t, time.Second)
}
