package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rkt/internal/appc"
	"rkt/internal/guest/client"
	"rkt/internal/metadata"
	"rkt/internal/network"
	"rkt/internal/stage1"
)

// connect puts the pod on its networks. It returns nil if it has none. Nobody
// waits for a plugin when the pod was asked to end.
func (r *run) connect(ctx context.Context, ownKernel bool) (*network.Network, error) {
	if r.args.Net.Has(stage1.NetworkHost) {
		return nil, nil
	}
	if !r.args.Net.HasNetwork() {
		if len(r.pod.ports) > 0 {
			return nil, errors.New("ports can't be forwarded to a pod without networks")
		}
		return nil, nil
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	options := network.Options{
		UUID:         r.pod.uuid,
		LocalConfig:  r.args.LocalConfig,
		Plugins:      network.PluginDirs(r.args.LocalConfig, filepath.Dir(executable)),
		Requests:     r.args.Net,
		Ports:        r.pod.ports,
		Lock:         r.pod.lock,
		MetadataPort: r.metadata.port,
		Notify:       func(line string) { fmt.Fprintln(os.Stderr, "networking: "+line) },
	}
	if ownKernel {
		options.Refuse = network.RefuseInMachine
	}
	ctx, stopped := r.stops.cancel(ctx)
	made, err := network.Setup(ctx, options)
	if stopped() {
		if err == nil {
			made.Close()
		}
		return nil, errStopped
	}
	if err != nil {
		return nil, fmt.Errorf("failed to setup network: %w", err)
	}
	return made, nil
}

// guard keeps a pod without a kernel of its own to its own addresses. Machines
// are kept to them where they are joined.
func (r *run) guard() error {
	if r.network == nil || r.ownKernel {
		return nil
	}
	if err := r.network.Guard(); err != nil {
		return fmt.Errorf("failed to setup network: %w", err)
	}
	return nil
}

// disconnectTimeout bounds taking the pod off its networks at its end.
const disconnectTimeout = 2 * time.Minute

// disconnect undoes connect, itself or through its helper. What goes wrong is
// said, and left to the collector.
func (r *run) disconnect(ctx context.Context) {
	if r.network == nil {
		return
	}
	r.network.Close()
	ctx, cancel := context.WithTimeout(ctx, disconnectTimeout)
	defer cancel()
	var err error
	if r.helper != nil {
		err = r.helper.finish(ctx)
	} else {
		err = undo(ctx, r.pod.uuid, r.pod.lock)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "networking: take the pod off its networks (rkt gc tries again):", err)
	}
}

// undo takes a pod off its networks, after it was made unknown to the metadata
// service: from then on others may have its addresses.
func undo(ctx context.Context, uuid string, lock *os.File) error {
	if err := metadata.DefaultDirectory.Remove(uuid); err != nil {
		return err
	}
	return network.Teardown(ctx, uuid, lock)
}

// guestLinks translates what plugins left for the agent.
func guestLinks(n *network.Network) (links []client.Link, sysctls []client.Variable) {
	for _, i := range n.Interfaces {
		link := client.Link{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Addresses: i.Addresses}
		for _, route := range i.Routes {
			link.Routes = append(link.Routes, client.Route(route))
		}
		for _, neighbour := range i.Neighbours {
			link.Neighbours = append(link.Neighbours, client.Neighbour(neighbour))
		}
		links = append(links, link)
	}
	for name, value := range n.Sysctls {
		sysctls = append(sysctls, client.Variable{Name: name, Value: value})
	}
	slices.SortFunc(sysctls, func(a, b client.Variable) int { return strings.Compare(a.Name, b.Name) })
	return links, sysctls
}

// forwardedPorts returns the ports of the host that lead to the pod's.
func forwardedPorts(manifest *appc.PodManifest) ([]network.PortMapping, error) {
	var mappings []network.PortMapping
	for _, exposed := range manifest.Ports {
		port := exposed.PodPort
		if port == nil {
			var err error
			if port, err = findPort(manifest, exposed.Name); err != nil {
				return nil, err
			}
		}
		for n := range max(port.Count, 1) {
			if exposed.HostPort+n > maxPort {
				return nil, fmt.Errorf("port %q: %d is no port", exposed.Name, exposed.HostPort+n)
			}
			mappings = append(mappings, network.PortMapping{
				HostPort: uint16(exposed.HostPort + n), PodPort: uint16(port.Port + n),
				Protocol: port.Protocol, HostIP: exposed.HostIP,
			})
		}
	}
	return mappings, nil
}

const maxPort = 65535

// findPort finds the app's port of a name, which must be one app's alone.
func findPort(manifest *appc.PodManifest, name appc.ACName) (*appc.Port, error) {
	var found *appc.Port
	for _, app := range manifest.Apps {
		for i := range app.App.Ports {
			if app.App.Ports[i].Name != name {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("port name %q defined multiple apps", name)
			}
			found = &app.App.Ports[i]
		}
	}
	if found == nil {
		return nil, fmt.Errorf("port name %q could not be found in any apps", name)
	}
	return found, nil
}

// names returns the files that apps look names up in.
func (r *run) names() (client.Names, error) {
	var names client.Names
	var err error
	switch r.args.DNS.Resolv {
	case stage1.DNSStage0:
		names.ResolvConf, err = readText(stage1.ResolvConfFile)
	case stage1.DNSHost:
		names.ResolvConf, err = readText("/etc/resolv.conf")
	case stage1.DNSNone:
	default:
		if r.network != nil {
			names.ResolvConf = resolvConf(r.network.DNS)
		}
	}
	if err != nil {
		return names, err
	}
	switch r.args.DNS.Hosts {
	case stage1.DNSStage0:
		names.Hosts, err = readText(stage1.HostsFile)
		names.Hosts, names.ReplaceHosts = addHostname(names.Hosts, r.hostname()), true
	case stage1.DNSHost:
		names.Hosts, err = readText("/etc/hosts")
		names.ReplaceHosts = true
	}
	return names, err
}

// maxNames bounds a file of names: the message to the agent has room for both.
const maxNames = 256 << 10

func readText(path string) (string, error) {
	b, err := readFile(path)
	if err == nil && len(b) > maxNames {
		err = fmt.Errorf("%s: more than %d bytes", path, maxNames)
	}
	return string(b), err
}

// addHostname adds the pod's own name to the line of its loop-back address.
func addHostname(hosts, hostname string) string {
	var text strings.Builder
	done := false
	for line := range strings.Lines(hosts) {
		fields := strings.Fields(line)
		if !done && len(fields) > 0 && fields[0] == "127.0.0.1" {
			line = strings.TrimRight(line, " \t\n") + " " + hostname + "\n"
			done = true
		}
		text.WriteString(line)
	}
	if !done {
		return "127.0.0.1\tlocalhost " + hostname + "\n" + hosts
	}
	return text.String()
}

// resolvConf writes what a network says about resolving names, nothing if none
// says anything. Source of the form: rkt 1.30, resolv.conf(5).
func resolvConf(dns network.DNS) string {
	if dns.Network == "" {
		return ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Generated by rkt from network %s\n\n", dns.Network)
	if len(dns.Search) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(dns.Search, " "))
	}
	for _, server := range dns.Nameservers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&text, "options %s\n", strings.Join(dns.Options, " "))
	}
	if dns.Domain != "" {
		fmt.Fprintf(&text, "domain %s\n", dns.Domain)
	}
	return text.String()
}
