package network

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"rkt/internal/errhint"
	"rkt/internal/fault"
	"rkt/internal/linux"
	"rkt/internal/stage1"
)

// undoTimeout bounds undoing what failed half-way.
const undoTimeout = 2 * time.Minute

// Options say what network a pod is to have.
type Options struct {
	UUID        string
	LocalConfig string // directory that has net.d, empty for none
	// Plugins are the directories of plugins, in the order in which they are
	// searched.
	Plugins  []string
	Requests stage1.NetRequests
	Ports    []PortMapping
	// MetadataPort is that of the metadata service, 0 if the pod is not to ask it.
	MetadataPort uint16
	// Lock is the pod's, to be held by every plugin.
	Lock *os.File
	// Refuse says why a type of plugin does not work here, or "". It may be nil.
	Refuse func(plugin string) string
	// Notify is told what the user should know. It may be nil.
	Notify func(line string)

	timeout time.Duration // of each plugin; 0 is pluginTimeout
}

// Network is what a pod has once Setup has succeeded.
type Network struct {
	Interfaces []*Interface
	DNS        DNS
	// Sysctls are settings of the network that the plugins made in the
	// namespace, by name. Another kernel must make them, too.
	Sysctls map[string]string
	// Gateway is the host's IPv4 address on the network that ports are forwarded
	// over, invalid if it has none.
	Gateway netip.Addr

	policies    []policy
	reservation reservation
	joinable    bool // what the plugins made could be joined to a machine
	apart       bool // what runs in the pod has a namespace of its own
}

// DNS is what the networks say about resolving names.
type DNS struct {
	Network                      string // that said it, empty if none did
	Nameservers, Search, Options []string
	Domain                       string
}

// Path returns where the network namespace is that the pod's processes are to be
// in, as seen from its directory. Guard decides about it.
func (n *Network) Path() string {
	if n.apart {
		return innerFile
	}
	return namespaceFile
}

// Close gives the host's ports back. The network stays until Teardown.
func (n *Network) Close() { n.reservation.release() }

// Setup puts the pod in the working directory on its networks. When it fails it
// has undone what it did, unless the error says otherwise; then Teardown can.
func Setup(ctx context.Context, o Options) (*Network, error) {
	if err := checkPorts(o.Ports); err != nil {
		return nil, err
	}
	attachments, err := o.plan()
	if err != nil {
		return nil, err
	}
	reserved, err := reserve(o.Ports)
	if err != nil {
		return nil, err
	}
	n, err := o.attach(ctx, attachments)
	if err == nil {
		n.reservation = reserved
		return n, nil
	}
	reserved.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if undone := Teardown(ctx, o.UUID, o.Lock); undone != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undone)
	}
	return nil, err
}

// plan decides what is to be done, and does nothing yet.
func (o Options) plan() ([]*attachment, error) {
	definitions, err := Load(o.LocalConfig)
	if err != nil {
		return nil, err
	}
	chosen, err := definitions.choose(o.Requests)
	if err != nil {
		return nil, err
	}
	if o.Notify != nil {
		for _, line := range definitions.Notices {
			o.Notify(line)
		}
	}
	var attachments []*attachment
	for i, c := range chosen {
		a := &attachment{
			Name: c.Name, File: c.File, Interface: fmt.Sprintf("eth%d", i), Args: c.args,
			Config: c.list.Bytes, Policy: c.policy, Plugins: o.Plugins,
		}
		if err := a.parse(); err != nil {
			return nil, fmt.Errorf("network %q: %w", c.Name, err)
		}
		attachments = append(attachments, a)
	}
	if len(attachments) > 0 {
		chosen := forwardable(attachments)
		chosen.MetadataPort = o.MetadataPort
		if err := chosen.forward(o.Ports); err != nil {
			return nil, err
		}
	}
	return attachments, o.checkPlugins(attachments)
}

// checkPlugins makes sure that all plugins are there and work here.
func (o Options) checkPlugins(attachments []*attachment) error {
	runner := &runner{}
	for _, a := range attachments {
		for _, kind := range a.kinds() {
			if err := o.checkPlugin(runner, a, kind); err != nil {
				return fmt.Errorf("network %q: %w", a.Name, err)
			}
		}
	}
	return nil
}

// kinds are the types of a network's plugins.
func (a *attachment) kinds() []string {
	var kinds []string
	for _, plugin := range a.list.Plugins {
		kinds = append(kinds, plugin.Network.Type)
		if addresses := plugin.Network.IPAM.Type; addresses != "" {
			kinds = append(kinds, addresses)
		}
	}
	return kinds
}

