package network

import (
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// TestGuard sends frames as an app does that shares the host's kernel, on the way
// on which nothing in the pod's namespace could stop them.
func TestGuard(t *testing.T) {
	h := needHost(t)
	n, own := h.dualStack()
	defer n.Close()
	if err := n.Guard(); err != nil {
		t.Fatal(err)
	}
	end, err := n.Interfaces[0].hostEnd()
	if err != nil {
		t.Fatal(err)
	}
	socket := h.packetSocket("eth0")
	defer socket.Close()
	for name, test := range attempts(own) {
		t.Run(name, func(t *testing.T) {
			want := h.stopped(end)
			if !test.passes {
				want++
			}
			if _, err := socket.Write(test.bytes(own)); err != nil {
				t.Fatal(err)
			}
			if after := h.awaitStopped(end, want); after != want {
				t.Errorf("%d frames were stopped, want %d", after, want)
			}
		})
	}
	h.teardown()
	h.output("ip", "link", "del", "br-dual")
	h.clean()
}

// TestGuardAllows: who may route may send from any address.
func TestGuardAllows(t *testing.T) {
	h := needHost(t)
	h.configure("10-router.conflist", `{"name":"router","cniVersion":"1.0.0","rkt":{"allowSpoofing":true},"plugins":[
		{"type":"ptp","ipam":{"type":"static","addresses":[{"address":"10.79.1.2/24","gateway":"10.79.1.1"}]}}]}`)
	n := h.setup(h.options("router"))
	defer n.Close()
	if err := n.Guard(); err != nil {
		t.Fatal(err)
	}
	end, err := n.Interfaces[0].hostEnd()
	if err != nil {
		t.Fatal(err)
	}
	socket := h.packetSocket("eth0")
	defer socket.Close()
	if _, err := socket.Write(frame{"", unix.ETH_P_IP, ipv4("10.79.0.3", "10.79.1.1")}.bytes(otherMAC())); err != nil {
		t.Fatal(err)
	}
	if got := h.stopped(end); got != 0 {
		t.Errorf("%d frames were stopped", got)
	}
	h.teardown()
	h.clean()
}

// packetSocket sends whole frames out of an interface of the pod's, past the
// queues of its namespace.
func (h *host) packetSocket(device string) (socket *os.File) {
	h.Helper()
	err := linux.InNetNamespace(namespaceFile, func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		socket = os.NewFile(uintptr(fd), "packet socket")
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index})
	})
	if err != nil {
		h.Fatal(err)
	}
	return socket
}

// awaitStopped waits until so many frames were stopped: the kernel may take a
// frame from its queue later.
func (h *host) awaitStopped(link netlink.Link, want uint64) uint64 {
	h.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if now := h.stopped(link); now >= want || time.Now().After(deadline) {
			return now
		}
	}
}

// stopped sums what rules have sent back at a link of the host's.
func (h *host) stopped(link netlink.Link) (sum uint64) {
	h.Helper()
	filters, err := netlink.FilterList(link, netlink.MakeHandle(0xffff, 0))
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range filters {
		if u32, ok := f.(*netlink.U32); ok && len(u32.Actions) == 1 {
			sum += uint64(u32.Actions[0].Attrs().Statistics.Basic.Packets)
		}
	}
	return sum
}
