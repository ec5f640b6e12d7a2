// Package guard is a CNI plugin, to be chained after one that makes an
// interface on the host: it keeps the pod from the services of the host, from
// sending with addresses that are not its own, and from 169.254.0.0/16, where
// clouds have their metadata. What the host itself began may be answered, ICMP
// passes, and ports that lead to pods are not the host's. A service at the pod's
// gateway can be excepted.
//
// Its rules are in a chain of iptables, or a table of nftables, that has the
// pod's name, so that they can be removed by anybody at any time and count what
// they dropped.
package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// Name is what the plugin is called by.
const Name = "rkt-guard"

// PortCapability is the capability of the plugin to let pods ask a service at
// their gateway: its value is the TCP port.
const PortCapability = "metadataPort"

// commandTimeout bounds each program that is run. They wait for each other's
// lock.
const commandTimeout = 30 * time.Second

// Main runs the plugin as the CNI specification says, and ends the program.
func Main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check}, version.All, Name)
}

// backend is a program that filters packets.
type backend interface {
	// protect makes the rules of a pod, anew if there are some.
	protect(chain string, p pod) error
	// release undoes protect. Nothing there is no error.
	release(chain string) error
	// protects tells whether protect has been called.
	protects(chain string) (bool, error)
}

// pod is what rules are about.
type pod struct {
	interfaces []string // of the host, which nobody but the pod sends to
	sources    []netip.Addr
	// services are the host's that the pod may use, over TCP.
	services []netip.AddrPort
}

// podOf finds it in what the plugins before made.
func podOf(result *types100.Result, metadataPort uint16) pod {
	var p pod
	for _, i := range result.Interfaces {
		if i.Sandbox == "" {
			p.interfaces = append(p.interfaces, i.Name)
		}
	}
	for _, ip := range result.IPs {
		if source, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			p.sources = append(p.sources, source.Unmap())
		}
		if gateway, ok := netip.AddrFromSlice(ip.Gateway); ok && metadataPort != 0 && gateway.Unmap().Is4() {
			p.services = append(p.services, netip.AddrPortFrom(gateway.Unmap(), metadataPort))
		}
	}
	return p
}

// backends returns those that are here, the one to use first.
func backends() []backend {
	var found []backend
	if has("iptables") {
		found = append(found, iptables{})
	}
	if has("nft") {
		found = append(found, nftables{})
	}
	return found
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// chainName is the name of a pod's chain on one network.
func chainName(pod, network, device string) string {
	sum := sha256.Sum256([]byte(pod + "\x00" + network + "\x00" + device))
	// iptables takes 28 characters.
	return "RKT-" + hex.EncodeToString(sum[:12])
}

func parse(args *skel.CmdArgs) (result *types100.Result, chain string, err error) {
	var conf types.PluginConf
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return nil, "", fmt.Errorf("parse configuration: %w", err)
	}
	chain = chainName(args.ContainerID, conf.Name, args.IfName)
	if err := version.ParsePrevResult(&conf); err != nil {
		return nil, "", fmt.Errorf("parse previous result: %w", err)
	}
	if conf.PrevResult == nil {
		return nil, chain, nil
	}
	result, err = types100.NewResultFromResult(conf.PrevResult)
	return result, chain, err
}

func add(args *skel.CmdArgs) error {
	var conf struct {
		types.PluginConf
		RuntimeConfig struct {
			MetadataPort uint16 `json:"metadataPort"`
		} `json:"runtimeConfig"`
	}
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return fmt.Errorf("parse configuration: %w", err)
	}
	result, chain, err := parse(args)
	if err != nil {
		return err
	}
	if result == nil {
		return errors.New("must be called as chained plugin")
	}
	p := podOf(result, conf.RuntimeConfig.MetadataPort)
	if len(p.interfaces) == 0 {
		return errors.New("the plugin before made no interface of the host's")
	}
	all := backends()
	if len(all) == 0 {
		return errors.New(`exec: "iptables": executable file not found in $PATH, nor is nft`)
	}
	if err := all[0].protect(chain, p); err != nil {
		return fmt.Errorf("keep the pod from the host's services: %w", err)
	}
	return types.PrintResult(result, conf.CNIVersion)
}

// del asks every backend: another may have been there when the pod came.
func del(args *skel.CmdArgs) error {
	_, chain, err := parse(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range backends() {
		errs = append(errs, b.release(chain))
	}
	return errors.Join(errs...)
}

func check(args *skel.CmdArgs) error {
	_, chain, err := parse(args)
	if err != nil {
		return err
	}
	for _, b := range backends() {
		there, err := b.protects(chain)
		if err != nil || there {
			return err
		}
	}
	return errors.New("the rules that keep the pod from the host's services are gone")
}

// run runs a program; its complaints are the error.
func run(stdin []byte, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	return output(exec.CommandContext(ctx, name, args...), stdin)
}
