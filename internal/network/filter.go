package network

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"rkt/internal/fault"
	"rkt/internal/linux"
)

// Guard makes sure that a pod which shares the host's kernel sends nothing from
// another address than its own, as Taps does for machines. The rules are where the
// pod can't change them: at the host's ends of its interfaces, or, if one has no
// such end, as that of macvlan, in the namespace that the plugins filled, in which
// nothing runs then. They go with these. What the rules stop comes back to the pod.
//
// An interface without such an end stays as it is if a plugin of the pod's does what
// can't be passed on.
func (n *Network) Guard() error {
	fault.Point("network.guard.before")
	ends, err := n.hostEnds()
	if err != nil {
		return err
	}
	if n.joinable && n.isOpen(ends) {
		err = n.separate()
	} else {
		err = n.guardEnds(ends)
	}
	fault.Point("network.guard.after")
	return err
}

// isOpen says whether an interface that is to be guarded has no host's end.
func (n *Network) isOpen(ends []netlink.Link) bool {
	for number, end := range ends {
		if end == nil && !n.policies[number].AllowSpoofing {
			return true
		}
	}
	return false
}

// hostEnds returns the host's end of each interface, nil for those without.
func (n *Network) hostEnds() ([]netlink.Link, error) {
	var ends []netlink.Link
	for _, i := range n.Interfaces {
		end, err := i.hostEnd()
		if err != nil {
			return nil, fmt.Errorf("find the host's end of %s: %w", i.Name, err)
		}
		ends = append(ends, end)
	}
	return ends, nil
}

func (n *Network) guardEnds(ends []netlink.Link) error {
	for number, i := range n.Interfaces {
		if ends[number] == nil {
			continue
		}
		rules, err := i.rules(n.policies[number])
		if err != nil {
			return err
		}
		// What passes goes its usual way, for which nothing has to be done.
		if err := addRules(ends[number], rules, verdicts{stop: redirectTo(ends[number])}); err != nil {
			return fmt.Errorf("guard %s: %w", i.Name, err)
		}
	}
	return nil
}

// hostEnd returns the other end of an interface that is one of a pair, nil if it
// is none.
func (i *Interface) hostEnd() (netlink.Link, error) {
	var inside netlink.Link
	err := linux.InNetNamespace(namespaceFile, func() (err error) {
		inside, err = netlink.LinkByName(i.Name)
		return err
	})
	if err != nil || inside.Type() != "veth" {
		return nil, err
	}
	end, err := netlink.LinkByIndex(inside.Attrs().ParentIndex)
	if err != nil {
		return nil, err
	}
	if end.Type() != "veth" || end.Attrs().ParentIndex != inside.Attrs().Index {
		return nil, fmt.Errorf("%s is not it", end.Attrs().Name)
	}
	return end, nil
}

// verdicts are what happens to frames; without an action they go their usual way.
type verdicts struct{ pass, stop []netlink.Action }

// redirectTo sends frames out of a link. Sending them back to where they came
// from stops them: not every kernel can simply drop them, and this counts them.
func redirectTo(link netlink.Link) []netlink.Action {
	return []netlink.Action{netlink.NewMirredAction(link.Attrs().Index)}
}

// addRules decides about what arrives at a link. The qdisc of an earlier start
// would win, and lead to a tap that is no more.
func addRules(at netlink.Link, rules []rule, v verdicts) error {
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: at.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
	}}
	if err := netlink.QdiscAdd(ingress); errors.Is(err, unix.EEXIST) {
		if err := errors.Join(netlink.QdiscDel(ingress), netlink.QdiscAdd(ingress)); err != nil {
			return fmt.Errorf("replace ingress queue: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("add ingress queue: %w", err)
	}
	for n, r := range rules {
		filter := &netlink.U32{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: at.Attrs().Index, Parent: ingress.Handle, Priority: uint16(n + 1), Protocol: r.protocol,
			},
			Sel:     &netlink.TcU32Sel{Nkeys: uint8(len(r.keys)), Flags: nl.TC_U32_TERMINAL, Keys: r.keys},
			Actions: v.stop,
		}
		if r.pass {
			filter.Actions = v.pass
		}
		if len(filter.Actions) == 0 {
			// A match without an action ends the search.
			filter.ClassId = netlink.MakeHandle(1, 1)
		}
		if err := netlink.FilterAdd(filter); err != nil {
			return fmt.Errorf("add rule %d: %w", n+1, err)
		}
	}
	return nil
}
