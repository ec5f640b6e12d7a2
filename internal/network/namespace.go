package network

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// prepareNamespace makes the settings of a fresh namespace, from inside.
//
// It inherits forwarding from the host, but what is not redirected to the pod
// must not be routed. Plugins wait for the detection of duplicate addresses,
// 2 s for IPv6; whoever uses the address in the end does that if anybody.
func prepareNamespace() error {
	settings := []struct{ name, value string }{
		{"ipv4/ip_forward", "0"},
		{"ipv6/conf/all/forwarding", "0"},
		{"ipv6/conf/default/forwarding", "0"},
		{"ipv6/conf/all/accept_dad", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
	}
	for _, s := range settings {
		err := os.WriteFile("/proc/sys/net/"+s.name, []byte(s.value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return err
		}
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
