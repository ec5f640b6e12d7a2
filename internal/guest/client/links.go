package client

import (
	"net/netip"

	"rkt/internal/guest/guestproto"
)

func wireLinks(links []Link) []*guestproto.Link {
	var wire []*guestproto.Link
	for _, l := range links {
		w := &guestproto.Link{Name: l.Name, Mac: l.MAC, Mtu: uint32(l.MTU)}
		for _, a := range l.Addresses {
			w.Addresses = append(w.Addresses, a.String())
		}
		for _, r := range l.Routes {
			w.Routes = append(w.Routes, &guestproto.Route{
				Destination: r.Destination.String(), Gateway: wireAddr(r.Gateway), Source: wireAddr(r.Source),
				Metric: uint32(r.Metric), Mtu: uint32(r.MTU), OnLink: r.OnLink,
			})
		}
		for _, n := range l.Neighbours {
			w.Neighbours = append(w.Neighbours, &guestproto.Neighbour{Ip: wireAddr(n.IP), Mac: n.MAC})
		}
		wire = append(wire, w)
	}
	return wire
}

// wireAddr writes an address, none as nothing.
func wireAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func wireSysctls(sysctls []Variable) []*guestproto.Sysctl {
	var wire []*guestproto.Sysctl
	for _, s := range sysctls {
		wire = append(wire, &guestproto.Sysctl{Name: s.Name, Value: s.Value})
	}
	return wire
}
