package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/containernetworking/cni/libcni"
	"golang.org/x/sys/unix"

	"rkt/internal/errhint"
)

// portCapability is what a plugin says it can do that forwards ports.
// Source: CNI conventions, "portMappings".
const portCapability = "portMappings"

// PortMapping is a port of the host that leads to one of the pod. Its JSON is
// what plugins take.
type PortMapping struct {
	HostPort uint16 `json:"hostPort"`
	PodPort  uint16 `json:"containerPort"`
	Protocol string `json:"protocol"`         // "tcp" or "udp"
	HostIP   string `json:"hostIP,omitempty"` // empty: all addresses
}

// String names the host's side.
func (p PortMapping) String() string {
	host := p.HostIP
	if host == "" {
		host = "0.0.0.0"
	}
	return p.Protocol + "-" + net.JoinHostPort(host, strconv.Itoa(int(p.HostPort)))
}

// address returns the host's side.
func (p PortMapping) address() netip.Addr {
	if ip, err := netip.ParseAddr(p.HostIP); err == nil {
		return ip.Unmap()
	}
	return netip.IPv4Unspecified()
}

// collides says whether a packet could be meant by both.
func (p PortMapping) collides(other PortMapping) bool {
	a, b := p.address(), other.address()
	return p.Protocol == other.Protocol && p.HostPort == other.HostPort &&
		(a == b || a.IsUnspecified() || b.IsUnspecified())
}

// checkPorts finds mappings of one pod that exclude each other.
func checkPorts(ports []PortMapping) error {
	for i, p := range ports {
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			return fmt.Errorf("port %s: only tcp and udp ports can be forwarded", p)
		}
		for _, other := range ports[:i] {
			if p.collides(other) {
				return fmt.Errorf("port %s already mapped to pod port %d", p, other.PodPort)
			}
		}
	}
	return nil
}

// reservation keeps the host's ports from everybody else as long as this
// program lives, however it ends: a socket is bound to each, but never
// listens. What arrives is forwarded before it would get to a socket.
type reservation []int

func reserve(ports []PortMapping) (reservation, error) {
	var r reservation
	for _, p := range ports {
		fd, err := bindPort(p)
		if err == nil {
			r = append(r, fd)
			continue
		}
		r.release()
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, errhint.With(fmt.Errorf("port %s is taken", p), "a pod or a program of the host has it; choose another one")
		}
		return nil, fmt.Errorf("reserve port %s: %w", p, err)
	}
	return r, nil
}

func (r reservation) release() {
	for _, fd := range r {
		unix.Close(fd)
	}
}

func bindPort(p PortMapping) (int, error) {
	kind := unix.SOCK_STREAM
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	address := p.address()
	family, name := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.HostPort), Addr: to4(address)})
	if address.Is6() {
		family, name = unix.AF_INET6, &unix.SockaddrInet6{Port: int(p.HostPort), Addr: address.As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, name); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func to4(a netip.Addr) [4]byte {
	if !a.Is4() {
		return [4]byte{}
	}
	return a.As4()
}

// forwards says whether a configuration has a plugin that forwards ports.
func forwards(list *libcni.NetworkConfigList) bool {
	for _, plugin := range list.Plugins {
		if plugin.Network.Capabilities[portCapability] {
			return true
		}
	}
	return false
}

// masquerades says whether a configuration hides the pod behind the host.
func masquerades(list *libcni.NetworkConfigList) bool {
	for _, plugin := range list.Plugins {
		var conf struct {
			IPMasq bool `json:"ipMasq"`
		}
		if json.Unmarshal(plugin.Bytes, &conf) == nil && conf.IPMasq {
			return true
		}
	}
	return false
}

// forwardable returns the network that ports are forwarded over: the first
// that masquerades, else the last. Source: rkt 1.30.
func forwardable(attachments []*attachment) *attachment {
	for _, a := range attachments {
		if masquerades(a.list) {
			return a
		}
	}
	return attachments[len(attachments)-1]
}

// forward gives an attachment the pod's ports, and a plugin that forwards them
// if it has none.
func (a *attachment) forward(ports []PortMapping) error {
	a.Ports = ports
	if len(ports) == 0 || forwards(a.list) {
		return nil
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal(a.Config, &list); err != nil {
		return err
	}
	var plugins []json.RawMessage
	if err := json.Unmarshal(list["plugins"], &plugins); err != nil {
		return err
	}
	plugins = append(plugins, json.RawMessage(`{"type":"portmap","capabilities":{"portMappings":true}}`))
	b, err := json.Marshal(plugins)
	if err != nil {
		return err
	}
	list["plugins"] = b
	if a.Config, err = json.Marshal(list); err != nil {
		return err
	}
	return a.parse()
}
