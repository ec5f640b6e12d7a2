package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"rkt/internal/linux"
	"rkt/internal/network/networktest"
)

// TestGuard sends frames as an app does that shares the host's kernel, on the way
// on which nothing in the pod's namespace could stop them, and looks where they
// arrive. Counters of the rules would not do: the kernel sends frames of its own.
func TestGuard(t *testing.T) {
	h := needHost(t)
	n, own := h.dualStack(`{"denyLinkLocal":true}`)
	defer n.Close()
	send := h.guarded(n, "br-dual", "")
	for name, test := range attempts(own) {
		t.Run(name, func(t *testing.T) {
			want := "at the pod" // where what is stopped comes back to
			if test.passes {
				want = "beyond"
			}
			if got := send(t, test.bytes(own)); got != want {
				t.Errorf("arrived %s, want %s", got, want)
			}
		})
	}
	h.endDualStack()
}

// TestGuardAllows: who may route may send from any address.
func TestGuardAllows(t *testing.T) {
	h := needHost(t)
	n, _ := h.dualStack(`{"allowSpoofing":true}`)
	defer n.Close()
	send := h.guarded(n, "br-dual", "")
	forged := frame{"", unix.ETH_P_IP, ipv4("10.79.0.3", "10.79.0.1")}.bytes(otherMAC())
	if got := send(t, forged); got != "beyond" {
		t.Errorf("arrived %s", got)
	}
	h.endDualStack()
}

// TestGuardMacvlan: the same on an interface that has no end at the host.
func TestGuardMacvlan(t *testing.T) {
	h := needHost(t)
	h.configureMacvlan(`{"denyLinkLocal":true}`)
	n := h.setup(h.options("lan"))
	defer n.Close()
	own, err := net.ParseMAC(n.Interfaces[0].MAC)
	if err != nil {
		t.Fatal(err)
	}
	send := h.guarded(n, "outside", networktest.Outside())
	for name, test := range attempts(own) {
		t.Run(name, func(t *testing.T) {
			want := "at the pod"
			if test.passes {
				want = "beyond"
			}
			if got := send(t, test.bytes(own)); got != want {
				t.Errorf("arrived %s, want %s", got, want)
			}
		})
	}
	err = linux.InNetNamespace(n.Path(), func() error {
		inside, err := observeInterface("eth0")
		if diff := cmp.Diff(n.Interfaces[0], inside, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("inside (-what the plugins made +there):\n%s", diff)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	h.teardown()
	h.clean()
}

// configureMacvlan makes a network of the addresses that dualStack's pod has.
func (h *host) configureMacvlan(policy string) {
	h.Helper()
	h.configure("10-lan.conflist", `{"name":"lan","cniVersion":"1.0.0","rkt":`+policy+`,"plugins":[{"type":"macvlan",
		"master":"uplink","ipam":{"type":"static","addresses":[{"address":"10.79.0.2/24","gateway":"10.79.0.1"},{"address":"fd00:79::2/64"}],
		"routes":[{"dst":"0.0.0.0/0"}]}}]}`)
}

// guarded guards a network, and returns what sends a frame out of the pod and says
// where it has arrived: at the pod, or beyond, at a device of a namespace.
func (h *host) guarded(n *Network, device, namespace string) func(*testing.T, []byte) string {
	h.Helper()
	if err := n.Guard(); err != nil {
		h.Fatal(err)
	}
	h.awaitUp("eth0", namespaceFile)
	if n.apart {
		h.awaitUp("in0", namespaceFile)
		h.awaitUp("eth0", innerFile)
	}
	arrivals := make(chan arrival)
	pod := h.packetSocket("eth0", n.Path())
	go pod.listen(h.Context(), "at the pod", arrivals)
	beyond := h.packetSocket(device, namespace)
	go beyond.listen(h.Context(), "beyond", arrivals)
	h.Cleanup(func() {
		pod.Close()
		beyond.Close()
	})
	return func(t *testing.T, frame []byte) string {
		t.Helper()
		if _, err := pod.Write(frame); err != nil {
			t.Fatal(err)
		}
		return whereabouts(t, frame, arrivals)
	}
}

// awaitUp waits until an interface sends. One that is brought up before its other end
// does so only some time after that.
func (h *host) awaitUp(device, namespace string) {
	h.Helper()
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	err := linux.InNetNamespace(namespace, func() error {
		return netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true})
	})
	if err != nil {
		h.Fatal(err)
	}
	defer func() {
		close(done)
		for range updates { // until it is closed
			continue
		}
	}()
	deadline := time.After(time.Minute)
	for {
		select {
		case u := <-updates:
			if u.Link != nil && u.Attrs().Name == device && u.Attrs().OperState == netlink.OperUp {
				return
			}
		case <-deadline:
			h.Fatalf("%s does not come up", device)
		}
	}
}

// arrival is a frame that a socket has seen.
type arrival struct {
	where string
	frame []byte
}

// whereabouts waits for a frame and says where it has arrived.
func whereabouts(t *testing.T, sent []byte, arrivals <-chan arrival) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case a := <-arrivals:
			if same(a.frame, sent) {
				return a.where
			}
		case <-deadline:
			t.Fatal("arrived nowhere")
		}
	}
}

// same compares frames. The kernel keeps the tag of a VLAN apart from the frame.
func same(got, sent []byte) bool {
	const addresses, tag = 12, 4
	if binary.BigEndian.Uint16(sent[addresses:]) == unix.ETH_P_8021Q {
		sent = slices.Delete(slices.Clone(sent), addresses, addresses+tag)
	}
	return bytes.Equal(got, sent)
}

// packetSocket sends and receives whole frames.
type packetSocket struct{ *os.File }

// packetSocket opens one at an interface of a namespace, "" being the pretended
// host's. It sends past the queues of the namespace.
func (h *host) packetSocket(device, namespace string) (socket packetSocket) {
	h.Helper()
	open := func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		socket = packetSocket{os.NewFile(uintptr(fd), "packet socket at "+device)}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return err
		}
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: all})
	}
	var err error
	if namespace == "" {
		err = open()
	} else {
		err = linux.InNetNamespace(namespace, open)
	}
	if err != nil {
		h.Fatal(err)
	}
	return socket
}

// listen reports what arrives, until the socket is closed or the context is done.
func (s packetSocket) listen(ctx context.Context, where string, to chan<- arrival) {
	b := make([]byte, 2000)
	for {
		n, err := s.Read(b)
		if err != nil {
			return
		}
		select {
		case to <- arrival{where, bytes.Clone(b[:n])}:
		case <-ctx.Done():
			return
		}
	}
}
