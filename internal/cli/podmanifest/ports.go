package podmanifest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rkt/internal/appc"
)

// ExposedPort is a port of the host that is to lead to one of the pod: to the
// one that an image names, or to a number.
type ExposedPort struct {
	Text     string // as it was given
	Name     appc.ACName
	HostIP   string // empty: all addresses
	HostPort uint
	PodPort  *appc.Port // nil: the one of that name
}

// ParsePort reads NAME:[HOSTIP:]HOSTPORT, or [HOSTIP:]HOSTPORT:PORT[/PROTOCOL].
// What begins with a number is never a name. An IPv6 address is in brackets.
func ParsePort(text string) (ExposedPort, error) {
	p := ExposedPort{Text: text}
	fields, ok := splitPort(text)
	if !ok {
		return p, fmt.Errorf("%q is not in name:[ip:]port format", text)
	}
	if isNumber(fields[0]) || len(fields) == 3 && isNumber(fields[1]) {
		return p, p.parseNumbers(fields)
	}
	name, err := appc.NewACName(fields[0])
	if err != nil {
		return p, fmt.Errorf("%q is not a valid port name", fields[0])
	}
	p.Name = name
	return p, p.parseHost(fields[1:])
}

// splitPort splits at colons that are not in brackets, into two or three parts.
func splitPort(text string) ([]string, bool) {
	var fields []string
	var field strings.Builder
	inside := false
	for _, c := range text {
		switch {
		case c == '[' && !inside && field.Len() == 0:
			inside = true
		case c == ']' && inside:
			inside = false
		case c == ':' && !inside:
			fields = append(fields, field.String())
			field.Reset()
		default:
			field.WriteRune(c)
		}
	}
	fields = append(fields, field.String())
	return fields, !inside && (len(fields) == 2 || len(fields) == 3)
}

func isNumber(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// parseNumbers reads [HOSTIP], HOSTPORT, PORT[/PROTOCOL].
func (p *ExposedPort) parseNumbers(fields []string) error {
	last := len(fields) - 1
	port, protocol, given := strings.Cut(fields[last], "/")
	if !given {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return fmt.Errorf("%q is not a protocol: tcp or udp", protocol)
	}
	number, err := parsePort(port)
	if err != nil {
		return err
	}
	if err := p.parseHost(fields[:last]); err != nil {
		return err
	}
	// Two mappings of one port have different names.
	p.Name = appc.ACName(fmt.Sprintf("port-%d-to-%d-%s", p.HostPort, number, protocol))
	p.PodPort = &appc.Port{Name: p.Name, Protocol: protocol, Port: number, Count: 1}
	return nil
}

// parseHost reads [HOSTIP], HOSTPORT.
func (p *ExposedPort) parseHost(fields []string) (err error) {
	if len(fields) == 2 {
		if _, err := netip.ParseAddr(fields[0]); err != nil {
			return fmt.Errorf("%q is not a valid IP", fields[0])
		}
		p.HostIP = fields[0]
	}
	p.HostPort, err = parsePort(fields[len(fields)-1])
	return err
}

func parsePort(text string) (uint, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || !isNumber(text) {
		return 0, fmt.Errorf("%q is not a valid port number", text)
	}
	return uint(n), nil
}

// expose adds the ports to the manifest, each with the port of the pod that it
// leads to.
func expose(manifest *appc.PodManifest, ports []ExposedPort) error {
	for _, p := range ports {
		exposed := appc.ExposedPort{Name: p.Name, HostPort: p.HostPort, HostIP: p.HostIP, PodPort: p.PodPort}
		if exposed.PodPort == nil {
			found, err := findPort(manifest, p.Name)
			if err != nil {
				return err
			}
			exposed.PodPort = found
		}
		for _, other := range manifest.Ports {
			if collide(exposed, other) {
				return fmt.Errorf("port %s already mapped to pod port %d", describePort(exposed), other.PodPort.Port)
			}
		}
		manifest.Ports = append(manifest.Ports, exposed)
	}
	return nil
}

func findPort(manifest *appc.PodManifest, name appc.ACName) (*appc.Port, error) {
	var found *appc.Port
	for _, app := range manifest.Apps {
		for _, port := range app.App.Ports {
			if port.Name != name {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("port name %q defined multiple apps", name)
			}
			found = &port
		}
	}
	if found == nil {
		return nil, fmt.Errorf("port name %q could not be found in any apps", name)
	}
	return found, nil
}

// collide says whether a packet could be meant by both.
func collide(a, b appc.ExposedPort) bool {
	first, second := hostAddress(a), hostAddress(b)
	overlap := a.HostPort < b.HostPort+max(b.PodPort.Count, 1) && b.HostPort < a.HostPort+max(a.PodPort.Count, 1)
	return overlap && a.PodPort.Protocol == b.PodPort.Protocol &&
		(first == second || first.IsUnspecified() || second.IsUnspecified())
}

func hostAddress(p appc.ExposedPort) netip.Addr {
	ip, err := netip.ParseAddr(p.HostIP)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return ip
}

func describePort(p appc.ExposedPort) string {
	return p.PodPort.Protocol + "-" + netip.AddrPortFrom(hostAddress(p), uint16(p.HostPort)).String()
}