// joinable says whether all of the networks would work with a machine.
func joinable(attachments []*attachment) bool {
	return !slices.ContainsFunc(attachments, func(a *attachment) bool {
		return slices.ContainsFunc(a.kinds(), func(kind string) bool { return RefuseInMachine(kind) != "" })
	})
}

func (o Options) checkPlugin(runner *runner, a *attachment, kind string) error {
	if o.Refuse != nil {
		if why := o.Refuse(kind); why != "" {
			return fmt.Errorf("plugin %q %s", kind, why)
		}
	}
	_, err := runner.FindInPath(kind, a.Plugins)
	return err
}

// attach does what was planned, each step noted before it is done.
func (o Options) attach(ctx context.Context, attachments []*attachment) (*Network, error) {
	runner := &runner{lock: o.Lock, timeout: cmp.Or(o.timeout, pluginTimeout)}
	for _, a := range attachments {
		if err := a.chooseVersion(ctx, runner); err != nil {
			return nil, fmt.Errorf("network %q: %w", a.Name, err)
		}
	}
	if err := (&record{attachments}).write(); err != nil {
		return nil, fmt.Errorf("note the networks: %w", err)
	}
	fault.Point("network.namespace.before")
	if err := linux.MakeNetNamespace(namespaceFile, prepareNamespace); err != nil {
		return nil, fmt.Errorf("make the network namespace: %w", err)
	}
	fault.Point("network.namespace.after")
	namespace, err := filepath.Abs(namespaceFile)
	if err != nil {
		return nil, err
	}
	n := &Network{joinable: joinable(attachments)}
	for _, a := range attachments {
		result, err := a.add(ctx, runner, o.UUID, namespace)
		if err != nil {
			return nil, fmt.Errorf("network %q: %w", a.Name, explain(err))
		}
		n.addDNS(a.Name, result.DNS, o.Notify)
		if a == forwardable(attachments) {
			n.Gateway = gatewayOf(result)
		}
	}
	if err := n.observe(attachments); err != nil {
		return nil, err
	}
	return n, n.writeInfo(attachments, runner)
}

// add runs the plugins of one network.
func (a *attachment) add(ctx context.Context, runner *runner, uuid, namespace string) (*types100.Result, error) {
	rt, err := a.runtime(uuid, namespace)
	if err != nil {
		return nil, err
	}
	fault.Point("network.add.before")
	result, err := a.cni(runner).AddNetworkList(ctx, a.list, rt)
	fault.Point("network.add.after")
	if err != nil {
		return nil, err
	}
	if result == nil {
		return nil, errors.New("the plugins gave no result")
	}
	return types100.NewResultFromResult(result)
}

// gatewayOf returns the IPv4 address of a network's gateway.
func gatewayOf(result *types100.Result) netip.Addr {
	for _, ip := range result.IPs {
		if gateway, ok := netip.AddrFromSlice(ip.Gateway); ok && gateway.Unmap().Is4() {
			return gateway.Unmap()
		}
	}
	return netip.Addr{}
}

// explain adds what helps with errors that everybody meets.
func explain(err error) error {
	const hint = "the plugins run the host's iptables or nft: install one of them, or do without networks (--net=none)"
	for _, missing := range []string{`exec: "iptables"`, `exec: "ip6tables"`, `exec: "nft"`} {
		if containsText(err, missing) {
			return errhint.With(err, hint)
		}
	}
	return err
}

func (n *Network) addDNS(network string, dns types.DNS, notify func(string)) {
	switch {
	case dns.IsEmpty():
	case n.DNS.Network != "":
		if notify != nil {
			notify(fmt.Sprintf("network %q: its name servers are not used, those of network %q are", network, n.DNS.Network))
		}
	default:
		n.DNS = DNS{network, dns.Nameservers, dns.Search, dns.Options, dns.Domain}
	}
}

// writeInfo tells everybody who may read the pod's directory what came out.
func (n *Network) writeInfo(attachments []*attachment, runner *runner) error {
	infos := []stage1.NetInfo{}
	for i, a := range attachments {
		info := stage1.NetInfo{
			Name: a.Name, Config: a.File, PluginPath: a.pluginPath(runner), Interface: a.Interface, Args: a.Args,
			MAC: n.Interfaces[i].MAC,
		}
		info.IP, info.Mask, info.IP6 = n.Interfaces[i].firstAddresses()
		infos = append(infos, info)
	}
	b, err := json.Marshal(infos)
	if err != nil {
		return err
	}
	return replace(stage1.NetInfoFile, b)
}
